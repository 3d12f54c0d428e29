//! The border's [`Stream`] for the kernel's own sockets.
//!
//! It adds nothing to the system calls but their common name.

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::SockRef;

use super::Stream;
use super::listener::TcpOrUnix;

// Where there is no such flag the signal is ignored all the same: from the start of a Rust program on.
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

    fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.shutdown(Shutdown::Write),
            Self::Unix(unix) => unix.shutdown(Shutdown::Write),
        }
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => SockRef::from(&*tcp).set_linger(Some(Duration::ZERO)),
            // A Unix stream is simply gone; its peer reads what was sent and then the end.
            Self::Unix(_) => Ok(()),
        }
    }
}
