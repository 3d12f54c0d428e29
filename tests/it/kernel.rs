//! The behavior of the kernel, mio and the C library that the code relies on, each as a small test.
//!
//! On another system, a failure here explains failures elsewhere. The tests use bare sockets, no server.
#![expect(clippy::unwrap_used, reason = "all of this is test code, and the system's error is the best message")]

mod closing;
mod datagrams;
mod edges;
mod heap;
mod listening;
mod polling;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

/// How long to wait for an event that should not come. Events within one kernel come at once.
const SILENCE: Duration = Duration::from_millis(100);

/// A buffer size below the minimum, which the kernel raises to its minimum.
const SMALLEST: usize = 1;

/// A listening socket on a free port, in blocking mode.
fn listener(backlog: i32) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(backlog).unwrap();
    socket
}

fn address(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

/// Both ends of a connection, in blocking mode: the accepted one and the connecting one.
fn pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = listener(1);
    let connected = std::net::TcpStream::connect(address(&listener)).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    (accepted.into(), connected)
}

fn has_event(poll: &mut Poll, within: Duration) -> bool {
    let mut events = Events::with_capacity(4);
    poll.poll(&mut events, Some(within)).unwrap();
    !events.is_empty()
}

/// A stream registered with a poll, for both directions.
struct Watched {
    poll: Poll,
    events: Events,
    stream: TcpStream,
}

/// The readiness of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EdgeEvent {
    readable: bool,
    writable: bool,
    read_closed: bool,
}

impl Watched {
    fn new(stream: std::net::TcpStream) -> Self {
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream);
        let poll = Poll::new().unwrap();
        poll.registry().register(&mut stream, Token(0), Interest::READABLE | Interest::WRITABLE).unwrap();
        let mut watched = Self { poll, events: Events::with_capacity(16), stream };
        assert!(watched.next().is_some_and(|event| event.writable), "a new connection can be written");
        watched
    }

    /// A registered stream and its other end.
    fn pair() -> (Self, std::net::TcpStream) {
        let (accepted, other) = pair();
        (Self::new(accepted), other)
    }

    /// The next event, or `None` if none comes.
    fn next(&mut self) -> Option<EdgeEvent> {
        self.poll.poll(&mut self.events, Some(SILENCE)).unwrap();
        let event = self.events.iter().next()?;
        let (readable, writable, read_closed) = (event.is_readable(), event.is_writable(), event.is_read_closed());
        Some(EdgeEvent { readable, writable, read_closed })
    }
}
