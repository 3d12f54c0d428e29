//! `TransitionLog`: the last changes of each peer, for an administrator that asks why a peer is stuck.
//!
//! A peer is compared with its last recorded state after it has been served. So the state machine has no part in
//! it, and two changes in one turn that cancel out are not seen. Nothing is recorded before
//! [`EventLoop::record_transitions`] is called.

use std::collections::VecDeque;
use std::fmt;

use crate::connection::{CloseReason, Deadline, Halves, ReadHalf, ReadPause, WriteHalf};
use crate::instant::Instant;
use crate::net::Net;
use crate::slab::Key;

use super::EventLoop;

/// Most transitions that are kept for one peer, the last ones.
const PER_PEER_MAX: usize = 16;

/// Most peers with transitions, over all endpoints. With 16 for each, they use 20 MB.
const PEERS_MAX: usize = 1 << 16;

/// One change of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The time of the turn after which it was seen.
    pub at: Instant,
    /// The change itself.
    pub change: PeerChange,
}

/// What changed about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerChange {
    /// The connection was accepted, and its handshake began.
    Handshake,
    /// The service was notified of the peer.
    Opened,
    /// Input is held back, or no longer with [`ReadPause::NotPaused`].
    Pause(ReadPause),
    /// The state of the direction from the peer to us.
    Read(ReadHalf),
    /// The state of the direction from us to the peer.
    Write(WriteHalf),
    /// It ends for this reason.
    Ending(CloseReason),
    /// Another timeout runs. Of several such changes in a row, the last one is kept.
    Deadline(Deadline),
}

impl fmt::Display for PeerChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake => f.write_str("handshake"),
            Self::Opened => f.write_str("opened"),
            Self::Pause(pause) => match pause.name() {
                Some(name) => write!(f, "paused by {name}"),
                None => f.write_str("resumed"),
            },
            Self::Read(half) => write!(f, "read {}", half.name()),
            Self::Write(half) => write!(f, "write {}", half.name()),
            Self::Ending(reason) => write!(f, "ending: {reason}"),
            Self::Deadline(deadline) => write!(f, "deadline {}", deadline.name()),
        }
    }
}

/// The part of the state of a peer that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) halves: Halves,
    pub(super) read_pause: ReadPause,
    pub(super) deadline: Option<Deadline>,
}

impl Condition {
    /// A peer that was just opened.
    const NEW: Self = Self { halves: Halves::new(), read_pause: ReadPause::NotPaused, deadline: Some(Deadline::Idle) };
}

/// The last transitions of the peers of a loop.
#[derive(Default)]
pub(super) struct TransitionLog {
    /// By endpoint and slot.
    peers: Vec<Vec<TransitionRecord>>,
    recorded: usize,
}

#[derive(Clone)]
struct TransitionRecord {
    generation: u32,
    condition: Condition,
    /// `None` without a transition, and for a peer beyond [`PEERS_MAX`].
    last: Option<Box<LastTransitions>>,
}

/// In a box of its own, since the records of all slots lie in a row and are read for each served peer.
#[derive(Clone, Default)]
struct LastTransitions {
    oldest_first: VecDeque<Transition>,
}

impl TransitionRecord {
    const NONE: Self = Self { generation: 0, condition: Condition::NEW, last: None };
}

impl TransitionLog {
    /// Records what has changed about a peer since the last call.
    pub(super) fn observe(&mut self, endpoint: u8, key: Key, condition: Condition, now: Instant) {
        let record = self.record(endpoint, key);
        let before = std::mem::replace(&mut record.condition, condition);
        if before == condition {
            return;
        }
        let (old, new) = (before.halves, condition.halves);
        let changes = [
            (before.read_pause != condition.read_pause).then_some(PeerChange::Pause(condition.read_pause)),
            (old.read() != new.read()).then_some(PeerChange::Read(new.read())),
            new.reason().filter(|_| old.reason() != new.reason()).map(PeerChange::Ending),
            (old.write() != new.write()).then_some(PeerChange::Write(new.write())),
            condition.deadline.filter(|_| before.deadline != condition.deadline).map(PeerChange::Deadline),
        ];
        changes.into_iter().flatten().for_each(|change| self.add(endpoint, key, Transition { at: now, change }));
    }

    /// Adds a transition, and drops the oldest one if there are too many.
    pub(super) fn add(&mut self, endpoint: u8, key: Key, transition: Transition) {
        let is_full = self.recorded >= PEERS_MAX;
        let record = self.record(endpoint, key);
        if record.last.is_none() {
            if is_full {
                return;
            }
            record.last = Some(Box::default());
            self.recorded += 1;
        }
        let Some(LastTransitions { oldest_first: last }) = self.record(endpoint, key).last.as_deref_mut() else {
            return;
        };
        let is_deadline = |change: PeerChange| matches!(change, PeerChange::Deadline(_));
        if is_deadline(transition.change) && last.back().is_some_and(|last| is_deadline(last.change)) {
            last.pop_back();
        }
        if last.len() == PER_PEER_MAX {
            last.pop_front();
        }
        last.push_back(transition);
    }

    /// The peer is gone.
    pub(super) fn forget(&mut self, endpoint: u8, key: Key) {
        let record = self.record(endpoint, key);
        if record.last.take().is_some() {
            self.recorded -= 1;
        }
    }

    /// The transitions of a peer, the oldest first.
    pub(super) fn of(&self, endpoint: usize, key: Key) -> Vec<Transition> {
        let record = self.peers.get(endpoint).and_then(|records| records.get(key.slot()));
        let last =
            record.filter(|record| record.generation == key.generation()).and_then(|record| record.last.as_ref());
        last.map_or_else(Vec::new, |last| last.oldest_first.iter().copied().collect())
    }

    fn record(&mut self, endpoint: u8, key: Key) -> &mut TransitionRecord {
        let (endpoint, slot) = (usize::from(endpoint), key.slot());
        if self.peers.len() <= endpoint {
            self.peers.resize(endpoint + 1, Vec::new());
        }
        let records = &mut self.peers[endpoint];
        if records.len() <= slot {
            records.resize(slot + 1, TransitionRecord::NONE);
        }
        let record = &mut records[slot];
        if record.generation != key.generation() {
            if record.last.is_some() {
                self.recorded -= 1;
            }
            *record = TransitionRecord { generation: key.generation(), ..TransitionRecord::NONE };
        }
        record
    }
}

impl<N: Net> EventLoop<N> {
    /// Records the last 16 transitions of each peer from now on, for at most 65,536 peers at a time.
    ///
    /// [`LoopView::transitions`](super::LoopView::transitions) returns them.
    pub fn record_transitions(&mut self) {
        self.state.transitions.get_or_insert_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u64, generation: u32) -> Key {
        Key::from_bits(slot << 32 | u64::from(generation))
    }

    fn paused(read_pause: ReadPause) -> Condition {
        Condition { read_pause, ..Condition::NEW }
    }

    fn texts(log: &TransitionLog, key: Key) -> Vec<String> {
        log.of(0, key).iter().map(|transition| transition.change.to_string()).collect()
    }

    #[test]
    fn the_last_changes_of_a_peer_are_kept() {
        let (mut log, peer) = (TransitionLog::default(), key(3, 1));
        log.add(0, peer, Transition { at: Instant::ORIGIN, change: PeerChange::Opened });
        log.observe(0, peer, Condition::NEW, Instant::ORIGIN);
        log.observe(0, peer, paused(ReadPause::OutputHigh), Instant::ORIGIN);
        for deadline in [Deadline::Write, Deadline::Frame] {
            log.observe(0, peer, Condition { deadline: Some(deadline), ..Condition::NEW }, Instant::ORIGIN);
        }
        assert_eq!(texts(&log, peer), ["opened", "paused by watermark", "resumed", "deadline frame"]);
        for _ in 0..PER_PEER_MAX {
            log.observe(0, peer, paused(ReadPause::ByService), Instant::ORIGIN);
            log.observe(0, peer, Condition::NEW, Instant::ORIGIN);
        }
        let last = texts(&log, peer);
        assert_eq!((last.len(), last[15].as_str(), last[14].as_str()), (16, "resumed", "paused by service"));
        assert_eq!(texts(&log, key(3, 2)), [""; 0], "another peer in the same slot");
    }

    #[test]
    fn the_number_of_peers_is_bounded_and_gone_peers_make_room() {
        let mut log = TransitionLog::default();
        let opened = Transition { at: Instant::ORIGIN, change: PeerChange::Opened };
        for slot in 0..=PEERS_MAX as u64 {
            log.add(1, key(slot, 1), opened);
        }
        let last = key(PEERS_MAX as u64, 1);
        assert_eq!((log.recorded, log.of(1, last).len()), (PEERS_MAX, 0));
        log.forget(1, key(5, 1));
        log.forget(1, key(5, 1));
        log.add(1, last, opened);
        // A new peer in a slot replaces one that was not forgotten.
        log.observe(1, key(6, 2), Condition::NEW, Instant::ORIGIN);
        assert_eq!((log.recorded, log.of(1, last).len()), (PEERS_MAX - 1, 1));
    }
}
