//! A blocking stream: the border's [`Stream`] for a thread that has one peer and nothing else to do.
//!
//! It waits where a reactor's stream says `WouldBlock`, in one of two ways. A *nap* is the read
//! itself: no system call more than a plain blocking server makes, but for as long as it lasts the
//! thread hears nothing else. A *watch* costs one more call, and ends when the bell rings or the
//! next deadline is due. Who sleeps long watches; who is busy only naps.

mod bell;

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use socket2::Socket;

use crate::instant::Instant;

use super::clock::Clock;
use super::listener::TcpOrUnix;
use super::{Link, Stream};

pub(crate) use bell::Bell;

/// The longest nap, in a read or in a write.
///
/// It is how late a thread may be for the end of the server and for a deadline of writing, so it
/// must be short beside those. And a peer that pauses for longer costs two calls more, so it must
/// not be shorter than the pauses of a busy peer.
pub(crate) const NAP: Duration = Duration::from_millis(500);

/// How the next read waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// In the read itself, for [`NAP`].
    Nap,
    /// Until then, or until the bell rings; [`Instant::ORIGIN`]: not at all.
    Watch(Instant),
}

/// A socket whose reads and writes wait.
pub(crate) struct BlockingStream {
    socket: Socket,
    patience: Patience,
    bell: Arc<Bell>,
    clock: Clock,
    /// Whether the last call may have waited.
    has_waited: bool,
}

impl BlockingStream {
    /// # Errors
    /// The socket refuses an option: it is gone.
    pub(crate) fn new(accepted: TcpOrUnix<TcpStream, UnixStream>, bell: Arc<Bell>, clock: Clock) -> io::Result<Self> {
        let socket = Socket::from(match accepted {
            TcpOrUnix::Tcp(tcp) => OwnedFd::from(tcp),
            TcpOrUnix::Unix(unix) => OwnedFd::from(unix),
        });
        socket.set_nonblocking(false)?;
        // Set once and for all: what changes from call to call is only how we wait before it.
        socket.set_read_timeout(Some(NAP))?;
        socket.set_write_timeout(Some(NAP))?;
        Ok(Self { socket, patience: Patience::Nap, bell, clock, has_waited: false })
    }
}

impl Stream for BlockingStream {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.has_waited = true;
        let may_read = match self.patience {
            Patience::Nap => true,
            Patience::Watch(until) => self.bell.wait_beside(self.socket.as_fd(), until, self.clock)?,
        };
        if may_read { self.socket.read(buf) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nearly always there is room for all of it: no time passes, and none need be looked up.
        let sent = match self.socket.send_with_flags(bytes, libc::MSG_DONTWAIT) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.has_waited = sent < bytes.len();
        if !self.has_waited {
            return Ok(sent);
        }
        match self.socket.write(&bytes[sent..]) {
            Ok(more) => Ok(sent + more),
            // What is wrong with it the next call says again.
            Err(_) if sent > 0 => Ok(sent),
            Err(error) => Err(error),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.has_waited = true;
        self.socket.write_vectored(slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        // A Unix stream takes the option and is simply gone all the same.
        self.socket.set_linger(Some(Duration::ZERO))
    }

    #[inline]
    fn woke_at(&self) -> Option<Instant> {
        self.has_waited.then(|| self.clock.now())
    }
}

impl Link<BlockingStream> {
    /// Makes the next step try both directions: nobody tells facts to a thread that blocks.
    #[inline]
    pub(crate) fn try_both(&mut self, patience: Patience) {
        self.readable = true;
        self.writable = true;
        self.stream.patience = patience;
    }

    /// From now on another bell ends its watches.
    pub(crate) fn listen_to(&mut self, bell: Arc<Bell>) {
        self.stream.bell = bell;
    }

    /// Waits for its bell, or until then, and not for the stream.
    ///
    /// # Errors
    /// The system cannot wait.
    pub(crate) fn wait_for_the_bell(&self, until: Instant) -> io::Result<()> {
        self.stream.bell.wait(until, self.stream.clock)
    }
}
