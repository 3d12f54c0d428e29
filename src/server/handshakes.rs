//! Handshakes in flight on one endpoint, the oldest first: who they are with and since when.
//!
//! It knows no stream: what a handshake is and how it goes on is the layer's.

use std::collections::VecDeque;
use std::time::Duration;

use crate::instant::Instant;
use crate::net::PeerAddress;
use crate::slab::Key;

/// A peer whose stream is not open yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    pub(super) key: Key,
    pub(super) who: PeerAddress,
    pub(super) since: Instant,
}

/// The handshakes of one endpoint, in the order in which they began.
pub(super) struct Handshakes {
    in_flight: VecDeque<Handshake>,
    in_flight_max: usize,
}

impl Handshakes {
    pub(super) const fn new(in_flight_max: usize) -> Self {
        Self { in_flight: VecDeque::new(), in_flight_max }
    }

    /// One more. With too many, the one that has gone on for the longest is to make way: a peer
    /// that means well is done in a few round trips, so it is hardly ever that one.
    pub(super) fn add(&mut self, handshake: Handshake) -> Option<Key> {
        self.in_flight.push_back(handshake);
        if self.in_flight.len() > self.in_flight_max { self.oldest().map(|oldest| oldest.key) } else { None }
    }

    /// It is over. Those that begin first are mostly over first: the search ends near the front.
    pub(super) fn take(&mut self, key: Key) -> Option<Handshake> {
        let place = self.in_flight.iter().position(|handshake| handshake.key == key)?;
        self.in_flight.remove(place)
    }

    /// The one that has gone on for the longest.
    pub(super) fn oldest(&self) -> Option<&Handshake> {
        self.in_flight.front()
    }

    /// When the oldest has gone on for too long.
    pub(super) fn deadline(&self, timeout: Duration) -> Instant {
        self.oldest().map_or(Instant::NEVER, |oldest| oldest.since + timeout)
    }

    pub(super) fn len(&self) -> usize {
        self.in_flight.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    #[test]
    fn the_oldest_makes_way_and_is_the_first_to_be_late() {
        let mut table = Slab::new();
        let begin = |seconds| Handshake {
            key: table.insert(()),
            who: PeerAddress::Unix,
            since: Instant::ORIGIN + Duration::from_secs(seconds),
        };
        let begun: Vec<Handshake> = (0..4).map(begin).collect();
        let mut handshakes = Handshakes::new(2);
        assert_eq!(handshakes.deadline(Duration::ZERO), Instant::NEVER);
        assert_eq!(handshakes.add(begun[0]), None);
        assert_eq!(handshakes.add(begun[1]), None);
        assert_eq!(handshakes.add(begun[2]), Some(begun[0].key));
        assert_eq!(handshakes.take(begun[0].key), Some(begun[0]));
        assert_eq!(handshakes.take(begun[0].key), None);
        assert_eq!(handshakes.take(begun[2].key), Some(begun[2]));
        assert_eq!(handshakes.deadline(Duration::from_secs(10)), Instant::ORIGIN + Duration::from_secs(11));
        assert_eq!(handshakes.add(begun[3]), None);
        assert_eq!(handshakes.len(), 2);
    }
}
