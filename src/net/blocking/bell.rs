//! `Bell`: how threads that block hear something while they wait.
//!
//! A thread that sleeps in a read hears nothing else. So a bell is a pipe whose write end is
//! dropped when it rings: from then on its read end is ready for everybody and for ever, and no
//! thread can miss it, whether it waits already or only later.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use rustix::event::{self, PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::instant::Instant;
use crate::net::Clock;

/// Rings at most once.
#[derive(Debug)]
pub(crate) struct Bell {
    listener: PipeReader,
    /// Gone when it has rung.
    silence: Mutex<Option<PipeWriter>>,
}

impl Bell {
    /// # Errors
    /// No descriptors for a pipe.
    pub(crate) fn new() -> io::Result<Self> {
        let (listener, silence) = io::pipe()?;
        Ok(Self { listener, silence: Mutex::new(Some(silence)) })
    }

    pub(crate) fn ring(&self) {
        drop(self.silence.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Sleeps until it rings or `until` is reached; may return early.
    pub(crate) fn wait(&self, until: Instant, clock: Clock) -> io::Result<()> {
        wait_for_any(&mut [fd(self.listener.as_fd())], until, clock)
    }

    /// Sleeps until `stream` can be read without waiting, the bell rings or `until` is reached; may
    /// return early. Says whether it is the stream.
    pub(crate) fn wait_beside(&self, stream: BorrowedFd<'_>, until: Instant, clock: Clock) -> io::Result<bool> {
        let mut fds = [fd(stream), fd(self.listener.as_fd())];
        wait_for_any(&mut fds, until, clock)?;
        Ok(!fds[0].revents().is_empty())
    }
}

fn fd(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

fn wait_for_any(fds: &mut [PollFd<'_>], until: Instant, clock: Clock) -> io::Result<()> {
    // What is only looked at needs no look at the clock.
    let left = if until == Instant::ORIGIN { Some(Timespec::default()) } else { time_left(until, clock) };
    match event::poll(fds, left.as_ref()) {
        // A signal: whoever waits looks at the time and waits again.
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// `None`: for ever, as far as the system's own clock can tell.
fn time_left(until: Instant, clock: Clock) -> Option<Timespec> {
    Timespec::try_from(until.since(clock.now())).ok().filter(|_| until != Instant::NEVER)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bell_that_rang_is_heard_by_who_comes_later() {
        let (bell, clock) = (Bell::new().unwrap(), Clock::new());
        bell.ring();
        bell.ring();
        bell.wait(Instant::NEVER, clock).unwrap();
    }

    #[test]
    fn a_bell_ends_the_sleep_of_who_waits_for_a_stream() {
        let (bell, clock) = (Bell::new().unwrap(), Clock::new());
        let (stream, _other) = UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| bell.wait_beside(stream.as_fd(), Instant::NEVER, clock));
            bell.ring();
            assert!(!waiter.join().unwrap().unwrap());
        });
    }

    #[test]
    fn without_a_bell_the_wait_ends_in_time() {
        let (bell, clock) = (Bell::new().unwrap(), Clock::new());
        let until = clock.now() + Duration::from_millis(5);
        while clock.now() < until {
            bell.wait(until, clock).unwrap();
        }
    }
}
