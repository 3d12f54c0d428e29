//! The text about replies and losses, and the counts at the end of a session.

use std::io;
use std::time::Duration;

use readyloop::Address;
use readyloop::client::{Arrival, SequenceCounters};

use crate::cli_error::{CliError, io_message};
use crate::client::outcome::Ended;
use crate::client::text::span;

/// Statistics of round trips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RoundTrips {
    pub(super) count: u32,
    pub(super) sum: Duration,
    pub(super) shortest: Duration,
    pub(super) longest: Duration,
}

impl RoundTrips {
    pub(super) fn add(&mut self, trip: Duration) {
        self.shortest = if self.count == 0 { trip } else { self.shortest.min(trip) };
        self.longest = self.longest.max(trip);
        self.sum += trip;
        self.count = self.count.saturating_add(1);
    }
}

/// The error for a server to which this machine cannot send.
pub(super) fn unreachable(address: &Address, error: &io::Error) -> CliError {
    let hint = if error.kind() == io::ErrorKind::ConnectionRefused {
        "no UDP server listens there: start one with `readyloop serve -l udp://HOST:PORT`, or check host and port"
    } else {
        "check the address, the length of the datagrams, and whether this machine has a route"
    };
    CliError::failure(format!("cannot reach {address}: {}", io_message(error)), hint)
}

/// The result of a session with these counts. With a timeout of zero, no reply is expected.
///
/// # Errors
/// A datagram had no reply.
pub(super) fn check_losses(address: &Address, timeout: Duration, counters: &SequenceCounters) -> Ended {
    let SequenceCounters { lost, sent, unknown, .. } = *counters;
    if lost == 0 || timeout.is_zero() {
        return Ok(());
    }
    let unmatched = match unknown {
        0 => String::new(),
        1 => "; 1 reply matches no sent datagram".to_owned(),
        _ => format!("; {unknown} replies match no sent datagram"),
    };
    let sent = format!("{sent} datagram{}", if sent == 1 { "" } else { "s" });
    Err(CliError::failure(
        format!("{lost} of {sent} had no reply from {address} within {timeout:?}{unmatched}"),
        "the server may be down, or a firewall or the path may drop datagrams; \
         --reply-timeout 5s waits longer, 0s waits for none",
    ))
}

/// The counts in one line. Rare ones appear only if they are above zero.
pub(super) fn counts(timeout: Duration, counters: &SequenceCounters, round_trips: &RoundTrips) -> String {
    let SequenceCounters { sent, answered, late, lost, awaited, duplicates, reordered, unknown } = *counters;
    if timeout.is_zero() {
        return format!("{sent} sent");
    }
    let mut text = format!("{sent} sent, {answered} answered, {lost} lost, {duplicates} duplicate");
    text += &format!("{}, {reordered} reordered", if duplicates == 1 { "" } else { "s" });
    for (count, name) in [(late, "late"), (awaited, "still awaited"), (unknown, "unknown")] {
        if count > 0 {
            text += &format!(", {count} {name}");
        }
    }
    let RoundTrips { count, sum, shortest, longest } = *round_trips;
    if count > 0 {
        let (shortest, longest, mean) = (span(shortest), span(longest), span(sum / count));
        text += &format!("; round trip {shortest} to {longest}, {mean} on average");
    }
    text
}

/// What a person at a prompt learns about a reply besides its bytes.
pub(super) fn remarks(arrival: &Arrival) -> Vec<String> {
    match arrival {
        Arrival::Answer { round_trip, .. } => vec![span(*round_trip)],
        Arrival::Reordered { round_trip, .. } => vec![span(*round_trip), "out of order".to_owned()],
        Arrival::Late { round_trip, .. } => vec![span(*round_trip), "late".to_owned()],
        Arrival::Duplicate { .. } => vec!["duplicate".to_owned()],
        Arrival::Unknown => vec!["unsolicited".to_owned()],
    }
}

/// The line for a reply to a numbered datagram.
pub(super) fn numbered_line(len: usize, arrival: &Arrival) -> String {
    let remarks = remarks(arrival).join(", ");
    match arrival {
        Arrival::Answer { number, .. }
        | Arrival::Reordered { number, .. }
        | Arrival::Late { number, .. }
        | Arrival::Duplicate { number } => format!("number {number}: {len} bytes  ({remarks})"),
        Arrival::Unknown => format!("{len} bytes that match no sent datagram"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_counts(seconds: u64, counters: SequenceCounters, micros: &[u64], expected: &str) {
        let mut round_trips = RoundTrips::default();
        micros.iter().for_each(|micros| round_trips.add(Duration::from_micros(*micros)));
        assert_eq!(counts(Duration::from_secs(seconds), &counters, &round_trips), expected);
    }

    #[test]
    fn rare_counts_appear_only_above_zero() {
        let counters = SequenceCounters { sent: 5, answered: 4, lost: 1, ..SequenceCounters::default() };
        check_counts(1, counters, &[], "5 sent, 4 answered, 1 lost, 0 duplicates, 0 reordered");
        check_counts(0, counters, &[], "5 sent");
        let counters = SequenceCounters { sent: 2, late: 1, awaited: 1, unknown: 7, ..SequenceCounters::default() };
        let expected = "2 sent, 0 answered, 0 lost, 0 duplicates, 0 reordered, 1 late, 1 still awaited, 7 unknown; \
                        round trip 100 µs to 300 µs, 200 µs on average";
        check_counts(1, counters, &[300, 100], expected);
    }

    #[track_caller]
    fn check(arrival: Arrival, expected: &str) {
        assert_eq!(numbered_line(64, &arrival), expected);
    }

    #[test]
    fn each_numbered_reply_has_its_line() {
        let round_trip = Duration::from_micros(131);
        check(Arrival::Answer { number: 0, round_trip }, "number 0: 64 bytes  (131 µs)");
        check(Arrival::Reordered { number: 1, round_trip }, "number 1: 64 bytes  (131 µs, out of order)");
        check(Arrival::Late { number: 2, round_trip }, "number 2: 64 bytes  (131 µs, late)");
        check(Arrival::Duplicate { number: 3 }, "number 3: 64 bytes  (duplicate)");
        check(Arrival::Unknown, "64 bytes that match no sent datagram");
    }
}
