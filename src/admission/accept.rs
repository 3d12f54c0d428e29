//! What to do when `accept` fails: try again at once, or after a pause.
//!
//! The server never gives up a listener: every error is followed by another try.

use std::io;
use std::time::Duration;

use crate::instant::Instant;

/// The first pause. It doubles with every failure in a row.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// The longest pause. Descriptors may also become free elsewhere in the process, and a connection
/// in the backlog waits at most this long for one.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What a failed accept concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptError {
    /// Only the connection that was to be accepted. It is gone, and the next one may succeed.
    Connection,
    /// The process or the system: no descriptors, no memory, or an unknown error.
    System,
}

impl AcceptError {
    /// Classifies an error of `accept`.
    ///
    /// Linux also returns errors that are pending on the new connection. According to accept(2),
    /// these call for another try.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(
                libc::ECONNABORTED
                | libc::EINTR
                | libc::EPERM
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH,
            ) => Self::Connection,
            #[cfg(target_os = "linux")]
            Some(libc::ENONET) => Self::Connection,
            _ => Self::System,
        }
    }
}

/// The pause after a system error: it ends after a time, or when any peer is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AcceptRetry {
    pause: Option<Pause>,
    next_len: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pause {
    until: Instant,
    /// The number of peers that had been closed when the pause began.
    closes: u64,
}

impl AcceptRetry {
    pub(crate) const fn new() -> Self {
        Self { pause: None, next_len: PAUSE_MIN }
    }

    pub(crate) fn failed(&mut self, now: Instant, closes: u64) {
        self.pause = Some(Pause { until: now + self.next_len, closes });
        self.next_len = (self.next_len * 2).min(PAUSE_MAX);
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Self::new();
    }

    /// Whether it is too early for another try.
    pub(crate) fn is_paused(&self, now: Instant, closes: u64) -> bool {
        self.pause.is_some_and(|pause| now < pause.until && pause.closes == closes)
    }

    /// The latest end of the pause.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.pause.map(|pause| pause.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_after_a_time_or_when_a_peer_is_closed() {
        let mut accept_retry = AcceptRetry::new();
        let now = Instant::ORIGIN;
        assert!(!accept_retry.is_paused(now, 0));
        accept_retry.failed(now, 7);
        assert!(accept_retry.is_paused(now, 7));
        assert!(!accept_retry.is_paused(now, 8));
        assert!(!accept_retry.is_paused(now + PAUSE_MIN, 7));
    }

    #[test]
    fn pauses_grow_to_a_second_and_start_small_again_after_a_success() {
        let mut accept_retry = AcceptRetry::new();
        for _ in 0..20 {
            accept_retry.failed(Instant::ORIGIN, 0);
        }
        assert_eq!(accept_retry.until(), Some(Instant::ORIGIN + PAUSE_MAX));
        accept_retry.succeeded();
        accept_retry.failed(Instant::ORIGIN, 0);
        assert_eq!(accept_retry.until(), Some(Instant::ORIGIN + PAUSE_MIN));
    }

    #[test]
    fn errors_of_one_connection_are_distinguished_from_errors_of_the_system() {
        let of = |number| AcceptError::of(&io::Error::from_raw_os_error(number));
        assert_eq!(of(libc::ECONNABORTED), AcceptError::Connection);
        assert_eq!(of(libc::EPERM), AcceptError::Connection);
        assert_eq!(of(libc::EMFILE), AcceptError::System);
        assert_eq!(of(libc::ENOMEM), AcceptError::System);
        assert_eq!(of(libc::EINVAL), AcceptError::System);
    }
}
