//! `readyloop client`: the steps from a command line to the end of a conversation.
//!
//! Each step is a file of its own; here is only their order.

mod datagrams;
mod ending;
mod hex;
mod input;
mod output;
mod prompt;
mod reach;
mod settings;
mod talk;
mod text;
mod tls;
mod view;

use std::io::{self, IsTerminal, stdin, stdout};
use std::time::Duration;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use readyloop::net::{Layer, Net, Plain};
use readyloop::{Address, CloseReason, Reactor};

use crate::cli_error::{CliError, io_message};
use crate::logging;

pub(crate) use settings::Tls as TlsFlags;
pub(crate) use tls::target as tls_target;

use output::Output;
use prompt::{Prompt, Screen};
use settings::Settings;
use talk::{Ending, Opening, Talk, Timing};
use view::{Pipe, Terminal};

/// A connection without anything over it.
type Socket = <Reactor as Net>::Stream;

/// The name of this subcommand.
pub(crate) const NAME: &str = "client";

/// How long the peer has for its last replies when the prompt is left: what a person waits
/// without noticing.
const LAST_REPLIES: Duration = Duration::from_millis(500);

/// Connects, and talks until one side ends.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), CliError> {
    let settings = Settings::from_arg_matches(matches).expect("clap has checked what it declares");
    logging::start(&settings.verbosity);
    let address = settings.address()?;
    if let Address::Udp(host_port) = &address {
        return datagrams::run(&settings, &address, host_port);
    }
    match tls::target(&address, &settings.tls)? {
        Some(target) => converse(target, &address, &settings),
        None => converse(Plain, &address, &settings),
    }
}

fn converse<W: Layer<Socket>>(layer: W, address: &Address, settings: &Settings) -> Result<(), CliError> {
    let connected = reach::reach(address, settings)?;
    let opening = Opening { layer, connected };
    match prompt() {
        Some((prompt, screen)) => at_a_prompt(prompt, screen, opening, address, settings),
        None => in_a_pipe(opening, address, settings),
    }
}

/// A prompt takes two: keys to read and a screen that can be drawn on.
fn prompt() -> Option<(Prompt, Screen)> {
    let is_terminal = stdin().is_terminal() && stdout().is_terminal();
    if is_terminal { Prompt::open().ok() } else { None }
}

fn in_a_pipe<W: Layer<Socket>>(opening: Opening<W>, address: &Address, settings: &Settings) -> Result<(), CliError> {
    let reactor = Reactor::new().map_err(no_room)?;
    let framing = settings.framing_in_a_pipe();
    let output = Output::start(reactor.wake()).map_err(no_room)?;
    let input = input::start(reactor.wake(), input::reader_for(framing)).map_err(no_room)?;
    let view = Pipe::new(output, framing, settings.hex);
    let mut talk = Talk::new(opening, reactor, framing, view, Timing::Off).map_err(no_room)?;
    let mut ending = talk.run(&input, Duration::MAX);
    if !matches!(ending, Ending::Unseen(_))
        && let Err(error) = talk.into_view().finish()
    {
        ending = Ending::Unseen(error);
    }
    ending::judge(ending, address)
}

fn at_a_prompt<W: Layer<Socket>>(
    prompt: Prompt,
    screen: Screen,
    opening: Opening<W>,
    address: &Address,
    settings: &Settings,
) -> Result<(), CliError> {
    let reactor = Reactor::new().map_err(no_room)?;
    let view = Terminal::new(screen, settings.hex);
    let input = input::start(reactor.wake(), move |feed| prompt.read_lines(feed)).map_err(no_room)?;
    let framing = settings.framing_at_a_prompt();
    let mut talk = Talk::new(opening, reactor, framing, view, Timing::RoundTrip).map_err(no_room)?;
    let ending = talk.run(&input, LAST_REPLIES);
    let has_left = talk.has_left();
    if !has_left {
        talk.into_view().screen.leave();
    }
    if let Ending::Closed(CloseReason::Finished) = ending
        && !has_left
    {
        // Standard output is for what the peer said.
        eprintln!("{address} has ended the connection");
    }
    ending::judge(ending, address)
}

fn no_room(error: io::Error) -> CliError {
    CliError::failure(
        format!("cannot begin to talk: {}", io_message(&error)),
        "the system has run out of something: descriptors, threads or memory",
    )
}

/// The flags and the help of `client`.
pub(crate) fn command() -> Command {
    Settings::augment_args(Command::new(NAME))
        // Where settings have one source only, what is not given must have a value.
        .mut_arg("quiet", |quiet| quiet.required(false).default_value("false").hide_default_value(true))
        .about("Connects, sends what it reads and prints what comes back")
        .long_about(None)
        .after_help("Durations are 500ms, 2s, 1m or never.")
        .after_long_help(HELP)
}

const HELP: &str = "\
On a terminal there is a prompt: each line is sent, each reply is printed with its round-trip
time; the arrow keys edit and recall, `exit` or Ctrl-D leaves. Otherwise standard input goes to
the peer as it is, its end is passed on, and what comes back is printed until the peer ends.

Over UDP each line is a datagram, sent as it is; in a pipe a few of them are on the way at once.
A reply is known by its bytes; where the server is no echo, it is taken for one to the oldest
datagram that has none yet. At the end standard error has the counts: sent, answered, lost,
duplicates, reordered. With --count the datagrams are numbered ones of our own, and a reply that
was cut or changed counts as none.

EXAMPLES
  readyloop client 127.0.0.1:7007
      A prompt.
  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | readyloop client localhost:80
      A page of a web server.
  readyloop client --hex unix:/tmp/echo.sock < picture.png
      What comes back for a file, as a dump.
  printf 'one\\ntwo\\n' | readyloop client --framing length:u16 [::1]:7007
      Two frames with a length before each; each reply on a line of its own.
  readyloop client --ca ca.pem tls://localhost:7443
      Over TLS, with a server whose certificate that authority has signed.
  readyloop client --count 5 --size 1472B udp://127.0.0.1:7007
      Five datagrams as long as Ethernet carries in one piece, a second apart, as ping does.
  logger-of-mine | readyloop client --reply-timeout 0s udp://localhost:514
      Lines to a server that does not answer.

ENVIRONMENT
  READYLOOP_HISTORY  the file in which the prompt keeps its history; without it, lines are
                     remembered until the prompt is left
  RUST_LOG           which lines are logged, as env_logger reads it; wins over -v and -q

EXIT STATUS
  0  both sides ended, or nobody reads our output any more
  1  a failure at run time: nobody answers, the connection broke, a frame was cut off, a datagram
     had no reply
  2  wrong usage; nothing was sent";
