//! [`BlockingStream`]: one connection with blocking reads and writes.
//!
//! A plain socket behind the traits of `std`, without framing or buffering.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use socket2::Socket;

/// A connection over TCP or a Unix socket, with reads and writes that block.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use std::time::Duration;
///
/// use readyloop::client::Connect;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut stream = Connect { retries: 3, ..Connect::default() }.to(&"localhost:80".parse()?)?.stream;
/// stream.apply_timeout(Some(Duration::from_secs(10)))?;
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
    pub(super) fn from_nonblocking(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        Ok(Self { socket })
    }

    /// Limits the time that one read or one write may block; after it the call fails with `WouldBlock`
    /// (socket(7), `SO_RCVTIMEO`). `None` removes the limit, which is the default.
    ///
    /// # Errors
    /// The timeout is zero.
    pub fn apply_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)?;
        self.socket.set_write_timeout(timeout)
    }

    /// Ends our direction: the peer reads everything written so far and then the end. The stream can
    /// still be read.
    ///
    /// # Errors
    /// The connection has already failed.
    pub fn half_close(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// A second handle to the connection, so that one thread can read while another writes.
    ///
    /// # Errors
    /// No descriptor is free.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()? })
    }

    /// The connection as a non-blocking stream, for [`Client::adopt`](super::Client::adopt).
    ///
    /// # Errors
    /// The kernel refuses the change.
    pub fn into_nonblocking(self) -> io::Result<Socket> {
        self.socket.set_nonblocking(true)?;
        Ok(self.socket)
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

    /// Does nothing, since writes are not buffered.
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

    /// A connection to a peer that reads to the end and then sends everything back reversed.
    fn connect_to_reversing_peer() -> BlockingStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().into();
        thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            peer.read_to_end(&mut bytes).unwrap();
            bytes.reverse();
            peer.write_all(&bytes).unwrap();
        });
        Connect::default().to(&address).unwrap().stream
    }

    #[test]
    fn one_thread_writes_while_another_reads() {
        let mut writer = connect_to_reversing_peer();
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
    fn a_read_that_blocks_too_long_fails() {
        let mut stream = connect_to_reversing_peer();
        stream.apply_timeout(Some(Duration::from_millis(10))).unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_blocking_stream_becomes_non_blocking() {
        let mut stream = connect_to_reversing_peer().into_nonblocking().unwrap();
        let error = crate::net::Stream::read(&mut stream, &mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
