//! `Scratch`: the buffer that all reads of a loop share.
//!
//! It keeps nothing between reads: its content is served or stored before the next one.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// A buffer that starts at a page boundary, where the kernel copies whole pages fastest.
#[derive(Debug)]
pub(crate) struct Scratch(MmapMut);

impl Scratch {
    /// A buffer of `len` bytes. A page becomes resident when it is first used.
    ///
    /// # Panics
    /// When the process has no address space for it.
    pub(crate) fn new(len: usize) -> Self {
        Self(MmapMut::map_anon(len).expect("a starting process has address space"))
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
