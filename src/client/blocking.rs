//! `BlockingStream`: one connection for a thread that may wait.
//!
//! It is the plain socket with `std`'s traits: it frames nothing and keeps no bytes.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use socket2::{Domain, Socket};

use crate::net::TcpOrUnix;

/// A connection over TCP or a Unix socket whose reads and writes wait.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use std::time::Duration;
///
/// use readyloop::client::Connect;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut stream = Connect { retries: 3, ..Connect::default() }.to(&"localhost:80".parse()?)?.stream;
/// stream.limit_waits(Some(Duration::from_secs(10)))?;
/// stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
/// stream.half_close()?;
/// let mut page = String::new();
/// stream.read_to_string(&mut page)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BlockingStream {
    socket: Socket,
}

impl BlockingStream {
    pub(super) fn from_nonblocking(stream: TcpOrUnix<TcpStream, UnixStream>) -> io::Result<Self> {
        let socket = Socket::from(match stream {
            TcpOrUnix::Tcp(tcp) => OwnedFd::from(tcp),
            TcpOrUnix::Unix(unix) => OwnedFd::from(unix),
        });
        socket.set_nonblocking(false)?;
        Ok(Self { socket })
    }

    /// The longest that one read, and one write, may wait; `None`: for ever. What takes longer
    /// fails with `WouldBlock`, as the system has it.
    ///
    /// # Errors
    /// The span is zero.
    pub fn limit_waits(&self, longest: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(longest)?;
        self.socket.set_write_timeout(longest)
    }

    /// Ends our direction: the peer reads all that was written and then the end; we read on.
    ///
    /// # Errors
    /// The stream is gone already.
    pub fn half_close(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// The same connection for another thread: one reads, one writes.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()? })
    }

    /// The same connection for a loop, such as [`Client::adopt`](super::Client::adopt).
    ///
    /// # Errors
    /// The stream is gone already.
    pub fn into_nonblocking(self) -> io::Result<TcpOrUnix<TcpStream, UnixStream>> {
        self.socket.set_nonblocking(true)?;
        let is_unix = self.socket.domain()? == Domain::UNIX;
        Ok(if is_unix {
            TcpOrUnix::Unix(UnixStream::from_std(self.socket.into()))
        } else {
            TcpOrUnix::Tcp(TcpStream::from_std(self.socket.into()))
        })
    }
}

impl Read for BlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buf)
    }
}

impl Write for BlockingStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    /// Nothing is kept back here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::super::Connect;
    use super::*;

    /// A connection to a peer that says what it heard, backwards, once it has heard the end.
    fn echo_of_the_end() -> BlockingStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().into();
        thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            peer.read_to_end(&mut heard).unwrap();
            heard.reverse();
            peer.write_all(&heard).unwrap();
        });
        Connect::default().to(&address).unwrap().stream
    }

    #[test]
    fn one_thread_writes_while_another_waits_for_the_reply() {
        let mut writer = echo_of_the_end();
        let mut reader = writer.try_clone().unwrap();
        let reply = thread::spawn(move || {
            let mut reply = String::new();
            reader.read_to_string(&mut reply).map(|_| reply)
        });
        writer.write_all(b"stressed").unwrap();
        writer.half_close().unwrap();
        assert_eq!(reply.join().unwrap().unwrap(), "desserts");
    }

    #[test]
    fn a_wait_ends_when_it_is_too_long() {
        let mut stream = echo_of_the_end();
        stream.limit_waits(Some(Duration::from_millis(10))).unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_loop_can_have_it() {
        let mut stream = echo_of_the_end().into_nonblocking().unwrap();
        let error = crate::net::Stream::read(&mut stream, &mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(matches!(stream, TcpOrUnix::Tcp(_)));
    }
}
