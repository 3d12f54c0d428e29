//! `Alarm`: the end of a sleep, as a timer of the kernel that is one more source of the poll.
//!
//! A poll has a timeout of its own (epoll_wait(2)), but for each call the kernel works out anew when
//! that is and sets a timer, were it only to take it back a microsecond later: where one peer keeps
//! the loop from sleeping long, that is a seventeenth of all it costs. And a timeout is rounded up
//! to a whole millisecond. The alarm stays set from poll to poll, and goes off at its nanosecond.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::instant::Instant;

/// A timer that makes one poll return.
///
/// It is only ever set nearer: one that is set too early is left so, as is a peer's entry in the
/// timers of a host. To poll once in vain is cheaper than to move it whenever a deadline moves.
/// Nobody reads it, since to set it again is to have read it (timerfd_create(2)).
pub(super) struct Alarm {
    timer: OwnedFd,
    /// When it goes off; [`Instant::NEVER`] once that was told.
    at: Instant,
}

impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, at: Instant::NEVER })
    }

    /// Whether it is set for then, or for before.
    #[inline]
    pub(super) fn goes_off_by(&self, at: Instant) -> bool {
        self.at <= at
    }

    /// Sets it for `at`, which is after `span`; not for now, since a span of zero would unset it.
    pub(super) fn set(&mut self, at: Instant, span: Duration) -> io::Result<()> {
        // Whoever sleeps for as many years is woken once in vain.
        let tv_sec = i32::try_from(span.as_secs()).unwrap_or(i32::MAX).into();
        let it_value = Timespec { tv_sec, tv_nsec: span.subsec_nanos().into() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
        self.at = at;
        Ok(())
    }

    /// The poll has told that it went off.
    pub(super) fn went_off(&mut self) {
        self.at = Instant::NEVER;
    }
}
