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

use readyloop::net::Net as _;
use readyloop::{Address, Framing, Lines, Raw, Reactor};

use crate::cli_error::CliError;
use crate::logging;

pub(crate) use connect::connect_error;
pub(crate) use settings::{Settings, Tls as TlsFlags};
pub(crate) use tls::target as tls_target;

use hex::Dump;
use input::Split;
use outcome::start_error;
use prompt::Prompt;
use session::{Session, Transport};
use view::Style;

/// Connects, sends the input and prints replies until the session ends.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    logging::start(&settings.verbosity);
    let address = settings.address()?;
    if let Address::Udp(host_port) = &address {
        return datagrams::run(settings, &address, host_port);
    }
    let tls = tls::target(&address, &settings.tls)?;
    let transport = Transport { tls, connected: connect::connect(&address, settings)? };
    let reactor = Reactor::new().map_err(start_error)?;
    let prompt = Prompt::open();
    let default = if prompt.is_some() { Framing::Lines(Lines::new()) } else { Framing::Raw(Raw) };
    let framing = settings.framing.unwrap_or(default);
    let format = match (framing, settings.hex) {
        (Framing::Raw(_), false) => (Split::Bytes, Style::Bytes),
        (Framing::Raw(_), true) => (Split::Bytes, Style::Dump(Dump::default())),
        (Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_), false) => (Split::Lines, Style::Lines),
        (Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_), true) => (Split::Lines, Style::Dumps),
    };
    let streams = view::open(prompt, format, settings.hex, &reactor.wake()).map_err(start_error)?;
    Session::new(&address, transport, reactor, framing, streams).map_err(start_error)?.run()
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
