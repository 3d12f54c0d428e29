//! `readyloop client`: the steps from the arguments to the end of a session.
//!
//! Each step is a file of its own. This file has their order and the help.

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

use std::io::{Write, stderr};
use std::time::Duration;

use readyloop::net::Net;
use readyloop::{Address, CloseReason, Reactor};

use crate::cli_error::CliError;
use crate::logging;

pub(crate) use connect::connect_error;
pub(crate) use settings::{Settings, Tls as TlsFlags};
pub(crate) use tls::target as tls_target;

use outcome::{session_result, start_error};
use output::Output;
use prompt::{LAST_REPLIES_TIMEOUT, Prompt, Screen};
use session::{Session, SessionEnd, Timing, Transport};
use view::{Pipe, Terminal};

/// Connects, sends the input and prints replies until the session ends.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    logging::start(&settings.verbosity);
    let address = settings.address()?;
    if let Address::Udp(host_port) = &address {
        return datagrams::run(settings, &address, host_port);
    }
    let tls = tls::target(&address, &settings.tls)?;
    let connected = connect::connect(&address, settings)?;
    let transport = Transport { tls, connected };
    match Prompt::open() {
        Some((prompt, screen)) => run_at_prompt(prompt, screen, transport, &address, settings),
        None => run_in_pipe(transport, &address, settings),
    }
}

fn run_in_pipe(transport: Transport, address: &Address, settings: &Settings) -> Result<(), CliError> {
    let reactor = Reactor::new().map_err(start_error)?;
    let framing = settings.framing_or_raw();
    let output = Output::start(reactor.wake()).map_err(start_error)?;
    let input = input::start(reactor.wake(), input::reader_for(framing)).map_err(start_error)?;
    let view = Pipe::new(output, framing, settings.hex);
    let mut session = Session::new(transport, reactor, framing, view, Timing::Off).map_err(start_error)?;
    let mut end = session.run(&input, Duration::MAX);
    if !matches!(end, SessionEnd::OutputFailed(_))
        && let Err(error) = session.into_view().finish()
    {
        end = SessionEnd::OutputFailed(error);
    }
    session_result(end, address)
}

fn run_at_prompt(
    prompt: Prompt,
    screen: Screen,
    transport: Transport,
    address: &Address,
    settings: &Settings,
) -> Result<(), CliError> {
    let reactor = Reactor::new().map_err(start_error)?;
    let view = Terminal::new(screen, settings.hex);
    let input = input::start(reactor.wake(), move |feed| prompt.read_lines(feed)).map_err(start_error)?;
    let framing = settings.framing_or_lines();
    let mut session = Session::new(transport, reactor, framing, view, Timing::RoundTrip).map_err(start_error)?;
    let end = session.run(&input, LAST_REPLIES_TIMEOUT);
    let has_ended_input = session.has_ended_input();
    if !has_ended_input {
        session.into_view().screen.leave();
    }
    if let SessionEnd::Closed(CloseReason::Finished) = end
        && !has_ended_input
    {
        // A closed standard error leaves no place to report to.
        let _ = writeln!(stderr(), "{address} closed the connection");
    }
    session_result(end, address)
}

pub(crate) const UNITS: &str = "Durations are 500ms, 2s, 1m or never.";

pub(crate) const HELP: &str = "\
On a terminal, a prompt sends each line and prints each reply with its time: the round trip of the
line that it repeats, or the time after a line. The arrow keys edit and recall lines; `exit` or
Ctrl-D leaves. In a pipe, standard input is sent unchanged.
At its end the client half-closes the connection, and prints replies until the server ends it too.

Over UDP, each line is one datagram. In a pipe, up to 16 datagrams are in flight. A reply with the
bytes of a sent datagram answers that datagram. Any other reply answers the oldest datagram without
a reply. At the end, the counts are printed on standard error. With --count, the client sends
numbered datagrams, and a truncated or changed reply answers none of them.

EXAMPLES
  readyloop client 127.0.0.1:7007
      Open a prompt.
  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | readyloop client localhost:80
      Print a page of a web server.
  readyloop client --hex unix:/tmp/echo.sock < picture.png
      Print the reply to a file as a hex dump.
  printf 'one\\ntwo\\n' | readyloop client --framing length:u16 [::1]:7007
      Send two frames with a length before each, and print each reply on a line.
  readyloop client --ca ca.pem tls://localhost:7443
      Use TLS and trust certificates of this authority, such as one made by `readyloop cert`.
  readyloop client --count 5 --size 1472B udp://127.0.0.1:7007
      Send five datagrams, one per second, of the largest size that fits an Ethernet frame.
  printf 'one\\ntwo\\n' | readyloop client --reply-timeout 0s udp://localhost:514
      Send lines to a server that does not reply.

ENVIRONMENT
  READYLOOP_HISTORY  the file for the history of the prompt, a new one or one of this command;
                     without it, the history is not saved
  RUST_LOG           log filter in the syntax of env_logger; overrides -v and -q

EXIT STATUS
  0  both sides ended the connection, or standard output is a closed pipe
  1  a failure at run time: no server answered, the connection failed, a frame was incomplete, or a
     datagram had no reply
  2  wrong usage; nothing was sent";
