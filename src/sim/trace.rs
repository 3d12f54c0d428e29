//! `Trace`: a running hash of everything that happens in a world, and on request its story.
//!
//! Equal seeds give equal hashes. If they differ, part of the run does not derive from the seed.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::faults::Fault;
use super::rng::mix;
use super::story::StoryFormatter;
use super::trace_event::TraceEvent;

/// The trace of one world.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: StableHasher,
    story: Option<StoryFormatter>,
}

impl Trace {
    /// Starts to write the story.
    pub(super) fn enable_story(&mut self) {
        self.story.get_or_insert_default();
    }

    pub(super) fn add(&mut self, event: TraceEvent) {
        event.hash(&mut self.hash);
        if let Some(story) = &mut self.story {
            story.add(&event);
        }
    }

    /// Starts a turn of the story, when a poll begins.
    pub(super) const fn begin_turn(&mut self, turn: u64) {
        if let Some(story) = &mut self.story {
            story.begin_turn(turn);
        }
    }

    /// Adds a fault to the story. The hash contains only the event that shows the effect.
    pub(super) fn add_fault(&mut self, fault: Fault) {
        if let Some(story) = &mut self.story {
            story.add_fault(fault);
        }
    }

    /// Adds a line to the story.
    pub(super) fn note(&mut self, line: fmt::Arguments<'_>) {
        if let Some(story) = &mut self.story {
            story.note(line);
        }
    }

    /// Gives the story the address of a listener.
    pub(super) fn name_listener(&mut self, listener: usize, token: u64, address: &impl ToString) {
        if let Some(story) = &mut self.story {
            story.name_listener(listener, token, address.to_string());
        }
    }

    /// Gives the story the address of a UDP socket.
    pub(super) fn name_socket(&mut self, token: u64, address: &impl ToString) {
        if let Some(story) = &mut self.story {
            story.name_socket(token, address.to_string());
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    pub(super) fn text(&self) -> &str {
        self.story.as_ref().map_or("", StoryFormatter::text)
    }
}

/// A hasher that gives the same result in every process, unlike std's `DefaultHasher`.
#[derive(Clone, Copy, Default)]
struct StableHasher(u64);

impl StableHasher {
    const fn add(&mut self, word: u64) {
        self.0 = mix(self.0.rotate_left(5) ^ word);
    }
}

impl Hasher for StableHasher {
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

impl fmt::Debug for StableHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
