//! `readyloop client` over UDP: the steps from a command line to the last count.
//!
//! What is typed or piped goes out as it is, one datagram for each line, with no number in it: the
//! server may be any. Which datagram a reply answers is found out here, by its bytes. Only the
//! datagrams of `--count`, which are our own, carry numbers.

mod reply_printer;
mod session;
mod source;
mod summary;
mod udp_path;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use readyloop::Address;
use readyloop::client::{Sequence, look_up};
use readyloop::codec::Framing;
use readyloop::net::Wake;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli_error::CliError;

use super::settings::Settings;
use super::{LAST_REPLIES_TIMEOUT, connect, input, prompt, start_error};

use reply_printer::ReplyPrinter;
use session::{Pace, UdpSession};
use source::{NumberedDatagrams, Source};
use summary::UdpSummary;
use udp_path::{Clock, Event, UdpPath};

/// The longest datagram that IPv4 carries: 65,535 bytes less the headers of IP and UDP.
const DATAGRAM_LEN_MAX: usize = 65_507;

/// The shortest datagram of our own: what tells the run, and its number.
const NUMBERED_LEN_MIN: usize = 16;

/// As long as a ping.
const NUMBERED_LEN_DEFAULT: usize = 64;

/// As often as a ping, which harms no path.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest round trip on earth several times over; a second is also what a person waits.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// What may wait to be looked at: less than 4 MiB of the longest datagrams.
const EVENTS_MAX: usize = 64;

/// Sends, listens, and says what became of it.
pub(super) fn run(settings: &Settings, address: &Address, host_port: &str) -> Result<(), CliError> {
    let len = numbered_len(settings)?;
    let framing = settings.datagram_framing();
    if let Framing::Length(_) = framing {
        return Err(CliError::usage(
            "--framing length is for connections: a datagram has a length of its own",
            "type lines, raw for the whole input as one datagram, or fixed:N for pieces of it",
        ));
    }
    let addresses =
        look_up(host_port, settings.connect_timeout).map_err(|error| connect::connect_error(address, &error))?;
    let (sender, events) = sync_channel(EVENTS_MAX);
    let clock = Clock::start();
    let path = UdpPath::open(addresses, sender.clone(), clock).map_err(|error| summary::path_error(address, &error))?;
    listen_for_signals(sender.clone()).map_err(start_error)?;

    let timeout = settings.datagrams.reply_timeout.unwrap_or(REPLY_TIMEOUT);
    let sequence = Sequence::new(timeout);
    let wake = Arc::new(EventSender(sender));
    let mut session = match settings.datagrams.count {
        Some(count) => {
            let pace = Pace::Every(settings.datagrams.interval.unwrap_or(INTERVAL));
            UdpSession::new(
                path,
                sequence,
                Source::Numbered(NumberedDatagrams::new(count, len)),
                pace,
                ReplyPrinter::numbers(timeout),
                clock,
            )
        }
        None => {
            let pace = settings.datagrams.interval.map_or(Pace::AsAnswered, Pace::Every);
            match prompt() {
                Some((prompt, screen)) => {
                    let input = input::start(wake, move |feed| prompt.read_lines(feed)).map_err(start_error)?;
                    let printer = ReplyPrinter::above_prompt(screen, settings.hex, timeout);
                    UdpSession::new(
                        path,
                        sequence,
                        Source::Input(input),
                        Pace::AsTyped(LAST_REPLIES_TIMEOUT),
                        printer,
                        clock,
                    )
                }
                None => {
                    let input = input::start(wake, source::reader_for(framing)).map_err(start_error)?;
                    let printer = ReplyPrinter::in_pipe(framing, settings.hex);
                    UdpSession::new(path, sequence, Source::Input(input), pace, printer, clock)
                }
            }
        }
    };
    let ending = session.run(&events);
    let summary = UdpSummary { address, counters: *session.counters(), round_trips: *session.round_trips(), timeout };
    session.leave();
    summary::outcome(ending, &summary)
}

/// How long the datagrams of our own are.
fn numbered_len(settings: &Settings) -> Result<usize, CliError> {
    if settings.datagrams.interval == Some(Duration::MAX) {
        return Err(CliError::usage("after an --interval of never nothing would follow", "type 1s, 10ms or 0s"));
    }
    match settings.datagrams.size {
        None => Ok(NUMBERED_LEN_DEFAULT),
        Some(len @ NUMBERED_LEN_MIN..=DATAGRAM_LEN_MAX) => Ok(len),
        Some(len) => Err(CliError::usage(
            format!("no numbered datagram is {len} bytes long"),
            format!("type a --size from {NUMBERED_LEN_MIN}B to {DATAGRAM_LEN_MAX}B"),
        )),
    }
}

/// Tells the loop that there is input.
struct EventSender(SyncSender<Event>);

impl Wake for EventSender {
    fn wake(&self) {
        // Where there is no room for it, the loop is awake.
        let _ = self.0.try_send(Event::Input);
    }
}

/// Whoever breaks it off is told the counts so far.
fn listen_for_signals(events: SyncSender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            if events.send(Event::Interrupted).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
