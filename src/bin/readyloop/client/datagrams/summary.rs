//! `UdpSummary`: the counts at the end of a session, and the result of the command.

use std::io::{self, Write as _};
use std::time::Duration;

use readyloop::Address;
use readyloop::client::SequenceCounters;

use crate::cli_error::{CliError, io_message};
use crate::client::outcome::{input_error, output_result};
use crate::client::text::{counted, span};

use super::session::{RoundTrips, UdpSessionEnd};

/// The counts of a session, and its settings that they depend on.
pub(super) struct UdpSummary<'a> {
    pub(super) address: &'a Address,
    pub(super) counters: SequenceCounters,
    pub(super) round_trips: RoundTrips,
    /// The time to wait for each reply. With zero, no reply is expected.
    pub(super) timeout: Duration,
}

/// The error for a server that cannot be reached.
pub(super) fn path_error(address: &Address, error: &io::Error) -> CliError {
    let hint = if error.kind() == io::ErrorKind::ConnectionRefused {
        "no UDP server listens there: start one with `readyloop serve -l udp://HOST:PORT`, or check host and port"
    } else {
        "check the address, and whether this machine has a route to it"
    };
    CliError::failure(format!("cannot reach {address}: {}", io_message(error)), hint)
}

impl UdpSummary<'_> {
    /// Prints the counts on standard error and returns the result of the session.
    ///
    /// # Errors
    /// The session failed, or a datagram had no reply.
    pub(super) fn finish(&self, end: UdpSessionEnd) -> Result<(), CliError> {
        // A closed standard error leaves no place to report to.
        let _ = writeln!(io::stderr(), "{}", self.counts());
        let address = self.address;
        match end {
            UdpSessionEnd::Left => Ok(()),
            UdpSessionEnd::Done | UdpSessionEnd::Interrupted => self.check_losses(),
            UdpSessionEnd::Refused(error) => Err(path_error(address, &error)),
            UdpSessionEnd::SocketFailed(error) => Err(CliError::failure(
                format!("the socket to {address} failed: {}", io_message(&error)),
                "the replies until then were printed",
            )),
            UdpSessionEnd::InputFailed(error) => Err(input_error(&error)),
            UdpSessionEnd::OutputFailed(error) => output_result(&error),
        }
    }

    fn check_losses(&self) -> Result<(), CliError> {
        let (Self { address, timeout, .. }, SequenceCounters { lost, sent, unknown, .. }) = (self, self.counters);
        if lost == 0 || timeout.is_zero() {
            return Ok(());
        }
        let unmatched = match unknown {
            0 => String::new(),
            1 => "; 1 reply matches no sent datagram".to_owned(),
            _ => format!("; {unknown} replies match no sent datagram"),
        };
        let sent = counted(sent, "datagram", "datagrams");
        Err(CliError::failure(
            format!("{lost} of {sent} had no reply from {address} within {timeout:?}{unmatched}"),
            "the server may be down, or a firewall or the path may drop datagrams; \
             --reply-timeout 5s waits longer, 0s waits for none",
        ))
    }

    /// The counts in one line. Rare ones appear only if they are above zero.
    fn counts(&self) -> String {
        let SequenceCounters { sent, answered, late, lost, awaited, duplicates, reordered, unknown } = self.counters;
        if self.timeout.is_zero() {
            return format!("{sent} sent");
        }
        let duplicates = counted(duplicates, "duplicate", "duplicates");
        let mut text = format!("{sent} sent, {answered} answered, {lost} lost, {duplicates}, {reordered} reordered");
        for (count, name) in [(late, "late"), (awaited, "still awaited"), (unknown, "unknown")] {
            if count > 0 {
                text += &format!(", {count} {name}");
            }
        }
        let RoundTrips { count, sum, shortest, longest } = self.round_trips;
        if count > 0 {
            let (shortest, longest, mean) = (span(shortest), span(longest), span(sum / count));
            text += &format!("; round trip {shortest} to {longest}, {mean} on average");
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
    fn rare_counts_appear_only_above_zero() {
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
