//! `Totals`: the counters of a whole server.

use std::fmt;
use std::time::Duration;

use crate::connection::CloseReason;
use crate::counters::counters;
use crate::datagram::DatagramCounters;
use crate::host::HostCounters;

use super::handshake_counters::HandshakeCounters;

counters! {
    /// Everything a server has counted since it was created.
    ///
    /// `Display` prints a summary on one line:
    ///
    /// ```text
    /// 1 connection, 0 open, 0 refused; 11 bytes in, 12 out, 1 frame; closed: finished 1; 5.2 s
    /// ```
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Totals {
        /// Peers that are open now, including those in a TLS handshake and outbound connections in progress.
        pub open: Gauge = "connections_open",
        /// Open peers that are in their TLS handshake.
        pub handshakes: Gauge = "handshakes",
        /// Connections that were accepted and refused because the server was full.
        pub refused_full: Counter = "connections_refused_full",
        /// Connections that were accepted and refused because their address had too many already.
        pub refused_address: Counter = "connections_refused_address",
        /// Outbound connections in progress.
        pub connecting: Gauge = "connects_in_progress",
        /// Outbound connections that failed.
        pub connects_failed: Counter = "connects_failed",
        /// Accepts that failed, and accepted connections that could not be registered.
        pub accept_errors: Counter = "accept_errors",
        /// Turns of the event loop.
        pub turns: Counter = "turns",
        /// Bytes read from open peers and not yet passed to a service.
        pub bytes_stored: Gauge = "stored_bytes",
        /// Bytes queued for open peers and not yet written.
        pub bytes_waiting: Gauge = "waiting_bytes",
        with
        /// Sum over the peers of all endpoints.
        pub peers: HostCounters,
        /// Sum over the handshakes of all endpoints.
        pub handshakes_by_outcome: HandshakeCounters,
        /// Sum over the datagrams of all UDP endpoints.
        pub datagrams: DatagramCounters,
        and
        /// Time since the server was created.
        pub duration: Duration,
    }
}

impl Totals {
    /// The number of peers that were closed for this reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.peers.closed(reason)
    }

    /// Derives the bytes that are stored with open peers from the counters of all others.
    pub(crate) fn with_bytes_of_open_peers(mut self) -> Self {
        let ledger = &self.peers.ledger;
        let served = ledger.bytes_framed.saturating_add(ledger.bytes_discarded);
        self.bytes_stored = ledger.bytes_read.saturating_sub(served);
        self.bytes_waiting =
            ledger.bytes_queued.saturating_sub(ledger.bytes_written.saturating_add(ledger.bytes_unsent));
        self
    }

    /// Whether every peer is open or closed for a reason, and every byte is accounted for.
    pub fn reconciles(&self) -> bool {
        self.peers.opened + self.handshakes + self.connecting == self.open + self.peers.closed_total()
            && self.peers.ledger.reconciles(self.bytes_stored, self.bytes_waiting)
            && (self.open > 0 || (self.bytes_stored, self.bytes_waiting) == (0, 0))
            && self.handshakes_by_outcome.begun
                == self.handshakes_by_outcome.completed + self.handshakes_by_outcome.failed_total() + self.handshakes
            && self.datagrams.reconciles()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = &self.peers.ledger;
        write!(
            f,
            "{}, {} open, {} refused; {} in, {} out, {}; closed:",
            Count(self.peers.opened, "connection"),
            self.open,
            self.refused_full + self.refused_address,
            Count(ledger.bytes_read, "byte"),
            ledger.bytes_written,
            Count(ledger.frames, "frame"),
        )?;
        let mut separator = " ";
        for reason in CloseReason::ALL.into_iter().filter(|reason| self.closed(*reason) > 0) {
            write!(f, "{separator}{reason} {}", self.closed(reason))?;
            separator = ", ";
        }
        if separator == " " {
            f.write_str(" none")?;
        }
        if (ledger.bytes_discarded, ledger.bytes_unsent) != (0, 0) {
            write!(f, "; dropped: {} in, {} out", Count(ledger.bytes_discarded, "byte"), ledger.bytes_unsent)?;
        }
        if self.connects_failed > 0 {
            write!(f, "; {} failed", Count(self.connects_failed, "connect"))?;
        }
        if self.datagrams.received > 0 {
            let DatagramCounters { received, answered, lost, .. } = self.datagrams;
            let refused = self.datagrams.refused_total();
            let received = Count(received, "datagram");
            write!(f, "; {received}, {answered} answered, {refused} refused, {lost} lost")?;
        }
        write!(f, "; {:.1} s", self.duration.as_secs_f64())
    }
}

/// Prints a number with its unit in singular or plural: `1 frame`, `2 frames`.
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, unit) = self;
        write!(f, "{count} {unit}{}", if *count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_only_reasons_that_occurred() {
        let mut totals = Totals::default();
        assert!(totals.to_string().contains("closed: none"));
        totals.peers.opened = 3;
        [CloseReason::Finished, CloseReason::Finished, CloseReason::Reset]
            .into_iter()
            .for_each(|reason| totals.peers.count_closed(reason));
        assert!(totals.to_string().contains("closed: finished 2, reset 1;"), "{totals}");
        assert!(totals.reconciles());
        totals.open = 1;
        assert!(!totals.reconciles());
    }

    #[test]
    fn singular_and_plural_agree() {
        let mut totals = Totals::default();
        totals.peers.opened = 1;
        totals.peers.ledger.frames = 1;
        let expected = "1 connection, 0 open, 0 refused; 0 bytes in, 0 out, 1 frame; closed: none; 0.0 s";
        assert_eq!(totals.to_string(), expected);
    }
}
