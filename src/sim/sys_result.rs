//! The result of a simulated system call for the caller of `Net`.
//!
//! Which errors a call may return is decided where the call is simulated.

use std::io;

use crate::trace::SysResult;

/// Converts the result for the caller of `Net`.
pub(super) fn to_io<T>(result: SysResult<T>) -> io::Result<T> {
    result.map_err(io::Error::from_raw_os_error)
}
