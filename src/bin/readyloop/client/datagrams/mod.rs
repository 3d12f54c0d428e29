//! `readyloop client` over UDP: the steps from a command line to the last count.
//!
//! What is typed or piped goes out as it is, one datagram for each line, with no number in it: the
//! server may be any. Which datagram a reply answers is found out here, by its bytes. Only the
//! datagrams of `--count`, which are our own, carry numbers.

mod judgement;
mod shown;
mod source;
mod talk;
mod way;

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
use super::{LAST_REPLIES, input, no_room, prompt, reach};

use judgement::Account;
use shown::Shown;
use source::{Numbers, Source};
use talk::{Pace, Talk};
use way::{Clock, Event, Way};

/// The longest datagram that IPv4 carries: 65,535 bytes less the headers of IP and UDP.
const DATAGRAM_LEN_MAX: usize = 65_507;

/// The shortest datagram of our own: what tells the run, and its number.
const NUMBERED_LEN_MIN: usize = 16;

/// As long as a ping.
const NUMBERED_LEN: usize = 64;

/// As often as a ping, which harms no path.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest round trip on earth several times over; a second is also what a person waits.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// What may wait to be looked at: less than 4 MiB of the longest datagrams.
const EVENTS_MAX: usize = 64;

/// Sends, listens, and says what became of it.
pub(super) fn run(settings: &Settings, address: &Address, host_port: &str) -> Result<(), CliError> {
    let len = numbered_len(settings)?;
    let framing = settings.framing_of_datagrams();
    if let Framing::Length(_) = framing {
        return Err(CliError::usage(
            "--framing length is for connections: a datagram has a length of its own",
            "type lines, raw for the whole input as one datagram, or fixed:N for pieces of it",
        ));
    }
    let addresses = look_up(host_port, settings.connect_timeout).map_err(|error| reach::problem(address, &error))?;
    let (sender, events) = sync_channel(EVENTS_MAX);
    let clock = Clock::start();
    let way = Way::open(addresses, sender.clone(), clock).map_err(|error| judgement::no_way(address, &error))?;
    listen_for_signals(sender.clone()).map_err(no_room)?;

    let timeout = settings.datagrams.reply_timeout.unwrap_or(REPLY_TIMEOUT);
    let sequence = Sequence::new(timeout);
    let wake = Arc::new(Bell(sender));
    let mut talk = match settings.datagrams.count {
        Some(count) => {
            let pace = Pace::Every(settings.datagrams.interval.unwrap_or(INTERVAL));
            Talk::new(way, sequence, Source::Numbers(Numbers::new(count, len)), pace, Shown::numbers(timeout), clock)
        }
        None => {
            let pace = settings.datagrams.interval.map_or(Pace::AsAnswered, Pace::Every);
            match prompt() {
                Some((prompt, screen)) => {
                    let input = input::start(wake, move |feed| prompt.read_lines(feed)).map_err(no_room)?;
                    let shown = Shown::above_a_prompt(screen, settings.hex, timeout);
                    Talk::new(way, sequence, Source::Input(input), Pace::AsTyped(LAST_REPLIES), shown, clock)
                }
                None => {
                    let input = input::start(wake, source::reader_for(framing)).map_err(no_room)?;
                    let shown = Shown::in_a_pipe(framing, settings.hex);
                    Talk::new(way, sequence, Source::Input(input), pace, shown, clock)
                }
            }
        }
    };
    let ending = talk.run(&events);
    let account = Account { address, counters: *talk.counters(), trips: *talk.trips(), timeout };
    talk.leave();
    judgement::judge(ending, &account)
}

/// How long the datagrams of our own are.
fn numbered_len(settings: &Settings) -> Result<usize, CliError> {
    if settings.datagrams.interval == Some(Duration::MAX) {
        return Err(CliError::usage("after an --interval of never nothing would follow", "type 1s, 10ms or 0s"));
    }
    match settings.datagrams.size {
        None => Ok(NUMBERED_LEN),
        Some(len @ NUMBERED_LEN_MIN..=DATAGRAM_LEN_MAX) => Ok(len),
        Some(len) => Err(CliError::usage(
            format!("no numbered datagram is {len} bytes long"),
            format!("type a --size from {NUMBERED_LEN_MIN}B to {DATAGRAM_LEN_MAX}B"),
        )),
    }
}

/// Tells the loop that there is input.
struct Bell(SyncSender<Event>);

impl Wake for Bell {
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
