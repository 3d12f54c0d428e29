//! A proxy between client and server that does to the bytes what the worst of paths does, out of a
//! seed: pieces of one byte, delays, stalls, an end before its time, a reset.
//!
//! Each connection has dice of its own, so that its fate is the same for the same seed; how fast
//! the others are moves only what one read finds.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use readyloop::sim::Rng;
use socket2::SockRef;

use super::KIB;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// All of it arrives, whatever the pace.
    Whole,
    /// So many bytes of the client arrive and then an end, wherever that falls.
    Cut { after: u64 },
    /// Both sides are reset once so many bytes have gone one way.
    Reset { after: u64, way: usize },
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathReport {
    /// Bytes given on to the server, and to the client.
    pub(crate) passed: [u64; 2],
    /// One side was reset, by us or by the other.
    pub(crate) is_broken: bool,
}

/// The way from the client to the server; 1 is the way back.
const UP: usize = 0;
const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// The proxy, on a thread of its own.
pub(crate) struct FaultProxy {
    pub(crate) address: SocketAddr,
    is_over: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<Vec<PathReport>>,
}

impl FaultProxy {
    /// Draws each connection's fate by `draw` and its pace by itself.
    pub(crate) fn start(seed: u64, server: SocketAddr, draw: fn(&mut Rng) -> Fault) -> Self {
        let mut listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let poll = Poll::new().expect("a descriptor is free");
        let waker = Waker::new(poll.registry(), WAKER).expect("a descriptor is free");
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("the kernel has room");
        let is_over = Arc::new(AtomicBool::new(false));
        let (told, rng) = (Arc::clone(&is_over), Rng::new(seed));
        let mut work = Work { poll, listener, server, draw, rng, tunnels: Vec::new(), has_more: false };
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                work.turn();
            }
            work.tunnels.iter().map(Tunnel::passage).collect()
        });
        Self { address, is_over, waker, thread }
    }

    /// Stops it: what became of each connection, in the order in which they came.
    pub(crate) fn stop(self) -> Vec<PathReport> {
        self.is_over.store(true, Ordering::Relaxed);
        self.waker.wake().expect("the poll is whole");
        self.thread.join().expect("the proxy lives through all this")
    }
}

struct Work {
    poll: Poll,
    listener: TcpListener,
    server: SocketAddr,
    draw: fn(&mut Rng) -> Fault,
    rng: Rng,
    tunnels: Vec<Tunnel>,
    /// Somebody has more to move than it was given time for.
    has_more: bool,
}

impl Work {
    fn turn(&mut self) {
        let now = Instant::now();
        let waits = self.tunnels.iter().filter_map(Tunnel::waits_until).min();
        let wait = waits.map(|until| until.saturating_duration_since(now).max(Duration::from_millis(1)));
        let wait = if self.has_more { Some(Duration::ZERO) } else { wait };
        let mut events = Events::with_capacity(KIB);
        match self.poll.poll(&mut events, wait) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            Err(error) => panic!("the proxy's poll: {error}"),
        }
        for event in &events {
            if let Some(tunnel) = self.tunnels.get_mut(event.token().0 / 2) {
                let side = event.token().0 % 2;
                tunnel.ways[side].readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                tunnel.ways[1 - side].writable |= event.is_writable() || event.is_error();
            }
        }
        while let Ok((client, _)) = self.listener.accept() {
            self.open(client);
        }
        let now = Instant::now();
        self.has_more = false;
        for tunnel in &mut self.tunnels {
            self.has_more |= tunnel.turn(now);
        }
    }

    fn open(&mut self, client: TcpStream) {
        let server = TcpStream::connect(self.server).expect("ports are free");
        let mut sides = [client, server];
        for (side, stream) in sides.iter_mut().enumerate() {
            stream.set_nodelay(true).expect("it is open");
            let token = Token(2 * self.tunnels.len() + side);
            self.poll.registry().register(stream, token, Interest::READABLE | Interest::WRITABLE).expect("room");
        }
        let mut rng = self.rng.fork();
        let fate = (self.draw)(&mut rng);
        let ways = [Way::new(rng.fork()), Way::new(rng.fork())];
        self.tunnels.push(Tunnel { sides: Some(sides), fate, ways, is_broken: false });
    }
}

/// One connection on either side: `ways[side]` comes from that side.
struct Tunnel {
    sides: Option<[TcpStream; 2]>,
    fate: Fault,
    ways: [Way; 2],
    is_broken: bool,
}

/// One direction.
struct Way {
    rng: Rng,
    bytes: Vec<u8>,
    readable: bool,
    writable: bool,
    source_ended: bool,
    /// The end was given on.
    is_over: bool,
    passed: u64,
    rests_until: Option<Instant>,
}

/// What came of moving bytes.
enum Moved {
    Some,
    Nothing,
    Broken,
}

impl Tunnel {
    fn passage(&self) -> PathReport {
        PathReport { passed: [self.ways[0].passed, self.ways[1].passed], is_broken: self.is_broken }
    }

    fn waits_until(&self) -> Option<Instant> {
        self.sides.as_ref()?;
        self.ways.iter().filter_map(|way| way.rests_until).min()
    }

    /// Moves a little in each direction; whether there may be more.
    fn turn(&mut self, now: Instant) -> bool {
        let mut has_more = false;
        for way in 0..2 {
            // One tunnel must not keep the others waiting.
            for piece in 0..8 {
                match self.move_some(way, now) {
                    Moved::Some => has_more |= piece == 7,
                    Moved::Nothing => break,
                    Moved::Broken => self.reset(),
                }
            }
        }
        // A close with input unread would be a reset.
        if self.ways.iter().all(|way| way.is_over && way.source_ended) {
            self.sides = None;
        }
        has_more
    }

    /// Both sides see a reset.
    fn reset(&mut self) {
        for stream in self.sides.iter().flatten() {
            // One of them may be gone already.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        self.sides = None;
        self.is_broken = true;
    }

    fn move_some(&mut self, from: usize, now: Instant) -> Moved {
        let Some(sides) = &mut self.sides else { return Moved::Nothing };
        let way = &mut self.ways[from];
        if way.rests_until.is_some_and(|until| now < until) {
            return Moved::Nothing;
        }
        way.rests_until = None;
        if way.bytes.is_empty() && !way.source_ended && way.readable {
            match way.fill(&mut sides[from]) {
                Moved::Broken => return Moved::Broken,
                Moved::Some | Moved::Nothing => {}
            }
        }
        let room = match self.fate {
            Fault::Cut { after } if from == UP => after - way.passed,
            Fault::Reset { after, way: which } if which == from && way.passed >= after => return Moved::Broken,
            Fault::Reset { after, way: which } if which == from => after - way.passed,
            Fault::Whole | Fault::Cut { .. } | Fault::Reset { .. } => u64::MAX,
        };
        way.drain(&mut sides[1 - from], room, now)
    }
}

impl Way {
    fn new(rng: Rng) -> Self {
        Self {
            rng,
            bytes: Vec::new(),
            readable: true,
            writable: true,
            source_ended: false,
            is_over: false,
            passed: 0,
            rests_until: None,
        }
    }

    fn fill(&mut self, source: &mut TcpStream) -> Moved {
        let mut buf = [0; 4 * KIB];
        match source.read(&mut buf) {
            Ok(0) => self.source_ended = true,
            Ok(count) => self.bytes.extend_from_slice(&buf[..count]),
            Err(error) if is_later(error.kind()) => {
                self.readable = false;
                return Moved::Nothing;
            }
            Err(_) => return Moved::Broken,
        }
        Moved::Some
    }

    /// Writes one piece of at most `room` bytes, or gives the end on; rests now and then.
    fn drain(&mut self, target: &mut TcpStream, room: u64, now: Instant) -> Moved {
        if self.is_over {
            // What comes after an end before its time is thrown away, so that its sender is not reset.
            let had = !self.bytes.is_empty();
            self.bytes.clear();
            return if had { Moved::Some } else { Moved::Nothing };
        }
        if room == 0 || (self.bytes.is_empty() && self.source_ended) {
            if !self.writable {
                return Moved::Nothing;
            }
            return match target.shutdown(Shutdown::Write) {
                Ok(()) => {
                    self.is_over = true;
                    Moved::Some
                }
                Err(error) if is_later(error.kind()) => Moved::Nothing,
                Err(_) => Moved::Broken,
            };
        }
        if self.bytes.is_empty() || !self.writable {
            return Moved::Nothing;
        }
        let longest = self.rng.pick(&[1, 1, 7, 100, KIB, 4 * KIB]);
        let piece = self.rng.up_to(longest).min(self.bytes.len()).min(usize::try_from(room).unwrap_or(usize::MAX));
        match target.write(&self.bytes[..piece]) {
            Ok(count) => {
                self.bytes.drain(..count);
                self.passed += count as u64;
                self.rest(now);
                Moved::Some
            }
            Err(error) if is_later(error.kind()) => {
                self.writable = false;
                Moved::Nothing
            }
            Err(_) => Moved::Broken,
        }
    }

    fn rest(&mut self, now: Instant) {
        let span = if self.rng.chance(0.005) {
            Duration::from_millis(300)
        } else if self.rng.chance(0.1) {
            self.rng.span(Duration::from_millis(5))
        } else {
            return;
        };
        self.rests_until = Some(now + span);
    }
}

fn is_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}
