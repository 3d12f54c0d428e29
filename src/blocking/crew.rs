//! A crew: the threads that serve peers, whatever their number.
//!
//! Who may come in was decided before; a crew only finds a thread for whom it is given.

use std::io;

use super::driver::Tools;
use super::ground::Ground;

/// A peer together with all that serving it takes, on any thread.
pub(super) type Job = Box<dyn FnOnce(&Ground, &mut Tools) + Send>;

/// Threads that serve peers.
pub(super) trait Crew {
    /// Whether one more would be served now or may wait for a thread; otherwise it waits in the backlog.
    fn has_room(&self) -> bool;

    /// Has a peer served. One that is given when there is no room waits as well.
    ///
    /// # Errors
    /// No thread can be had for it, and the job is gone.
    fn take(&mut self, job: Job) -> io::Result<()>;
}
