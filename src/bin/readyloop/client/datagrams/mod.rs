//! `readyloop client` over UDP: the steps from the settings to the final counts.
//!
//! Each line of the input is sent as a datagram without additions, so that the server may be any.
//! A reply is matched to its datagram by its bytes. Only the datagrams of `--count` carry numbers.

mod reply_printer;
mod session;
mod source;
mod summary;
mod udp_path;

use std::time::Duration;

use readyloop::client::{Sequence, look_up};
use readyloop::codec::Framing;
use readyloop::net::{ControlEvent, Net};
use readyloop::{Address, Reactor};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli_error::CliError;

use super::connect::connect_error;
use super::input;
use super::outcome::start_error;
use super::prompt::{LAST_REPLIES_TIMEOUT, Prompt};
use super::settings::Settings;

use reply_printer::ReplyPrinter;
use session::{Pace, UdpSession};
use source::{DATAGRAM_LEN_MAX, NumberedDatagrams, Source};
use summary::UdpSummary;
use udp_path::UdpPath;

/// The shortest numbered datagram: the identifier of the run, and the number.
const NUMBERED_LEN_MIN: usize = 16;

/// The default length of a numbered datagram.
const NUMBERED_LEN_DEFAULT: usize = 64;

/// The default interval of numbered datagrams, as in ping(8).
const INTERVAL: Duration = Duration::from_secs(1);

/// The default time to wait for a reply: several times the longest round trip on earth.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends datagrams, prints the replies and the counts.
pub(super) fn run(settings: &Settings, address: &Address, host_port: &str) -> Result<(), CliError> {
    let len = numbered_len(settings)?;
    let framing = settings.framing_or_lines();
    if let Framing::Length(_) = framing {
        return Err(CliError::usage(
            "--framing length cannot be used over UDP: a datagram has its own length",
            "type lines, raw for the whole input as one datagram, or fixed:N for pieces of N bytes",
        ));
    }
    let addresses = look_up(host_port, settings.connect_timeout).map_err(|error| connect_error(address, &error))?;
    let mut reactor = Reactor::new().map_err(start_error)?;
    let path = UdpPath::open(addresses, &mut reactor).map_err(|error| summary::path_error(address, &error))?;
    // An interrupted session still prints its counts.
    for signal in [SIGINT, SIGTERM] {
        reactor.watch_signal(signal, ControlEvent::Stop).map_err(start_error)?;
    }

    let timeout = settings.datagrams.reply_timeout.unwrap_or(REPLY_TIMEOUT);
    let interval = settings.datagrams.interval;
    let (source, pace, printer) = match settings.datagrams.count {
        Some(count) => {
            let source = Source::Numbered(NumberedDatagrams::new(count, len));
            (source, Pace::Every(interval.unwrap_or(INTERVAL)), ReplyPrinter::Numbers { timeout })
        }
        None => match Prompt::open() {
            Some((prompt, screen)) => {
                let input = input::start(reactor.wake(), move |feed| prompt.read_lines(feed)).map_err(start_error)?;
                let printer = ReplyPrinter::AbovePrompt { screen, hex: settings.hex, timeout };
                (Source::Input(input), Pace::AsTyped(LAST_REPLIES_TIMEOUT), printer)
            }
            None => {
                let input = input::start(reactor.wake(), source::reader_for(framing)).map_err(start_error)?;
                let pace = interval.map_or(Pace::AsAnswered, Pace::Every);
                (Source::Input(input), pace, ReplyPrinter::in_pipe(framing, settings.hex))
            }
        },
    };
    let mut session = UdpSession::new((reactor, path), Sequence::new(timeout), source, pace, printer);
    let end = session.run();
    let (counters, round_trips) = session.statistics();
    let summary = UdpSummary { address, counters, round_trips, timeout };
    session.leave();
    summary.finish(end)
}

/// Returns the length of numbered datagrams.
fn numbered_len(settings: &Settings) -> Result<usize, CliError> {
    if settings.datagrams.interval == Some(Duration::MAX) {
        return Err(CliError::usage("--interval never would send one datagram only", "type 1s, 10ms or 0s"));
    }
    match settings.datagrams.size {
        None => Ok(NUMBERED_LEN_DEFAULT),
        Some(len @ NUMBERED_LEN_MIN..=DATAGRAM_LEN_MAX) => Ok(len),
        Some(len) => Err(CliError::usage(
            format!("a numbered datagram cannot be {len} bytes long"),
            format!("type --size {NUMBERED_LEN_MIN}B to {DATAGRAM_LEN_MAX}B"),
        )),
    }
}
