//! `Trace`: what happened in a world, as a running hash and, when wanted, as a story.
//!
//! The same seed gives the same hash, or something in the run does not come from the seed.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::faults::Fault;
use super::outcome::Outcome;
use super::rng::mix;
use super::story::Story;
use crate::instant::Instant;
use crate::net::{ControlEvent, Event, Readiness};

/// One thing that happened: a call of the server with its result, or an act of a peer.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum TraceEvent {
    Polled { now: Instant, events: usize },
    PollOutcome { token: u64, readable: bool, writable: bool, read_closed: bool },
    Noticed(ControlEvent),
    Listened { outcome: Outcome },
    Accepted { listener: usize, outcome: Outcome },
    Registered { wire: usize, token: u64, outcome: Outcome<()> },
    Began { token: u64, outcome: Outcome },
    Asked { wire: usize, outcome: Outcome<bool> },
    Read { wire: usize, wanted: usize, outcome: Outcome },
    Wrote { wire: usize, wanted: usize, outcome: Outcome },
    Finished { wire: usize, outcome: Outcome<()> },
    Dropped { wire: usize },
    Reset { wire: usize },
    Received { socket: usize, outcome: Outcome },
    Sent { socket: usize, outcome: Outcome },
    PeerConnected { peer: usize, wire: usize },
    PeerRefused { peer: usize },
    PeerWrote { peer: usize, len: usize },
    PeerRead { peer: usize, len: usize },
    PeerSawEnd { peer: usize },
    PeerSawError { peer: usize, errno: i32 },
    PeerFinished { peer: usize },
    PeerReset { peer: usize },
    PeerClosed { peer: usize },
}

impl From<Event> for TraceEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Ready(Readiness { token, readable, writable, read_closed }) => {
                Self::PollOutcome { token: token.0, readable, writable, read_closed }
            }
            Event::ControlEvent(control_event) => Self::Noticed(control_event),
        }
    }
}

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: Mixer,
    story: Option<Story>,
}

impl Trace {
    /// From now on every event is told as well.
    pub(super) fn write_down(&mut self) {
        self.story.get_or_insert_default();
    }

    pub(super) fn add(&mut self, event: TraceEvent) {
        event.hash(&mut self.hash);
        if let Some(story) = &mut self.story {
            story.add(&event);
        }
    }

    /// Tells of a poll that begins.
    pub(super) const fn begin_turn(&mut self, turn: u64) {
        if let Some(story) = &mut self.story {
            story.begin_turn(turn);
        }
    }

    /// Tells of a fault that is about to show; the event it shows in is another.
    pub(super) fn strike(&mut self, fault: Fault) {
        if let Some(story) = &mut self.story {
            story.strike(fault);
        }
    }

    /// Tells something that does not come from this world.
    pub(super) fn note(&mut self, line: fmt::Arguments<'_>) {
        if let Some(story) = &mut self.story {
            story.note(line);
        }
    }

    /// Tells which address a listener has.
    pub(super) fn meet_listener(&mut self, listener: usize, token: u64, address: &impl ToString) {
        if let Some(story) = &mut self.story {
            story.meet_listener(listener, token, address.to_string());
        }
    }

    /// Tells which address a UDP socket has.
    pub(super) fn meet_socket(&mut self, token: u64, address: &impl ToString) {
        if let Some(story) = &mut self.story {
            story.meet_socket(token, address.to_string());
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    pub(super) fn text(&self) -> &str {
        self.story.as_ref().map_or("", Story::text)
    }
}

/// A hasher that is the same in every process, which std's is not.
#[derive(Clone, Copy, Default)]
struct Mixer(u64);

impl Mixer {
    const fn add(&mut self, word: u64) {
        self.0 = mix(self.0.rotate_left(5) ^ word);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.add(u64::from(byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.add(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Mixer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
