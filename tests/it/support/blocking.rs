//! Blocking clients, each for one connection, with a timeout for each read and write.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::{StreamEnd, TIMEOUT};

/// A stream that one thread can write while another thread reads.
pub(crate) trait Duplex: Read + Write + AsFd + From<OwnedFd> + Send {
    /// Closes it with a reset.
    fn reset(self) {
        SockRef::from(&self).set_linger(Some(Duration::ZERO)).expect("the connection is open");
    }

    /// Ends our direction.
    fn finish(&self) {
        SockRef::from(self).shutdown(Shutdown::Write).expect("the connection is open");
    }
}

impl<T: Read + Write + AsFd + From<OwnedFd> + Send> Duplex for T {}

#[track_caller]
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT).expect("the server accepts connections");
    with_timeouts(stream)
}

#[track_caller]
pub(crate) fn connect_unix(path: impl AsRef<Path>) -> UnixStream {
    let stream = UnixStream::connect(path).expect("the server accepts connections");
    stream.set_read_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
    stream.set_write_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
    stream
}

/// Connects with both socket buffers as small as the kernel makes them for `bytes`.
#[track_caller]
pub(crate) fn connect_with_buffers(address: SocketAddr, bytes: usize) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a descriptor is free");
    // Must be set before the connect, which negotiates the window scale.
    socket.set_recv_buffer_size(bytes).expect("the receive buffer is set");
    socket.set_send_buffer_size(bytes).expect("the send buffer is set");
    socket.connect_timeout(&address.into(), TIMEOUT).expect("the server accepts connections");
    with_timeouts(socket.into())
}

fn with_timeouts(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
    stream.set_write_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
    stream.set_nodelay(true).expect("the connection is open");
    stream
}

/// Repeats an interrupted call: a call with a timeout fails if the process was suspended (signal(7)).
pub(crate) fn retry_if_interrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[track_caller]
pub(crate) fn read_exactly(stream: &mut impl Read, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match retry_if_interrupted(|| stream.read(&mut bytes[filled..])) {
            Ok(0) => panic!("the stream ended after {filled} of {len} bytes"),
            Ok(count) => filled += count,
            Err(error) => panic!("{error} after {filled} of {len} bytes"),
        }
    }
    bytes
}

/// Reads until the peer ends the stream. Returns the bytes and the kind of the end.
#[track_caller]
pub(crate) fn read_to_the_end(stream: &mut impl Read) -> (Vec<u8>, StreamEnd) {
    let mut bytes = Vec::new();
    let ending = match stream.read_to_end(&mut bytes) {
        Ok(_) => StreamEnd::Clean,
        Err(error) => StreamEnd::of(&error),
    };
    (bytes, ending)
}

/// Checks that the server echoes `bytes`.
#[track_caller]
pub(crate) fn echoes(stream: &mut (impl Read + Write), bytes: &[u8]) {
    stream.write_all(bytes).expect("the server reads");
    same_bytes(&read_exactly(stream, bytes.len()), bytes);
}

/// Like `assert_eq!`, but prints only the first difference.
#[track_caller]
pub(crate) fn same_bytes(left: &[u8], right: &[u8]) {
    if left != right {
        let index = left.iter().zip(right).take_while(|(left, right)| left == right).count();
        panic!("{} bytes and {} bytes differ at index {index}", left.len(), right.len());
    }
}

/// Writes `bytes` in pieces on another thread, half-closes, and reads until the peer ends the stream.
#[track_caller]
pub(crate) fn exchange<S: Duplex>(stream: &mut S, bytes: &[u8], piece: usize) -> (Vec<u8>, StreamEnd) {
    let mut writer = S::from(stream.as_fd().try_clone_to_owned().expect("a descriptor is free"));
    thread::scope(|scope| {
        scope.spawn(move || {
            for piece in bytes.chunks(piece) {
                writer.write_all(piece).expect("the server reads");
            }
            writer.finish();
        });
        read_to_the_end(stream)
    })
}
