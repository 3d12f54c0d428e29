//! Very many clients on one thread: each sends its own pattern and checks every byte that comes back.
//!
//! A member that the peer has ended is dropped at once; how it ended stays known.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::{KIB, Pattern};

/// How a peer ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// Its direction ended after all it had sent.
    Clean,
    Reset,
    Other(ErrorKind),
}

impl StreamEnd {
    pub(crate) fn of(error: &io::Error) -> Self {
        // A write after the peer's reset was read breaks the pipe.
        let is_reset = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        if is_reset { Self::Reset } else { Self::Other(error.kind()) }
    }
}

/// What a member does besides what [`Crowd::ask`] tells it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// Nothing; reads what comes.
    OnRequest,
    /// Sends so many bytes and again as soon as they are back.
    Repeats { len: u64 },
    /// Always has so many bytes on the way.
    Streams { in_flight: u64 },
    /// Sends for ever and never reads.
    NeverReads,
    /// Reads only when all that it was asked for is sent.
    SendsFirst,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Member {
    pattern: Pattern,
    habit: Behavior,
    /// Gone when the connection is.
    stream: Option<TcpStream>,
    /// Bytes it was told to send, in all.
    asked: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    asked_at: Instant,
    /// A write met a reset: the read that follows sees an end, which was none.
    met_reset: bool,
    pub(crate) ending: Option<StreamEnd>,
}

impl Member {
    /// Everything it was asked to send was sent and has come back.
    pub(crate) fn is_answered(&self) -> bool {
        self.received == self.asked
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    fn reads(&self) -> bool {
        match self.habit {
            Behavior::OnRequest | Behavior::Repeats { .. } | Behavior::Streams { .. } => true,
            Behavior::NeverReads => false,
            Behavior::SendsFirst => self.sent == self.asked,
        }
    }

    fn end(&mut self, ending: StreamEnd) {
        self.ending = Some(ending);
        self.stream = None;
    }

    /// How many bytes may be sent now.
    fn sendable(&self) -> u64 {
        match self.habit {
            Behavior::OnRequest | Behavior::Repeats { .. } | Behavior::SendsFirst => self.asked - self.sent,
            Behavior::Streams { in_flight } => in_flight - (self.sent - self.received),
            Behavior::NeverReads => u64::MAX,
        }
    }

    fn flush(&mut self) {
        loop {
            let bytes = self.pattern.at(self.sent, self.sendable());
            let Some(stream) = self.stream.as_mut().filter(|_| !bytes.is_empty()) else { return };
            match stream.write(bytes) {
                Ok(count) => self.sent += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::NotConnected => {
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What came before the reset is still there to read.
                Err(error) if self.habit != Behavior::NeverReads && StreamEnd::of(&error) == StreamEnd::Reset => {
                    self.met_reset = true;
                    return;
                }
                Err(error) => self.end(StreamEnd::of(&error)),
            }
        }
    }

    /// Reads and checks what is there; whether more may be.
    fn fill(&mut self, scratch: &mut [u8]) -> bool {
        // One member that streams must not keep the others from being read.
        for _ in 0..4 {
            let Some(stream) = &mut self.stream else { return false };
            match stream.read(scratch) {
                Ok(0) => self.end(if self.met_reset { StreamEnd::Reset } else { StreamEnd::Clean }),
                Ok(count) => {
                    assert!(self.received + count as u64 <= self.sent, "more came back than was sent");
                    self.pattern.check(self.received, &scratch[..count]);
                    self.received += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::NotConnected => {
                    return false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.end(StreamEnd::of(&error)),
            }
        }
        true
    }
}

/// The members and the poll they share.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    scratch: Vec<u8>,
    /// Members that may have more to read than they were given time for.
    again: VecDeque<usize>,
    pub(crate) members: Vec<Member>,
    /// From the moment a member was asked to the moment all was back.
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

    /// Connects `count` more members.
    #[track_caller]
    pub(crate) fn join(&mut self, address: SocketAddr, count: usize, habit: Behavior) -> Range<usize> {
        self.join_from(None, None, address, count, habit)
    }

    /// Connects members whose socket buffers are as small as the kernel makes them for `bytes`.
    #[track_caller]
    pub(crate) fn join_with_buffers(
        &mut self,
        bytes: usize,
        address: SocketAddr,
        count: usize,
        habit: Behavior,
    ) -> Range<usize> {
        self.join_from(None, Some(bytes), address, count, habit)
    }

    /// Connects members from an address of their own.
    #[track_caller]
    pub(crate) fn join_from(
        &mut self,
        source: Option<IpAddr>,
        buffers: Option<usize>,
        address: SocketAddr,
        count: usize,
        habit: Behavior,
    ) -> Range<usize> {
        let first = self.members.len();
        for key in first..first + count {
            let stream = start_connect(source, buffers, address);
            let mut stream = stream.unwrap_or_else(|error| panic!("connection {key} of the clients: {error}"));
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(key), both).expect("the kernel has room");
            let mut member = Member {
                pattern: Pattern::of(key),
                habit,
                stream: Some(stream),
                asked: 0,
                sent: 0,
                received: 0,
                asked_at: Instant::now(),
                met_reset: false,
                ending: None,
            };
            if let Behavior::Repeats { len } = habit {
                member.asked = len;
            }
            self.members.push(member);
        }
        first..first + count
    }

    /// Asks each of `who` to send `len` more bytes.
    pub(crate) fn ask(&mut self, who: Range<usize>, len: u64) {
        for member in &mut self.members[who] {
            member.asked += len;
            member.asked_at = Instant::now();
            member.flush();
        }
    }

    /// Closes members from our side.
    pub(crate) fn leave(&mut self, who: Range<usize>) {
        for member in &mut self.members[who] {
            member.stream = None;
        }
    }

    fn serve(&mut self, key: usize) {
        let member = &mut self.members[key];
        let was_answered = member.is_answered();
        if member.habit == Behavior::SendsFirst {
            member.flush();
        }
        if member.reads() && member.fill(&mut self.scratch) {
            self.again.push_back(key);
        }
        if member.is_answered() && !was_answered {
            self.round_trips.push(member.asked_at.elapsed());
            if let Behavior::Repeats { len } = member.habit {
                member.asked += len;
                member.asked_at = Instant::now();
            }
        }
        member.flush();
    }

    /// Serves whoever is ready, waiting for that at most `within`; whether anyone was.
    pub(crate) fn turn(&mut self, within: Duration) -> bool {
        let wait = if self.again.is_empty() { within } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return false,
            Err(error) => panic!("the clients' poll: {error}"),
        }
        let mut ready: Vec<usize> = self.again.drain(..).collect();
        ready.extend(self.events.iter().map(|event| event.token().0));
        for &key in &ready {
            self.serve(key);
        }
        !ready.is_empty()
    }

    /// Runs until `done` or until `within` has passed; whether it was done.
    pub(crate) fn run_until(&mut self, within: Duration, mut done: impl FnMut(&[Member]) -> bool) -> bool {
        let deadline = Instant::now() + within;
        loop {
            if done(&self.members) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.turn(left);
        }
    }

    /// Runs for `time`, whatever happens.
    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Asks each of `who` for `len` bytes and waits for all of them to be back.
    #[track_caller]
    pub(crate) fn echo(&mut self, who: Range<usize>, len: u64, within: Duration) {
        self.ask(who.clone(), len);
        let answered = self.run_until(within, |members| members[who.clone()].iter().all(Member::is_answered));
        let missing = self.members[who].iter().filter(|member| !member.is_answered()).count();
        assert!(answered, "{missing} members have no answer within {within:?}");
    }

    pub(crate) fn answered(&self, who: Range<usize>) -> usize {
        self.members[who].iter().filter(|member| member.is_answered()).count()
    }

    pub(crate) fn ended(&self, who: Range<usize>, how: StreamEnd) -> usize {
        self.members[who].iter().filter(|member| member.ending == Some(how)).count()
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
