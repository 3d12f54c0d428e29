//! `readyloop client` over UDP: the steps from the settings to a session.
//!
//! Each line of the input is sent as a datagram without additions, so that the server may be any.
//! A reply is matched to its datagram by its bytes. Only the datagrams of `--count` carry numbers.

mod numbered;
mod session;
mod summary;
mod udp_path;

use std::iter;
use std::time::Duration;

use readyloop::client::look_up;
use readyloop::net::{ControlEvent, Net as _};
use readyloop::{Address, Framing, Reactor};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli_error::CliError;

use super::connect::connect_error;
use super::input::{Input, Split};
use super::outcome::{Ended, start_error};
use super::prompt::Prompt;
use super::settings::Settings;
use super::view::{self, Style, View};

use numbered::NumberedDatagrams;
use session::{Pace, Plan, UdpSession};
use udp_path::UdpPath;

/// The longest datagram over IPv4: 65,535 bytes less the headers of IP and UDP.
const DATAGRAM_LEN_MAX: usize = 65_507;

/// The shortest numbered datagram: the identifier of the run, and the number.
const NUMBERED_LEN_MIN: usize = 16;

/// The default length of a numbered datagram.
const NUMBERED_LEN_DEFAULT: usize = 64;

/// The default interval of numbered datagrams, as in ping(8).
const INTERVAL: Duration = Duration::from_secs(1);

/// The default time to wait for a reply: several times the longest round trip on earth.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends datagrams, prints the replies and the counts.
pub(super) fn run(settings: &Settings, address: &Address, host_port: &str) -> Ended {
    let len = numbered_len(settings)?;
    let (split, style) = match settings.framing {
        None | Some(Framing::Lines(_)) => (Split::Lines, Style::Lines),
        // One byte more than a datagram can have, to find an input that is too long.
        Some(Framing::Raw(_)) => (Split::Pieces(DATAGRAM_LEN_MAX + 1), Style::Bytes),
        Some(Framing::Fixed(fixed)) => (Split::Pieces(fixed.len().min(DATAGRAM_LEN_MAX + 1)), Style::Bytes),
        Some(Framing::Length(_)) => {
            return Err(CliError::usage(
                "--framing length cannot be used over UDP: a datagram has its own length",
                "type lines, raw for the whole input as one datagram, or fixed:N for pieces of N bytes",
            ));
        }
    };
    let style = if settings.hex { Style::Dumps } else { style };
    let addresses = look_up(host_port, settings.connect_timeout).map_err(|error| connect_error(address, &error))?;
    let mut reactor = Reactor::new().map_err(start_error)?;
    // An interrupted session still prints its counts.
    for signal in [SIGINT, SIGTERM] {
        reactor.watch_signal(signal, ControlEvent::Stop).map_err(start_error)?;
    }
    let wake = reactor.wake();
    let path = UdpPath::open(addresses, reactor).map_err(|error| summary::unreachable(address, &error))?;

    let timeout = settings.datagrams.reply_timeout.unwrap_or(REPLY_TIMEOUT);
    let interval = settings.datagrams.interval;
    let (plan, view) = match settings.datagrams.count {
        Some(count) => {
            let source = NumberedDatagrams::new(count, len).map(Input::Frame).chain([Input::End]);
            let pace = Pace::Every(interval.unwrap_or(INTERVAL));
            let view = View::pipe(style, &wake).map_err(start_error)?;
            (Plan { source: Box::new(source), pace, is_numbered: true, timeout }, view)
        }
        None => {
            let opened = view::open(Prompt::open(), (split, style), settings.hex, &wake);
            let (input, view) = opened.map_err(start_error)?;
            let source = iter::from_fn(move || input.try_recv().ok());
            let pace = interval.map_or(Pace::AsAnswered, Pace::Every);
            let pace = if view.is_prompt() { Pace::AsTyped } else { pace };
            (Plan { source: Box::new(source), pace, is_numbered: false, timeout }, view)
        }
    };
    UdpSession::new(address, path, plan, view).run()
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
