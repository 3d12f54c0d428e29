//! What the code relies on of the kernel, of mio and of the C library, each as a small test on
//! bare sockets: a surprise on another system is explained here and not debugged elsewhere.
//!
//! No server takes part.
#![expect(clippy::unwrap_used, reason = "these are tests throughout, and the system's own error says it best")]

mod closing;
mod edges;
mod heap;
mod listening;
mod polling;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

/// Nothing comes in this time that would not have come at once: both ends are in one kernel.
const SILENCE: Duration = Duration::from_millis(100);

/// Nonsense that is always too small: the kernel's own least buffer is taken.
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

/// Both ends of one connection, in blocking mode: the accepted one and the one that connected.
fn pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = listener(1);
    let connected = std::net::TcpStream::connect(address(&listener)).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    (accepted.into(), connected)
}

/// One stream under a poll, registered for both directions and asked about only by edges.
struct Watched {
    poll: Poll,
    events: Events,
    stream: TcpStream,
}

/// What one event said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
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
        assert!(watched.next().is_some_and(|told| told.writable), "a new connection can be written");
        watched
    }

    /// The next event, or none within the silence.
    fn next(&mut self) -> Option<Told> {
        self.poll.poll(&mut self.events, Some(SILENCE)).unwrap();
        let event = self.events.iter().next()?;
        Some(Told { readable: event.is_readable(), writable: event.is_writable(), read_closed: event.is_read_closed() })
    }
}
