//! Thousands of clients on one thread. Each sends its own pattern and checks every echoed byte.
//!
//! The socket of a client is closed as soon as the server has ended the connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::{KIB, Pattern, TIMEOUT};

/// Writes in a row before other clients are served.
const WRITES_MAX: usize = 64;

/// How the peer ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// Its direction ended after all its bytes.
    Clean,
    Reset,
    Other(ErrorKind),
}

impl StreamEnd {
    pub(crate) fn of(error: &io::Error) -> Self {
        // The first call after a reset fails with `ConnectionReset`, later writes with `BrokenPipe`.
        let is_reset = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        if is_reset { Self::Reset } else { Self::Other(error.kind()) }
    }
}

/// What a client sends and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// Sends what [`Crowd::ask`] requests, and reads.
    OnRequest,
    /// Sends this many bytes, and again after each echo.
    Repeats { len: u64 },
    /// Keeps this many bytes in flight.
    Streams { in_flight: u64 },
    /// Sends without end and never reads.
    NeverReads,
    /// Reads only after it has sent all requested bytes.
    SendsFirst,
}

#[derive(Debug)]
pub(crate) struct Member {
    pattern: Pattern,
    behavior: Behavior,
    /// `None` after the end of the connection.
    stream: Option<TcpStream>,
    /// The total of bytes to send.
    requested: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    requested_at: Instant,
    /// A write failed because of a reset. The next read then sees an end, which is not a clean one.
    met_reset: bool,
    pub(crate) ending: Option<StreamEnd>,
}

impl Member {
    /// Whether all requested bytes were sent and echoed.
    pub(crate) fn is_answered(&self) -> bool {
        self.received == self.requested
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    fn reads(&self) -> bool {
        match self.behavior {
            Behavior::OnRequest | Behavior::Repeats { .. } | Behavior::Streams { .. } => true,
            Behavior::NeverReads => false,
            Behavior::SendsFirst => self.sent == self.requested,
        }
    }

    fn end(&mut self, ending: StreamEnd) {
        self.ending = Some(ending);
        self.stream = None;
    }

    /// The number of bytes that can be sent now.
    fn sendable(&self) -> u64 {
        match self.behavior {
            Behavior::OnRequest | Behavior::Repeats { .. } | Behavior::SendsFirst => self.requested - self.sent,
            Behavior::Streams { in_flight } => in_flight - (self.sent - self.received),
            Behavior::NeverReads => u64::MAX,
        }
    }

    /// Sends what can be sent. Returns whether there may be more to send.
    fn flush(&mut self) -> bool {
        for _ in 0..WRITES_MAX {
            let bytes = self.pattern.at(self.sent, self.sendable());
            let Some(stream) = self.stream.as_mut().filter(|_| !bytes.is_empty()) else { return false };
            match stream.write(bytes) {
                Ok(count) => self.sent += count as u64,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Bytes that arrived before the reset can still be read.
                Err(error) if self.behavior != Behavior::NeverReads && StreamEnd::of(&error) == StreamEnd::Reset => {
                    self.met_reset = true;
                    return false;
                }
                Err(error) => self.end(StreamEnd::of(&error)),
            }
        }
        true
    }

    /// Reads and checks. Returns whether there may be more to read.
    fn fill(&mut self, scratch: &mut [u8]) -> bool {
        // The bound gives the other clients their turn.
        for _ in 0..4 {
            let Some(stream) = &mut self.stream else { return false };
            match stream.read(scratch) {
                Ok(0) => self.end(if self.met_reset { StreamEnd::Reset } else { StreamEnd::Clean }),
                Ok(count) => {
                    assert!(self.received + count as u64 <= self.sent, "more bytes were echoed than sent");
                    self.pattern.check(self.received, &scratch[..count]);
                    self.received += count as u64;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.end(StreamEnd::of(&error)),
            }
        }
        true
    }
}

/// The clients and their poll.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    scratch: Vec<u8>,
    /// Members that were interrupted and must be served without another event.
    again: VecDeque<usize>,
    pub(crate) members: Vec<Member>,
    /// Each time from a request to the end of its echo.
    pub(crate) round_trips: Vec<Duration>,
}

impl Crowd {
    pub(crate) fn new() -> Self {
        Self {
            poll: Poll::new().expect("a descriptor is free"),
            events: Events::with_capacity(4 * KIB),
            scratch: vec![0; 64 * KIB],
            again: VecDeque::new(),
            members: Vec::new(),
            round_trips: Vec::new(),
        }
    }

    /// Connects `count` more clients. Returns their indexes.
    #[track_caller]
    pub(crate) fn join(&mut self, address: SocketAddr, count: usize, behavior: Behavior) -> Range<usize> {
        self.join_from(None, None, address, count, behavior)
    }

    /// Connects clients with socket buffers as small as the kernel makes them for `bytes`.
    #[track_caller]
    pub(crate) fn join_with_buffers(
        &mut self,
        bytes: usize,
        address: SocketAddr,
        count: usize,
        behavior: Behavior,
    ) -> Range<usize> {
        self.join_from(None, Some(bytes), address, count, behavior)
    }

    /// Connects clients from a given source address.
    #[track_caller]
    pub(crate) fn join_from(
        &mut self,
        source: Option<IpAddr>,
        buffers: Option<usize>,
        address: SocketAddr,
        count: usize,
        behavior: Behavior,
    ) -> Range<usize> {
        let first = self.members.len();
        for key in first..first + count {
            let stream = start_connect(source, buffers, address);
            let mut stream = stream.unwrap_or_else(|error| panic!("connect {key}: {error}"));
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(key), both).expect("the kernel has memory");
            let member = Member {
                pattern: Pattern::of(key),
                behavior,
                stream: Some(stream),
                requested: if let Behavior::Repeats { len } = behavior { len } else { 0 },
                sent: 0,
                received: 0,
                requested_at: Instant::now(),
                met_reset: false,
                ending: None,
            };
            self.members.push(member);
        }
        first..first + count
    }

    /// Makes each client of `range` send `len` more bytes.
    pub(crate) fn ask(&mut self, range: Range<usize>, len: u64) {
        for key in range {
            let member = &mut self.members[key];
            member.requested += len;
            member.requested_at = Instant::now();
            if member.flush() {
                self.again.push_back(key);
            }
        }
    }

    /// Closes the connections of these clients.
    pub(crate) fn leave(&mut self, range: Range<usize>) {
        for member in &mut self.members[range] {
            member.stream = None;
        }
    }

    fn serve(&mut self, key: usize) {
        let member = &mut self.members[key];
        let was_answered = member.is_answered();
        let mut has_more = member.behavior == Behavior::SendsFirst && member.flush();
        has_more |= member.reads() && member.fill(&mut self.scratch);
        if member.is_answered() && !was_answered {
            self.round_trips.push(member.requested_at.elapsed());
            if let Behavior::Repeats { len } = member.behavior {
                member.requested += len;
                member.requested_at = Instant::now();
            }
        }
        if member.flush() || has_more {
            self.again.push_back(key);
        }
    }

    /// Waits for events, at most `within`, and serves the clients that are ready. Returns whether any were.
    pub(crate) fn turn(&mut self, within: Duration) -> bool {
        let wait = if self.again.is_empty() { within } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return false,
            Err(error) => panic!("poll: {error}"),
        }
        let mut ready: Vec<usize> = self.again.drain(..).collect();
        ready.extend(self.events.iter().map(|event| event.token().0));
        for &key in &ready {
            self.serve(key);
        }
        !ready.is_empty()
    }

    /// Runs until `done` holds. Returns whether it holds within `within`.
    pub(crate) fn run_until(&mut self, within: Duration, mut done: impl FnMut(&[Member]) -> bool) -> bool {
        let deadline = Instant::now() + within;
        while !done(&self.members) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.turn(left);
        }
        true
    }

    /// Runs until these clients are not connected. Returns whether they are within `within`.
    pub(crate) fn run_until_closed(&mut self, within: Duration, range: Range<usize>) -> bool {
        self.run_until(within, |members| members[range.clone()].iter().all(|member| !member.is_open()))
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Runs until no event has occurred for `span`.
    #[track_caller]
    pub(crate) fn settle(&mut self, span: Duration) {
        let deadline = Instant::now() + TIMEOUT;
        while self.turn(span) {
            assert!(Instant::now() < deadline, "the events do not end");
        }
    }

    /// Makes each client of `range` send `len` bytes, and waits for all echoes.
    #[track_caller]
    pub(crate) fn echo(&mut self, range: Range<usize>, len: u64, within: Duration) {
        self.ask(range.clone(), len);
        self.wait_for_echoes(range, within);
    }

    /// Waits until these clients have all their echoes.
    #[track_caller]
    pub(crate) fn wait_for_echoes(&mut self, range: Range<usize>, within: Duration) {
        let answered = self.run_until(within, |members| members[range.clone()].iter().all(Member::is_answered));
        let missing = self.members[range].iter().filter(|member| !member.is_answered()).count();
        assert!(answered, "{missing} clients have no reply within {within:?}");
    }

    /// The number of clients of `range` that have all their echoes.
    pub(crate) fn answered(&self, range: Range<usize>) -> usize {
        self.members[range].iter().filter(|member| member.is_answered()).count()
    }

    /// The number of clients of `range` that the server has ended in this way.
    pub(crate) fn ended(&self, range: Range<usize>, ending: StreamEnd) -> usize {
        self.members[range].iter().filter(|member| member.ending == Some(ending)).count()
    }

    pub(crate) fn open(&self) -> usize {
        self.members.iter().filter(|member| member.is_open()).count()
    }

    pub(crate) fn bytes_received(&self) -> u64 {
        self.members.iter().map(|member| member.received).sum()
    }

    pub(crate) fn bytes_sent(&self) -> u64 {
        self.members.iter().map(|member| member.sent).sum()
    }
}

fn start_connect(source: Option<IpAddr>, buffers: Option<usize>, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    if let Some(bytes) = buffers {
        socket.set_recv_buffer_size(bytes)?;
        socket.set_send_buffer_size(bytes)?;
    }
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        other => other?,
    }
    Ok(TcpStream::from_std(socket.into()))
}
