//! A proxy between client and server that simulates a bad network from a seed: single bytes, delays,
//! stalls, early ends, resets.
//!
//! Each connection has its own random numbers, so the same seed gives it the same faults. Only the
//! sizes of reads depend on timing.

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

/// The fault of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// All bytes arrive, with delays.
    None,
    /// The server receives this many bytes and then an end.
    Truncate { after: u64 },
    /// Both sides are reset after this many bytes in one direction.
    Reset { after: u64, from: usize },
}

/// The outcome of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathReport {
    /// Bytes forwarded to the server, and to the client.
    pub(crate) forwarded: [u64; 2],
    /// The proxy or one of the sides has reset the connection.
    pub(crate) is_reset: bool,
}

/// The index of the direction from the client to the server. 1 is the opposite direction.
const UPSTREAM: usize = 0;
const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// The proxy, on its own thread.
pub(crate) struct FaultProxy {
    pub(crate) address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<Vec<PathReport>>,
}

impl FaultProxy {
    /// Starts a proxy in front of `server`. `draw` chooses the fault of each connection.
    pub(crate) fn start(seed: u64, server: SocketAddr, draw: fn(&mut Rng) -> Fault) -> Self {
        let mut listener =
            TcpListener::bind("127.0.0.1:0".parse().expect("the address is valid")).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let poll = Poll::new().expect("a descriptor is free");
        let waker = Waker::new(poll.registry(), WAKER).expect("a descriptor is free");
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("the kernel has memory");
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (stop, rng) = (Arc::clone(&is_stopped), Rng::new(seed));
        let mut work = Work { poll, listener, server, draw, rng, tunnels: Vec::new(), has_more: false };
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                work.turn();
            }
            work.tunnels.iter().map(Tunnel::report).collect()
        });
        Self { address, is_stopped, waker, thread }
    }

    /// Stops the proxy. Returns the outcomes of the connections, in the order of their accept.
    pub(crate) fn stop(self) -> Vec<PathReport> {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.waker.wake().expect("the poll works");
        self.thread.join().expect("the proxy does not panic")
    }
}

struct Work {
    poll: Poll,
    listener: TcpListener,
    server: SocketAddr,
    draw: fn(&mut Rng) -> Fault,
    rng: Rng,
    tunnels: Vec<Tunnel>,
    /// A tunnel was interrupted and must be served without another event.
    has_more: bool,
}

impl Work {
    fn turn(&mut self) {
        let now = Instant::now();
        let pause_end = self.tunnels.iter().filter_map(Tunnel::paused_until).min();
        let wait = pause_end.map(|until| until.saturating_duration_since(now).max(Duration::from_millis(1)));
        let wait = if self.has_more { Some(Duration::ZERO) } else { wait };
        let mut events = Events::with_capacity(KIB);
        match self.poll.poll(&mut events, wait) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            Err(error) => panic!("poll: {error}"),
        }
        for event in &events {
            if let Some(tunnel) = self.tunnels.get_mut(event.token().0 / 2) {
                let side = event.token().0 % 2;
                tunnel.directions[side].readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                tunnel.directions[1 - side].writable |= event.is_writable() || event.is_error();
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
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(stream, token, both).expect("the kernel has memory");
        }
        let mut rng = self.rng.fork();
        let fault = (self.draw)(&mut rng);
        let directions = [Direction::new(rng.fork()), Direction::new(rng.fork())];
        self.tunnels.push(Tunnel { sides: Some(sides), fault, directions, is_reset: false });
    }
}

/// A pair of connections. `directions[side]` carries the bytes that `sides[side]` sends.
struct Tunnel {
    sides: Option<[TcpStream; 2]>,
    fault: Fault,
    directions: [Direction; 2],
    is_reset: bool,
}

/// One direction of a tunnel.
struct Direction {
    rng: Rng,
    bytes: Vec<u8>,
    readable: bool,
    writable: bool,
    source_ended: bool,
    /// The end was forwarded.
    is_over: bool,
    forwarded: u64,
    paused_until: Option<Instant>,
}

enum Moved {
    Some,
    Nothing,
    Reset,
}

impl Tunnel {
    fn report(&self) -> PathReport {
        PathReport { forwarded: [0, 1].map(|from| self.directions[from].forwarded), is_reset: self.is_reset }
    }

    fn paused_until(&self) -> Option<Instant> {
        self.sides.as_ref()?;
        self.directions.iter().filter_map(|direction| direction.paused_until).min()
    }

    /// Moves some bytes in each direction. Returns whether there may be more.
    fn turn(&mut self, now: Instant) -> bool {
        let mut has_more = false;
        for from in 0..2 {
            // The bound gives the other tunnels their turn.
            for piece in 0..8 {
                match self.move_some(from, now) {
                    Moved::Some => has_more |= piece == 7,
                    Moved::Nothing => break,
                    Moved::Reset => self.reset(),
                }
            }
        }
        // An earlier close, with unread input, would be a reset.
        if self.directions.iter().all(|direction| direction.is_over && direction.source_ended) {
            self.sides = None;
        }
        has_more
    }

    /// Resets both sides.
    fn reset(&mut self) {
        for stream in self.sides.iter().flatten() {
            // Fails if the side is already closed.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        self.sides = None;
        self.is_reset = true;
    }

    fn move_some(&mut self, from: usize, now: Instant) -> Moved {
        let Some(sides) = &mut self.sides else { return Moved::Nothing };
        let direction = &mut self.directions[from];
        if direction.paused_until.is_some_and(|end| now < end) {
            return Moved::Nothing;
        }
        direction.paused_until = None;
        let wants_input = direction.bytes.is_empty() && !direction.source_ended && direction.readable;
        if wants_input && matches!(direction.fill(&mut sides[from]), Moved::Reset) {
            return Moved::Reset;
        }
        let len_max = match self.fault {
            Fault::Truncate { after } if from == UPSTREAM => after - direction.forwarded,
            Fault::Reset { after, from: side } if side == from && direction.forwarded >= after => return Moved::Reset,
            Fault::Reset { after, from: side } if side == from => after - direction.forwarded,
            Fault::None | Fault::Truncate { .. } | Fault::Reset { .. } => u64::MAX,
        };
        direction.drain(&mut sides[1 - from], len_max, now)
    }
}

impl Direction {
    fn new(rng: Rng) -> Self {
        Self {
            rng,
            bytes: Vec::new(),
            readable: true,
            writable: true,
            source_ended: false,
            is_over: false,
            forwarded: 0,
            paused_until: None,
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
            Err(_) => return Moved::Reset,
        }
        Moved::Some
    }

    /// Writes one piece of at most `len_max` bytes, or forwards the end. Pauses at random.
    fn drain(&mut self, target: &mut TcpStream, len_max: u64, now: Instant) -> Moved {
        if self.is_over {
            // Bytes after an injected end are discarded, because unread input would cause a reset.
            let had = !self.bytes.is_empty();
            self.bytes.clear();
            return if had { Moved::Some } else { Moved::Nothing };
        }
        if len_max == 0 || (self.bytes.is_empty() && self.source_ended) {
            if !self.writable {
                return Moved::Nothing;
            }
            return match target.shutdown(Shutdown::Write) {
                Ok(()) => {
                    self.is_over = true;
                    Moved::Some
                }
                Err(error) if is_later(error.kind()) => Moved::Nothing,
                Err(_) => Moved::Reset,
            };
        }
        if self.bytes.is_empty() || !self.writable {
            return Moved::Nothing;
        }
        let longest = self.rng.pick(&[1, 1, 7, 100, KIB, 4 * KIB]);
        let piece = self.rng.up_to(longest).min(self.bytes.len()).min(usize::try_from(len_max).unwrap_or(usize::MAX));
        match target.write(&self.bytes[..piece]) {
            Ok(count) => {
                self.bytes.drain(..count);
                self.forwarded += count as u64;
                self.pause(now);
                Moved::Some
            }
            Err(error) if is_later(error.kind()) => {
                self.writable = false;
                Moved::Nothing
            }
            Err(_) => Moved::Reset,
        }
    }

    fn pause(&mut self, now: Instant) {
        let span = if self.rng.chance(0.005) {
            Duration::from_millis(300)
        } else if self.rng.chance(0.1) {
            self.rng.span(Duration::from_millis(5))
        } else {
            return;
        };
        self.paused_until = Some(now + span);
    }
}

fn is_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}
