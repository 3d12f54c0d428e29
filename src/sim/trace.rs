//! `Trace`: a running hash of everything that happens in a world, and on request its story.
//!
//! Equal seeds give equal hashes. If they differ, part of the run does not derive from the seed.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::rng::mix;
use super::story::StoryFormatter;
use super::trace_event::TraceEvent;

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
        self.with_story(|story| story.add(&event));
    }

    /// Adds to the story, if it is enabled. The hash does not change.
    pub(super) fn with_story(&mut self, add: impl FnOnce(&mut StoryFormatter)) {
        if let Some(story) = &mut self.story {
            add(story);
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
