//! The handshakes in progress on one endpoint, oldest first.
//!
//! It holds no streams: the layer of the endpoint performs the handshakes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::admission::HandshakeCounters;
use crate::connection::CloseReason;
use crate::instant::Instant;
use crate::net::PeerAddress;
use crate::slab::Key;

/// A peer in its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    pub(super) key: Key,
    pub(super) address: PeerAddress,
    pub(super) since: Instant,
}

/// The handshakes of one endpoint, in the order in which they began.
pub(super) struct Handshakes {
    in_progress: VecDeque<Handshake>,
    in_progress_max: usize,
    pub(super) counters: HandshakeCounters,
}

impl Handshakes {
    pub(super) fn new(in_progress_max: usize) -> Self {
        Self { in_progress: VecDeque::new(), in_progress_max, counters: HandshakeCounters::default() }
    }

    /// Changes the most handshakes at a time. A lower number closes none of those in progress by itself.
    pub(super) fn change_max(&mut self, in_progress_max: usize) {
        self.in_progress_max = in_progress_max;
    }

    /// Adds a handshake. If there are too many, returns the oldest one, which must be closed.
    ///
    /// An honest peer completes its handshake in a few round trips and is rarely the oldest.
    pub(super) fn add(&mut self, handshake: Handshake) -> Option<Handshake> {
        self.counters.begun += 1;
        self.in_progress.push_back(handshake);
        self.oldest().copied().filter(|_| self.in_progress.len() > self.in_progress_max)
    }

    /// Whether one more closes the oldest one.
    pub(super) fn is_full(&self) -> bool {
        self.in_progress.len() >= self.in_progress_max
    }

    /// Removes a handshake that is complete.
    pub(super) fn complete(&mut self, key: Key) -> Option<Handshake> {
        self.take(key).inspect(|_| self.counters.completed += 1)
    }

    /// Removes a handshake that has failed.
    pub(super) fn fail(&mut self, key: Key, reason: CloseReason) -> Option<Handshake> {
        self.take(key).inspect(|_| self.counters.count_failed(reason))
    }

    /// Removes a handshake that is over. Handshakes mostly end in the order in which they begin, so the
    /// search ends near the front.
    fn take(&mut self, key: Key) -> Option<Handshake> {
        let index = self.in_progress.iter().position(|handshake| handshake.key == key)?;
        self.in_progress.remove(index)
    }

    pub(super) fn oldest(&self) -> Option<&Handshake> {
        self.in_progress.front()
    }

    /// When the oldest handshake times out.
    pub(super) fn deadline(&self, timeout: Duration) -> Instant {
        self.oldest().map_or(Instant::NEVER, |oldest| oldest.since + timeout)
    }

    pub(super) fn len(&self) -> usize {
        self.in_progress.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    #[test]
    fn the_oldest_handshake_is_closed_first_and_times_out_first() {
        let mut slab = Slab::new();
        let begin = |seconds| Handshake {
            key: slab.insert(()),
            address: PeerAddress::Unix,
            since: Instant::ORIGIN + Duration::from_secs(seconds),
        };
        let begun: Vec<Handshake> = (0..4).map(begin).collect();
        let mut handshakes = Handshakes::new(2);
        assert_eq!(handshakes.deadline(Duration::ZERO), Instant::NEVER);
        assert_eq!(handshakes.add(begun[0]), None);
        assert_eq!(handshakes.add(begun[1]), None);
        assert_eq!(handshakes.add(begun[2]), Some(begun[0]));
        assert_eq!(handshakes.fail(begun[0].key, CloseReason::HandshakesFull), Some(begun[0]));
        assert_eq!(handshakes.fail(begun[0].key, CloseReason::HandshakesFull), None);
        assert_eq!(handshakes.complete(begun[2].key), Some(begun[2]));
        let HandshakeCounters { begun: count, completed, .. } = handshakes.counters;
        assert_eq!((count, completed, handshakes.counters.failed(CloseReason::HandshakesFull)), (3, 1, 1));
        assert_eq!(handshakes.deadline(Duration::from_secs(10)), Instant::ORIGIN + Duration::from_secs(11));
        assert_eq!(handshakes.add(begun[3]), None);
        assert_eq!(handshakes.len(), 2);
    }
}
