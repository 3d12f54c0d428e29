//! [`Stream`]: the bytes of one connection, and its implementation for the kernel's sockets.

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::SockRef;

use crate::instant::Instant;
use crate::peer_address::PeerAddress;
use crate::service::TlsInfo;

use super::listener::TcpOrUnix;

/// The bytes of one connection.
///
/// A stream that an event loop drives never blocks: a call that cannot proceed returns `WouldBlock`,
/// and an [`Event`](super::Event) follows when it may succeed. `Interrupted` means: call again.
///
/// The methods with a default body are for streams that wrap another stream, such as TLS, and for
/// streams that block on a thread of their own.
pub trait Stream {
    /// Reads at most `buf.len()` bytes. For a non-empty `buf`, `Ok(0)` means that the peer has ended
    /// its direction; ours stays open.
    ///
    /// # Errors
    /// As `read(2)`: `WouldBlock`, `Interrupted`, or the stream has failed. `UnexpectedEof`: the
    /// peer's direction ended without the end that its protocol requires.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes a prefix of `bytes` and returns its length.
    ///
    /// # Errors
    /// As `write(2)`: `WouldBlock`, `Interrupted`, or the stream has failed.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes a prefix of the concatenated slices and returns its length.
    ///
    /// # Errors
    /// As `writev(2)`: `WouldBlock`, `Interrupted`, or the stream has failed.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends our direction: the peer reads everything written so far and then the end. The stream can
    /// still be read.
    ///
    /// # Errors
    /// The stream has failed. `WouldBlock`: buffered bytes must be written first, call again.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Turns the coming drop into a reset: unsent bytes are discarded and the peer gets an error.
    ///
    /// # Errors
    /// The stream has already failed, or its kind has no reset.
    fn reset_on_drop(&mut self) -> io::Result<()>;

    /// Our own address of the connection, if the system reports it.
    fn local_address(&self) -> Option<PeerAddress> {
        None
    }

    /// The result of the TLS handshake. `None` without TLS, and before it is complete.
    fn tls(&self) -> Option<TlsInfo> {
        None
    }

    /// Whether the last read, if it did not fill its buffer, proves that no more input is available.
    #[inline]
    fn short_read_means_empty(&self) -> bool {
        true
    }

    /// Writes the bytes that the stream itself has buffered, such as TLS records.
    ///
    /// # Errors
    /// As `write(2)`. `WouldBlock`: some bytes are still buffered.
    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Announces that no more will be written, on a protocol that has such an announcement.
    ///
    /// [`Self::shutdown_write`] includes it; dropping the stream does not.
    ///
    /// # Errors
    /// As [`Self::flush`].
    #[inline]
    fn send_close_notify(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The time after the last read or write, if that call may have blocked.
    #[inline]
    fn woke_at(&self) -> Option<Instant> {
        None
    }
}

// Apple systems lack the flag. SIGPIPE is ignored there too, since Rust programs start that way.
#[cfg(not(target_vendor = "apple"))]
pub(super) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(super) const SEND_FLAGS: SendFlags = SendFlags::empty();

impl AsFd for TcpOrUnix<TcpStream, UnixStream> {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp) => tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
        }
    }
}

impl Stream for TcpOrUnix<TcpStream, UnixStream> {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.as_fd(), buf, RecvFlags::empty())?.0)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.as_fd(), bytes, SEND_FLAGS)?)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.write_vectored(slices),
            Self::Unix(unix) => unix.write_vectored(slices),
        }
    }

    fn local_address(&self) -> Option<PeerAddress> {
        match self {
            Self::Tcp(tcp) => tcp.local_addr().ok().map(PeerAddress::Tcp),
            Self::Unix(_) => Some(PeerAddress::Unix),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.shutdown(Shutdown::Write),
            Self::Unix(unix) => unix.shutdown(Shutdown::Write),
        }
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => SockRef::from(&*tcp).set_linger(Some(Duration::ZERO)),
            // Unix sockets have no reset; the peer reads what was sent and then the end.
            Self::Unix(_) => Ok(()),
        }
    }
}
