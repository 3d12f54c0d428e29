//! A blocking stream: the border's [`Stream`] for a thread that has one peer and nothing else to do.
//!
//! It waits where a reactor's stream says `WouldBlock`, in one of two ways. A *nap* is the read
//! itself: no system call more than a plain blocking server makes, but for as long as it lasts the
//! thread hears nothing, unless it is roused. A *watch* costs one more call, and ends when the bell
//! rings or the next deadline is due. Who sleeps long watches; who is busy only naps.

mod bell;
mod nap;

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use log::debug;
use mio::net::{TcpStream, UnixStream};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::Socket;

use crate::instant::Instant;

use super::clock::Clock;
use super::listener::TcpOrUnix;
use super::stream::SEND_FLAGS;
use super::{Link, Stream};

pub(crate) use bell::Bell;
pub(crate) use nap::Naps;

use nap::Bed;

/// The longest nap, as long as somebody rouses every half of it; and the longest wait in a write.
///
/// It is how late a thread may be for a deadline of writing, so it must be short beside those. And a
/// peer that pauses for longer costs some calls more, so it must not be shorter than the pauses of a
/// busy peer.
pub(crate) const NAP: Duration = Duration::from_millis(500);

/// How the next read waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// In the read itself, for [`NAP`] at most.
    Nap,
    /// Until then, or until the bell rings; [`Instant::ORIGIN`]: not at all.
    Watch(Instant),
}

/// A socket whose reads and writes wait.
pub(crate) struct BlockingStream {
    bed: Arc<Bed>,
    patience: Patience,
    bell: Arc<Bell>,
    naps: Arc<Naps>,
    /// Its place among those who nap, while its patience is a nap.
    place: Option<usize>,
    /// Whether it was roused, so that its reads end at once.
    is_timed: bool,
    clock: Clock,
    /// Whether the last call may have waited.
    has_waited: bool,
}

impl BlockingStream {
    /// # Errors
    /// The socket refuses an option: it is gone.
    pub(crate) fn new(
        accepted: TcpOrUnix<TcpStream, UnixStream>,
        bell: Arc<Bell>,
        naps: Arc<Naps>,
        clock: Clock,
    ) -> io::Result<Self> {
        let socket = Socket::from(match accepted {
            TcpOrUnix::Tcp(tcp) => OwnedFd::from(tcp),
            TcpOrUnix::Unix(unix) => OwnedFd::from(unix),
        });
        socket.set_nonblocking(false)?;
        socket.set_write_timeout(Some(NAP))?;
        let bed = Arc::new(Bed::new(socket));
        let patience = Patience::Watch(Instant::ORIGIN);
        Ok(Self { bed, patience, bell, naps, place: None, is_timed: false, clock, has_waited: false })
    }

    #[inline]
    fn adopt(&mut self, patience: Patience) {
        self.patience = patience;
        if (patience == Patience::Nap) != self.place.is_some() {
            self.begin_or_end_naps();
        }
    }

    fn begin_or_end_naps(&mut self) {
        if let Some(place) = self.place.take() {
            self.is_timed |= self.naps.leave(place);
            return;
        }
        if self.is_timed {
            match self.bed.socket.set_read_timeout(None) {
                Ok(()) => self.is_timed = false,
                // Its nap is over at once, and it watches.
                Err(error) => debug!("cannot nap: {error}"),
            }
        }
        self.place = Some(self.naps.enter(&self.bed));
    }
}

impl Drop for BlockingStream {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.naps.leave(place);
        }
    }
}

impl Stream for BlockingStream {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.has_waited = true;
        let socket = &self.bed.socket;
        let received = match self.patience {
            Patience::Nap => {
                self.bed.count_move();
                let received = recv(socket, buf, RecvFlags::empty());
                self.bed.count_move();
                received
            }
            Patience::Watch(until) => {
                if !self.bell.wait_beside(socket.as_fd(), until, self.clock)? {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                recv(socket, buf, RecvFlags::DONTWAIT)
            }
        };
        Ok(received?.0)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nearly always there is room for all of it: no time passes, and none need be looked up.
        let sent = match send(&self.bed.socket, bytes, SEND_FLAGS | SendFlags::DONTWAIT) {
            Ok(sent) => sent,
            Err(Errno::WOULDBLOCK) => 0,
            Err(error) => return Err(error.into()),
        };
        self.has_waited = sent < bytes.len();
        if !self.has_waited {
            return Ok(sent);
        }
        match send(&self.bed.socket, &bytes[sent..], SEND_FLAGS) {
            Ok(more) => Ok(sent + more),
            // What is wrong with it the next call says again.
            Err(_) if sent > 0 => Ok(sent),
            Err(error) => Err(error.into()),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.has_waited = true;
        (&self.bed.socket).write_vectored(slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.bed.socket.shutdown(Shutdown::Write)
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        // A Unix stream takes the option and is simply gone all the same.
        self.bed.socket.set_linger(Some(Duration::ZERO))
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
        self.stream.adopt(patience);
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
