//! `readyloop client`: the steps from a command line to the end of a conversation.
//!
//! Each step is a file of its own; here is only their order.

mod connect;
mod datagrams;
mod hex;
mod input;
mod outcome;
mod output;
mod prompt;
mod session;
mod settings;
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
use session::{Session, SessionEnd, Timing, Transport};
use settings::Settings;
use view::{Pipe, Terminal};

/// A connection without anything over it.
type Socket = <Reactor as Net>::Stream;

/// The name of this subcommand.
pub(crate) const NAME: &str = "client";

/// How long the peer has for its last replies when the prompt is left: what a person waits
/// without noticing.
const LAST_REPLIES_TIMEOUT: Duration = Duration::from_millis(500);

/// Connects, and talks until one side ends.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), CliError> {
    let settings = Settings::from_arg_matches(matches).expect("clap has checked what it declares");
    logging::start(&settings.verbosity);
    let address = settings.address()?;
    if let Address::Udp(host_port) = &address {
        return datagrams::run(&settings, &address, host_port);
    }
    match tls::target(&address, &settings.tls)? {
        Some(target) => run_session(target, &address, &settings),
        None => run_session(Plain, &address, &settings),
    }
}

fn run_session<W: Layer<Socket>>(layer: W, address: &Address, settings: &Settings) -> Result<(), CliError> {
    let connected = connect::connect(address, settings)?;
    let transport = Transport { layer, connected };
    match prompt() {
        Some((prompt, screen)) => run_at_prompt(prompt, screen, transport, address, settings),
        None => run_in_pipe(transport, address, settings),
    }
}

/// A prompt takes two: keys to read and a screen that can be drawn on.
fn prompt() -> Option<(Prompt, Screen)> {
    let is_terminal = stdin().is_terminal() && stdout().is_terminal();
    if is_terminal { Prompt::open().ok() } else { None }
}

fn run_in_pipe<W: Layer<Socket>>(
    transport: Transport<W>,
    address: &Address,
    settings: &Settings,
) -> Result<(), CliError> {
    let reactor = Reactor::new().map_err(start_error)?;
    let framing = settings.pipe_framing();
    let output = Output::start(reactor.wake()).map_err(start_error)?;
    let input = input::start(reactor.wake(), input::reader_for(framing)).map_err(start_error)?;
    let view = Pipe::new(output, framing, settings.hex);
    let mut session = Session::new(transport, reactor, framing, view, Timing::Off).map_err(start_error)?;
    let mut outcome = session.run(&input, Duration::MAX);
    if !matches!(outcome, SessionEnd::OutputFailed(_))
        && let Err(error) = session.into_view().finish()
    {
        outcome = SessionEnd::OutputFailed(error);
    }
    outcome::outcome(outcome, address)
}

fn run_at_prompt<W: Layer<Socket>>(
    prompt: Prompt,
    screen: Screen,
    transport: Transport<W>,
    address: &Address,
    settings: &Settings,
) -> Result<(), CliError> {
    let reactor = Reactor::new().map_err(start_error)?;
    let view = Terminal::new(screen, settings.hex);
    let input = input::start(reactor.wake(), move |feed| prompt.read_lines(feed)).map_err(start_error)?;
    let framing = settings.prompt_framing();
    let mut session = Session::new(transport, reactor, framing, view, Timing::RoundTrip).map_err(start_error)?;
    let outcome = session.run(&input, LAST_REPLIES_TIMEOUT);
    let has_ended_input = session.has_ended_input();
    if !has_ended_input {
        session.into_view().screen.leave();
    }
    if let SessionEnd::Closed(CloseReason::Finished) = outcome
        && !has_ended_input
    {
        // Standard output is for what the peer said.
        eprintln!("{address} has ended the connection");
    }
    outcome::outcome(outcome, address)
}

fn start_error(error: io::Error) -> CliError {
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
