//! The error numbers that the simulated kernel gives: those of Linux.
//!
//! Numbers only: which of them a call may give is decided where the call is simulated.

use std::io;

pub(super) const EPERM: i32 = 1;
pub(super) const EINTR: i32 = 4;
pub(super) const EAGAIN: i32 = 11;
pub(super) const ENOMEM: i32 = 12;
pub(super) const EINVAL: i32 = 22;
pub(super) const ENFILE: i32 = 23;
pub(super) const EMFILE: i32 = 24;
pub(super) const ENOSPC: i32 = 28;
pub(super) const EPIPE: i32 = 32;
pub(super) const ENOSR: i32 = 63;
pub(super) const ENONET: i32 = 64;
pub(super) const EPROTO: i32 = 71;
pub(super) const ENOPROTOOPT: i32 = 92;
pub(super) const EPROTONOSUPPORT: i32 = 93;
pub(super) const ESOCKTNOSUPPORT: i32 = 94;
pub(super) const EOPNOTSUPP: i32 = 95;
pub(super) const EADDRINUSE: i32 = 98;
pub(super) const ENETDOWN: i32 = 100;
pub(super) const ENETUNREACH: i32 = 101;
pub(super) const ECONNABORTED: i32 = 103;
pub(super) const ECONNRESET: i32 = 104;
pub(super) const ENOBUFS: i32 = 105;
pub(super) const ENOTCONN: i32 = 107;
pub(super) const ETIMEDOUT: i32 = 110;
pub(super) const EHOSTDOWN: i32 = 112;
pub(super) const EHOSTUNREACH: i32 = 113;

/// A result as system calls give it: what was done, or an error number.
pub(super) type Outcome<T = usize> = Result<T, i32>;

/// The same for the caller of the border.
pub(super) fn told<T>(outcome: Outcome<T>) -> io::Result<T> {
    outcome.map_err(io::Error::from_raw_os_error)
}
