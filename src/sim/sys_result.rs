//! `SysResult`: the result of a simulated system call, a value or an errno.
//!
//! Which errors a call may return is decided where the call is simulated.

use std::io;

/// The result of a simulated system call.
pub(super) type SysResult<T = usize> = Result<T, i32>;

/// Converts the result for the caller of `Net`.
pub(super) fn to_io<T>(result: SysResult<T>) -> io::Result<T> {
    result.map_err(io::Error::from_raw_os_error)
}
