//! `TimeoutStream`: the border's [`Stream`] for a thread that serves one connection.
//!
//! Reads and writes wait in the kernel. Each waits for at most [`SOCKET_TIMEOUT`] and then fails
//! with `WouldBlock`, so that the thread can look at deadlines and at the shutdown of its server.

use std::io::{self, IoSlice};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use socket2::Socket;

use crate::instant::Instant;

use super::clock::Clock;
use super::{Link, Stream};

/// The longest wait of one read or one write (`SO_RCVTIMEO` and `SO_SNDTIMEO`, socket(7)).
///
/// A thread notices a deadline or a shutdown at most this late, so a longer timeout makes it later.
/// An idle thread wakes once in this time, so a shorter timeout costs more CPU.
pub(crate) const SOCKET_TIMEOUT: Duration = Duration::from_millis(500);

/// Whether the reads of a step wait for data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// A read waits for at most [`SOCKET_TIMEOUT`].
    Wait,
    /// A read without data fails with `WouldBlock` at once.
    NoWait,
}

/// A socket with blocking reads and writes, each limited by [`SOCKET_TIMEOUT`].
pub(crate) struct TimeoutStream {
    socket: Socket,
    read_mode: ReadMode,
    clock: Clock,
}

impl TimeoutStream {
    /// Makes an accepted stream blocking, with [`SOCKET_TIMEOUT`] for reads and writes.
    ///
    /// # Errors
    /// The kernel refuses a socket option.
    pub(crate) fn new(socket: Socket, clock: Clock) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        socket.set_write_timeout(Some(SOCKET_TIMEOUT))?;
        Ok(Self { socket, read_mode: ReadMode::Wait, clock })
    }
}

impl Stream for TimeoutStream {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let flags = match self.read_mode {
            ReadMode::Wait => RecvFlags::empty(),
            ReadMode::NoWait => RecvFlags::DONTWAIT,
        };
        Ok(recv(&self.socket, buf, flags)?.0)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Stream::write(&mut self.socket, bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Stream::write_vectored(&mut self.socket, slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown_write()
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.socket.reset_on_drop()
    }

    #[inline]
    fn woke_at(&self) -> Option<Instant> {
        Some(self.clock.now())
    }
}

impl Link<TimeoutStream> {
    /// Marks both directions as ready for the next step: no event reports readiness to a blocking thread.
    #[inline]
    pub(crate) fn prepare_step(&mut self, read_mode: ReadMode) {
        self.readable = true;
        self.writable = true;
        self.stream.read_mode = read_mode;
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    #[test]
    fn a_read_without_data_ends_at_once_or_after_the_timeout() {
        let (ours, _theirs) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        let clock = Clock::new();
        let mut stream = TimeoutStream::new(ours, clock).unwrap();
        // The kernel counts timeouts in ticks of its clock and may round one down by a tick.
        let tick = Duration::from_millis(10);
        for (read_mode, wait_min) in [(ReadMode::NoWait, Duration::ZERO), (ReadMode::Wait, SOCKET_TIMEOUT - tick)] {
            stream.read_mode = read_mode;
            let started = clock.now();
            assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert!(clock.now().since(started) >= wait_min, "{read_mode:?}");
        }
    }

    #[test]
    fn a_write_that_finds_no_space_ends_after_the_timeout() {
        let (ours, _theirs) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        let mut stream = TimeoutStream::new(ours, Clock::new()).unwrap();
        let bytes = vec![0; 16 << 20];
        assert!(stream.write(&bytes).unwrap() < bytes.len(), "a write is cut short by the timeout");
        assert_eq!(stream.write(&bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
