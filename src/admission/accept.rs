//! When accepting fails: which errors are one newcomer's own, and how long to leave the listener
//! alone after the others.
//!
//! A listener is never given up: every error is followed by another try.

use std::io;
use std::time::Duration;

use crate::instant::Instant;

/// The first rest; doubled with every failure in a row.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// The longest rest: who waits in the backlog waits at most this long for descriptors that came
/// free elsewhere in the process.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Whose trouble a failed accept is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptError {
    /// The newcomer's: it is gone, the next one may be fine.
    Newcomer,
    /// Ours: no descriptors, no memory, or something nobody foresaw.
    Ours,
}

impl AcceptError {
    /// Linux passes errors of the new connection on through accept; accept(2) says to treat them
    /// as a reason to try again.
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
            ) => Self::Newcomer,
            #[cfg(target_os = "linux")]
            Some(libc::ENONET) => Self::Newcomer,
            _ => Self::Ours,
        }
    }
}

/// The rest after a failure of ours: until a time, or until any peer has been closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AcceptRetry {
    rest: Option<Rest>,
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rest {
    until: Instant,
    /// How many peers had been closed when it began.
    closes: u64,
}

impl AcceptRetry {
    pub(crate) const fn new() -> Self {
        Self { rest: None, pause: PAUSE_MIN }
    }

    pub(crate) fn failed(&mut self, now: Instant, closes: u64) {
        self.rest = Some(Rest { until: now + self.pause, closes });
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Self::new();
    }

    /// Whether it is too early for another try.
    pub(crate) fn is_resting(&self, now: Instant, closes: u64) -> bool {
        self.rest.is_some_and(|rest| now < rest.until && rest.closes == closes)
    }

    /// When the rest is over at the latest.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.rest.map(|rest| rest.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_ends_by_time_or_by_a_close() {
        let mut accept_retry = AcceptRetry::new();
        let now = Instant::ORIGIN;
        assert!(!accept_retry.is_resting(now, 0));
        accept_retry.failed(now, 7);
        assert!(accept_retry.is_resting(now, 7));
        assert!(!accept_retry.is_resting(now, 8));
        assert!(!accept_retry.is_resting(now + PAUSE_MIN, 7));
    }

    #[test]
    fn rests_grow_to_a_second_and_start_small_again_after_a_success() {
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
    fn errors_of_the_newcomer_are_told_from_ours() {
        let of = |number| AcceptError::of(&io::Error::from_raw_os_error(number));
        assert_eq!(of(libc::ECONNABORTED), AcceptError::Newcomer);
        assert_eq!(of(libc::EPERM), AcceptError::Newcomer);
        assert_eq!(of(libc::EMFILE), AcceptError::Ours);
        assert_eq!(of(libc::ENOMEM), AcceptError::Ours);
        assert_eq!(of(libc::EINVAL), AcceptError::Ours);
    }
}
