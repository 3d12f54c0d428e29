//! [`Stream`]: the bytes of one connection, and its implementation for the kernel's sockets.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Duration;

use rustix::io::writev;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::Socket;

use crate::instant::Instant;
use crate::peer_address::PeerAddress;
use crate::service::TlsInfo;

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

    /// The address of the other end, if the system reports it.
    fn peer_address(&self) -> Option<PeerAddress> {
        None
    }

    /// The address of the peer that a proxy on the way has announced, once the handshake of the layer is
    /// complete. `None` if no proxy has.
    fn original_address(&self) -> Option<PeerAddress> {
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
const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: SendFlags = SendFlags::empty();

impl Stream for Socket {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self, buf, RecvFlags::empty())?.0)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self, bytes, SEND_FLAGS)?)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(writev(self, slices)?)
    }

    fn local_address(&self) -> Option<PeerAddress> {
        let address = self.local_addr().ok()?;
        Some(address.as_socket().map_or(PeerAddress::Unix, PeerAddress::Tcp))
    }

    fn peer_address(&self) -> Option<PeerAddress> {
        let address = self.peer_addr().ok()?;
        Some(address.as_socket().map_or(PeerAddress::Unix, PeerAddress::Tcp))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// A Unix socket accepts the option, but its peer sees an ordinary end (unix(7)).
    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }
}
