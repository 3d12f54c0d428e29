//! `Alarm`: how a poll sleeps until a deadline. Each system has its own, with the same methods.

#[cfg(not(target_os = "linux"))]
pub(super) use kevent::PollTimeout as Alarm;
#[cfg(target_os = "linux")]
pub(super) use timerfd::Alarm;

/// The deadline as a kernel timer (timerfd), registered like any other source.
///
/// The timeout of `epoll_wait(2)` makes the kernel set and cancel a timer on every call, and it is
/// rounded up to whole milliseconds. The alarm stays set across polls and has nanosecond precision.
#[cfg(target_os = "linux")]
mod timerfd {
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
    /// It is only ever moved earlier. An alarm that fires too early costs one needless poll, which is
    /// cheaper than a system call for every deadline that moves later. Its descriptor is never read:
    /// setting it again clears it (timerfd_create(2)).
    pub(in crate::net) struct Alarm {
        timer: OwnedFd,
        /// When it fires; [`Instant::NEVER`] once it has fired.
        at: Instant,
    }

    impl Alarm {
        pub(in crate::net) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self { timer, at: Instant::NEVER })
        }

        /// The timeout of a poll that sleeps until `at`: none, once the alarm is set.
        #[inline]
        pub(in crate::net) fn timeout(
            &mut self,
            at: Instant,
            now: impl Fn() -> Instant,
        ) -> io::Result<Option<Duration>> {
            if self.at <= at {
                return Ok(None);
            }
            let delay = at.since(now());
            if delay.is_zero() {
                // A timer that is set to zero is disarmed.
                return Ok(Some(delay));
            }
            self.set(at, delay)?;
            Ok(None)
        }

        fn set(&mut self, at: Instant, delay: Duration) -> io::Result<()> {
            // A sleep of more than 68 years ends early.
            let tv_sec = i32::try_from(delay.as_secs()).unwrap_or(i32::MAX).into();
            let it_value = Timespec { tv_sec, tv_nsec: delay.subsec_nanos().into() };
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
            self.at = at;
            Ok(())
        }

        /// The poll has reported that it fired.
        pub(in crate::net) fn handle_fired(&mut self) {
            self.at = Instant::NEVER;
        }
    }
}

/// The timeout of the poll, which has nanosecond precision in `kevent(2)`.
#[cfg(not(target_os = "linux"))]
mod kevent {
    use std::io;
    use std::time::Duration;

    use mio::{Registry, Token};

    use crate::instant::Instant;

    pub(in crate::net) struct PollTimeout;

    impl PollTimeout {
        pub(in crate::net) fn new(_registry: &Registry, _token: Token) -> io::Result<Self> {
            Ok(Self)
        }

        pub(in crate::net) fn timeout(
            &mut self,
            at: Instant,
            now: impl Fn() -> Instant,
        ) -> io::Result<Option<Duration>> {
            Ok(Some(at.since(now())))
        }

        pub(in crate::net) fn handle_fired(&mut self) {}
    }
}
