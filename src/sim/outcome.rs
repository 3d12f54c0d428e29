//! Results as system calls give them: what was done, or an error number.
//!
//! Which numbers a call may give is decided where the call is simulated.

use std::io;

/// The result of a simulated call.
pub(super) type Outcome<T = usize> = Result<T, i32>;

/// The same for the caller of the border.
pub(super) fn told<T>(outcome: Outcome<T>) -> io::Result<T> {
    outcome.map_err(io::Error::from_raw_os_error)
}
