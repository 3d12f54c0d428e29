//! The border's [`Stream`] for the kernel's own sockets.
//!
//! It adds nothing to the system calls but their common name.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use socket2::SockRef;

use super::Stream;
use super::listener::TcpOrUnix;

impl Stream for TcpOrUnix<TcpStream, UnixStream> {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.read(buf),
            Self::Unix(unix) => unix.read(buf),
        }
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.write(bytes),
            Self::Unix(unix) => unix.write(bytes),
        }
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
