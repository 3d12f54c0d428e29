//! One peer after another: who comes meanwhile waits in the kernel's backlog.
//!
//! The oldest design, and still right where each peer is served in no time. One that stalls
//! freezes everybody, until one of its own deadlines ends it.

use std::io;
use std::num::NonZero;
use std::sync::Arc;

use super::ground::Ground;
use super::pool::Pool;

/// A crew of one, and no room to wait in.
///
/// # Errors
/// The thread cannot be had.
pub(super) fn crew(ground: &Arc<Ground>) -> io::Result<Pool> {
    Pool::new(ground, NonZero::<usize>::MIN, 0)
}
