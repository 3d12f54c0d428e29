//! The line of counts at the end, and whether they are as they should be.

use std::io::{self, Write as _};
use std::time::Duration;

use readyloop::Address;
use readyloop::client::SequenceCounters;

use crate::cli_error::{CliError, io_message};
use crate::client::outcome::{input_error, output_result};
use crate::client::text::span;

use super::session::{RoundTrips, UdpSessionEnd};

/// What there is to judge by.
pub(super) struct UdpSummary<'a> {
    pub(super) address: &'a Address,
    pub(super) counters: SequenceCounters,
    pub(super) round_trips: RoundTrips,
    /// How long each reply was awaited; zero where none was.
    pub(super) timeout: Duration,
}

/// Prints the counts on standard error and says whether that is how it should have ended.
pub(super) fn outcome(ending: UdpSessionEnd, summary: &UdpSummary<'_>) -> Result<(), CliError> {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "{}", summary.counts());
    let address = summary.address;
    match ending {
        UdpSessionEnd::Left => Ok(()),
        UdpSessionEnd::Done | UdpSessionEnd::Interrupted => summary.complete(),
        UdpSessionEnd::Refused(error) => Err(path_error(address, &error)),
        UdpSessionEnd::SocketFailed(error) => Err(CliError::failure(
            format!("cannot talk to {address}: {}", io_message(&error)),
            "what came until then was printed",
        )),
        UdpSessionEnd::InputFailed(error) => Err(input_error(&error)),
        UdpSessionEnd::OutputFailed(error) => output_result(&error),
    }
}

/// There is nobody, or no way to anybody.
pub(super) fn path_error(address: &Address, error: &io::Error) -> CliError {
    let hint = if error.kind() == io::ErrorKind::ConnectionRefused {
        "nobody listens there for datagrams: `readyloop serve -l udp://HOST:PORT` would; or check host and port"
    } else {
        "check the address, and whether this machine has a way there"
    };
    CliError::failure(format!("cannot reach {address}: {}", io_message(error)), hint)
}

impl UdpSummary<'_> {
    /// Whether each datagram has its reply.
    fn complete(&self) -> Result<(), CliError> {
        let (Self { address, timeout, .. }, SequenceCounters { lost, sent, unknown, .. }) = (self, self.counters);
        if lost == 0 || timeout.is_zero() {
            return Ok(());
        }
        let others =
            if unknown > 0 { format!("; {unknown} replies were to none of them as sent") } else { String::new() };
        Err(CliError::failure(
            format!("{lost} of {sent} datagrams had no reply from {address} within {timeout:?}{others}"),
            "nobody may listen there, a firewall be silent, or the path drop some; \
             --reply-timeout 5s waits longer, 0s for none",
        ))
    }

    /// The counts in one line; those that are hardly ever above zero only when they are.
    fn counts(&self) -> String {
        let SequenceCounters { sent, answered, late, lost, awaited, duplicates, reordered, unknown } = self.counters;
        if self.timeout.is_zero() {
            return format!("{sent} sent");
        }
        let mut text =
            format!("{sent} sent, {answered} answered, {lost} lost, {duplicates} duplicates, {reordered} reordered");
        for (count, what) in [(late, "late"), (awaited, "still awaited"), (unknown, "unknown")] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        let RoundTrips { count, sum, shortest, longest } = self.round_trips;
        if count > 0 {
            let mean = sum / count;
            text += &format!("; round trip {} to {}, {} on average", span(shortest), span(longest), span(mean));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(counters: SequenceCounters, micros: &[u64], expected: &str) {
        check_within(Duration::from_secs(1), counters, micros, expected);
    }

    #[track_caller]
    fn check_within(timeout: Duration, counters: SequenceCounters, micros: &[u64], expected: &str) {
        let mut round_trips = RoundTrips::default();
        micros.iter().for_each(|micros| round_trips.add(Duration::from_micros(*micros)));
        let address = &Address::Udp("127.0.0.1:7007".to_owned());
        assert_eq!(UdpSummary { address, counters, round_trips, timeout }.counts(), expected);
    }

    #[test]
    fn the_line_has_the_counts_that_matter() {
        let counters = SequenceCounters { sent: 5, answered: 4, lost: 1, ..SequenceCounters::default() };
        check(counters, &[], "5 sent, 4 answered, 1 lost, 0 duplicates, 0 reordered");
        let counters = SequenceCounters { sent: 2, late: 1, awaited: 1, unknown: 7, ..SequenceCounters::default() };
        check(
            counters,
            &[300, 100],
            "2 sent, 0 answered, 0 lost, 0 duplicates, 0 reordered, 1 late, 1 still awaited, 7 unknown; \
             round trip 100 µs to 300 µs, 200 µs on average",
        );
        let counters = SequenceCounters { sent: 9, lost: 9, ..SequenceCounters::default() };
        check_within(Duration::ZERO, counters, &[], "9 sent");
    }
}
