//! `Alarm`: ends the sleep of a poll at a nanosecond, where a poll's own timeout is rounded up to
//! a whole millisecond (epoll_wait(2)).
//!
//! A timer of the kernel as one more source of the same poll; nobody reads it, since to set it
//! again is to have read it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::instant::Instant;

/// A timer that makes one poll return.
pub(super) struct Alarm {
    timer: OwnedFd,
    /// When it goes off next; it may have gone off since.
    armed: Instant,
}

impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, armed: Instant::ORIGIN })
    }

    /// Goes off at `at`, which is later than `now`, or before.
    pub(super) fn arm(&mut self, at: Instant, now: Instant) -> io::Result<()> {
        if now < self.armed && self.armed <= at {
            return Ok(());
        }
        let span = at.since(now);
        // What is out of range is further away than any run lasts.
        let Ok(tv_sec) = span.as_secs().min(u64::from(u32::MAX)).try_into() else { return Ok(()) };
        let it_value = Timespec { tv_sec, tv_nsec: span.subsec_nanos().into() };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: never, it_value })?;
        self.armed = at;
        Ok(())
    }
}
