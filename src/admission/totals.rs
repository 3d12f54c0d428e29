//! What a server did in all, and the one line that says it.

use std::fmt;
use std::time::Duration;

use crate::connection::CloseReason;
use crate::datagram::DatagramCounters;
use crate::host::HostCounters;

/// Everything counted since the server was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The peers of all endpoints, summed.
    pub peers: HostCounters,
    /// The datagrams of all UDP endpoints, summed.
    pub datagrams: DatagramCounters,
    /// Peers that are open now.
    pub open: u64,
    /// How many of them are still in their TLS handshake.
    pub handshakes: u64,
    /// Connections that were accepted and refused, since the server was full.
    pub refused_full: u64,
    /// Connections that were accepted and refused, since their address had too many already.
    pub refused_address: u64,
    /// Connections that services ordered and that are under way, of those that are open.
    pub connecting: u64,
    /// Connections that services ordered and that did not come about.
    pub connects_failed: u64,
    /// Accepts that failed, and connections lost since they could not be registered.
    pub accept_errors: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Since the server was made.
    pub duration: Duration,
    /// Bytes read and not served yet, of peers that are open.
    pub bytes_stored: u64,
    /// Bytes queued and not written yet, for peers that are open.
    pub bytes_waiting: u64,
}

impl Totals {
    /// Adds one endpoint's share.
    pub(crate) fn add(&mut self, counters: &HostCounters) {
        self.peers.opened += counters.opened;
        for (sum, more) in self.peers.closed.iter_mut().zip(counters.closed) {
            *sum += more;
        }
        self.peers.resets += counters.resets;
        self.peers.stale_facts += counters.stale_facts;
        self.peers.ledger += counters.ledger;
    }

    /// How many peers were closed for this reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.peers.closed[reason as usize]
    }

    /// Whether every peer and every byte is accounted for: who came in is still here or was
    /// closed, and the ledger balances.
    pub fn reconciles(&self) -> bool {
        self.peers.opened + self.handshakes + self.connecting == self.open + self.peers.closed.iter().sum::<u64>()
            && self.peers.ledger.reconciles(self.bytes_stored, self.bytes_waiting)
            && self.datagrams.reconciles()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = &self.peers.ledger;
        write!(
            f,
            "{} connections, {} open, {} refused; {} bytes in, {} out, {} frames; closed:",
            self.peers.opened,
            self.open,
            self.refused_full + self.refused_address,
            ledger.bytes_read,
            ledger.bytes_written,
            ledger.frames,
        )?;
        let mut separator = " ";
        for reason in CloseReason::ALL.into_iter().filter(|reason| self.closed(*reason) > 0) {
            write!(f, "{separator}{reason} {}", self.closed(reason))?;
            separator = ", ";
        }
        if separator == " " {
            f.write_str(" none")?;
        }
        let dropped = (ledger.bytes_discarded, ledger.bytes_unsent);
        if dropped != (0, 0) {
            write!(f, "; dropped: {} bytes in, {} out", dropped.0, dropped.1)?;
        }
        if self.connects_failed > 0 {
            write!(f, "; {} not connected to", self.connects_failed)?;
        }
        let datagrams = &self.datagrams;
        if datagrams.received > 0 {
            let refused: u64 = datagrams.refused.iter().sum();
            let DatagramCounters { received, answered, lost, .. } = datagrams;
            write!(f, "; {received} datagrams, {answered} answered, {refused} refused, {lost} lost")?;
        }
        write!(f, "; {:.1} s", self.duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_only_reasons_that_occurred() {
        let mut totals = Totals::default();
        assert!(totals.to_string().contains("closed: none"));
        totals.peers.opened = 3;
        totals.peers.closed[CloseReason::Finished as usize] = 2;
        totals.peers.closed[CloseReason::Reset as usize] = 1;
        assert!(totals.to_string().contains("closed: finished 2, reset 1;"), "{totals}");
        assert!(totals.reconciles());
        totals.open = 1;
        assert!(!totals.reconciles());
    }
}
