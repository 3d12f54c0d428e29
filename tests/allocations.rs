//! Memory by construction: an echo and a client in steady state allocate nothing, and an idle peer
//! costs at most 128 bytes of heap.
//!
//! The allocator of this binary counts only what a thread does while it asks for that, so neither
//! clients nor the tests themselves are seen. What is resident is another matter: that is measured
//! on the real process. The figures: `cargo test --test allocations -- --nocapture`.

#![expect(unsafe_code, reason = "an allocator can be written in no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use readyloop::client::{Client, ClientLimits};
use readyloop::codec::{Codec, Framing, Length};
use readyloop::host::Peer;
use readyloop::instant::Instant;
use readyloop::net::{
    ConnectOptions, DatagramOptions, Datagrams, Destination, Event, Link, Net, PeerAddress, PollOutcome, Readiness,
    Stream, Token, Wake,
};
use readyloop::service::Echo;
use readyloop::{Address, Context, Lines, ListenOptions, Raw, Reactor, Server, ServerLimits, Service};

// ── The allocator ───────────────────────────────────────────────────────────────────────────────

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The system's allocator, which counts for threads that ask for it.
struct Counting;

/// What one thread allocated while it counted.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    is_on: bool,
    /// New blocks and blocks that were resized.
    allocations: u64,
    /// Bytes taken less bytes given back.
    bytes: isize,
}

thread_local! {
    // Constant and without a destructor, so that to reach it allocates nothing.
    static COUNT: Cell<Count> = const { Cell::new(Count { is_on: false, allocations: 0, bytes: 0 }) };
}

fn count(allocations: u64, taken: usize, given_back: usize) {
    let mut count = COUNT.get();
    if count.is_on {
        count.allocations += allocations;
        count.bytes += taken.cast_signed() - given_back.cast_signed();
        COUNT.set(count);
    }
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: the caller's promises are those that are asked for here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count(1, len, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, len) }
    }
}

/// What this thread allocates in `work`.
fn counted(work: impl FnOnce()) -> Count {
    COUNT.set(Count { is_on: true, ..Count::default() });
    work();
    COUNT.replace(Count::default())
}

#[test]
fn the_allocator_counts() {
    let count = counted(|| {
        let mut kept = Vec::<u8>::with_capacity(100);
        kept.reserve_exact(300);
        drop(vec![0; 1000]);
        std::mem::forget(kept);
    });
    assert_eq!((count.allocations, count.bytes), (3, 300));
    drop(vec![0; 1000]);
    assert_eq!(COUNT.get().allocations, 0, "nobody counts");
}

// ── Nothing for a message ───────────────────────────────────────────────────────────────────────

/// Peers that speak at once.
const CLIENTS: usize = 16;
/// Rounds until everything that grows has grown: every client speaks once in each.
const WARM_UP_ROUNDS: usize = 50;
/// Rounds that are counted: 10,000 messages.
const ROUNDS: usize = 625;

/// An echo over real sockets, turned by hand, so that only its turns are counted.
struct Conversation {
    server: Server<Reactor>,
    clients: Vec<TcpStream>,
}

impl Conversation {
    fn new(codec: impl Codec + 'static) -> Self {
        let mut server = Server::new(Reactor::new().expect("descriptors are free"), ServerLimits::default());
        let address: Address = "127.0.0.1:0".parse().expect("an address");
        let endpoint = server.listen(address, codec, Echo::new()).expect("a port is free");
        let Address::Tcp(address) = server.local_address(&endpoint) else { panic!("it is bound to a port") };
        let clients = (0..CLIENTS).map(|_| connect(address)).collect();
        Self { server, clients }
    }

    /// Sends these pieces one after another for every client, and takes their echo; says what the
    /// server allocated meanwhile.
    fn round(&mut self, pieces: &[&[u8]], echo: &[u8]) -> u64 {
        let ledger = self.server.totals().peers.ledger;
        let (mut read, mut allocations) = (ledger.bytes_read, 0);
        for piece in pieces {
            self.clients.iter_mut().for_each(|client| client.write_all(piece).expect("the server reads"));
            read += (CLIENTS * piece.len()) as u64;
            while self.server.totals().peers.ledger.bytes_read < read {
                allocations += counted(|| self.server.turn().expect("the poll works")).allocations;
            }
        }
        let mut received = vec![0; echo.len()];
        for client in &mut self.clients {
            client.read_exact(&mut received).expect("the echo comes");
            assert_eq!(received, echo);
        }
        allocations
    }
}

fn connect(address: &str) -> TcpStream {
    let client = TcpStream::connect(address).expect("the server listens");
    client.set_nodelay(true).expect("the stream is open");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("the stream is open");
    client
}

#[track_caller]
fn check_steady_state(codec: impl Codec + 'static, pieces: &[&[u8]]) {
    let mut conversation = Conversation::new(codec);
    let echo = pieces.concat();
    let warm_up: u64 = (0..WARM_UP_ROUNDS).map(|_| conversation.round(pieces, &echo)).sum();
    assert!(warm_up > 0, "to take in a peer allocates, and that is seen");
    let allocations: u64 = (0..ROUNDS).map(|_| conversation.round(pieces, &echo)).sum();
    println!("{allocations} heap allocations in {} echoed messages", ROUNDS * CLIENTS);
    assert_eq!(allocations, 0);
}

#[test]
fn an_echo_without_framing_allocates_nothing() {
    check_steady_state(Raw, &[&[b'x'; 64]]);
}

#[test]
fn an_echo_of_lines_allocates_nothing() {
    check_steady_state(Lines::new(), &[b"one line\nand another\n"]);
}

#[test]
fn a_frame_that_comes_in_pieces_allocates_nothing() {
    check_steady_state(Length::default(), &[b"\x00\x00", b"\x00\x05he", b"llo"]);
}

// ── Nothing for a message of a client of ours ───────────────────────────────────────────────────

/// Says a line when it opens, and again whenever the line comes back.
#[derive(Default)]
struct Pinger {
    replies: u64,
}

impl Service for Pinger {
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, _: &mut (), _: &dyn Display, cx: &mut Context<'_, '_>) {
        cx.send(b"ping");
    }

    fn on_frame(&mut self, _: &mut (), reply: &[u8], cx: &mut Context<'_, '_>) {
        assert_eq!(reply, b"ping");
        self.replies += 1;
        cx.send(reply);
    }
}

#[test]
fn a_client_allocates_nothing_for_a_message() {
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || {
        let mut server = Server::new(Reactor::new().expect("descriptors are free"), ServerLimits::default());
        let address: Address = "127.0.0.1:0".parse().expect("an address");
        let endpoint = server.listen(address, Raw, Echo::new()).expect("a port is free");
        tell.send((server.local_address(&endpoint).clone(), server.handle())).expect("the test waits for it");
        server.run().expect("the poll works");
    });
    let (Address::Tcp(to), handle) = told.recv().expect("it listens") else { panic!("it is bound to a port") };
    let to = Destination::Tcp(to.parse().expect("it has no name"));

    let net = Reactor::new().expect("descriptors are free");
    let mut client = Client::new(net, Lines::new(), Pinger::default(), ClientLimits::default());
    (0..CLIENTS).for_each(|_| client.connect(to.clone(), None, ()));
    let mut allocations_until = |replies: usize| {
        let mut allocations = 0;
        while client.service().replies < replies as u64 {
            allocations += counted(|| client.turn(None).expect("the poll works")).allocations;
        }
        allocations
    };
    let warm_up = WARM_UP_ROUNDS * CLIENTS;
    assert!(allocations_until(warm_up) > 0, "to connect allocates, and that is seen");
    assert_eq!(allocations_until(warm_up + ROUNDS * CLIENTS), 0, "in {} messages", ROUNDS * CLIENTS);

    handle.stop();
    server.join().expect("the server does not panic");
}

// ── Little for an idle peer ─────────────────────────────────────────────────────────────────────

/// What all peers together may cost beside their own share.
const BASE_BYTES: usize = 4 << 20;
/// What one idle peer may cost, every limit and deadline on.
const PEER_BYTES_MAX: usize = 128;

/// A net of as many peers as one likes: each says two lines, the first in two pieces, hears their
/// echo, and is idle from then on.
struct Crowd {
    coming: u32,
    listener: Token,
    /// Who was registered since the last poll, and who before that.
    new: Vec<Token>,
    known: Vec<Token>,
}

/// More newcomers than any server takes in a turn: so the crowd itself allocates nothing then.
const NEWCOMERS_MAX: usize = 4096;

/// One of the crowd, as large as a real stream is where mio has no checks for debugging in it.
struct Idler {
    reads: u32,
    _descriptor: u32,
}

#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Idler>() == size_of::<<Reactor as Net>::Stream>());

/// The crowd sends no datagrams.
struct NoDatagrams;

impl Datagrams for NoDatagrams {
    fn receive(&mut self, _buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn send(&mut self, _bytes: &[u8], _to: &SocketAddr) -> io::Result<()> {
        Err(ErrorKind::WouldBlock.into())
    }
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

impl Stream for Idler {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        const PIECES: [&[u8]; 2] = [b"hel", b"lo\nworld\n"];
        let piece = PIECES.get(self.reads as usize).ok_or(ErrorKind::WouldBlock)?;
        self.reads += 1;
        buf[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Net for Crowd {
    type Stream = Idler;
    type Listener = ();
    type Datagrams = NoDatagrams;

    fn now(&self) -> Instant {
        Instant::ORIGIN
    }

    /// Tells of each peer twice: once for each of its reads.
    fn poll(&mut self, events: &mut Vec<Event>, _until: Option<Instant>) -> io::Result<PollOutcome> {
        let event = |token| Event::Ready(Readiness { token, readable: true, writable: true, read_closed: false });
        events.extend(self.known.drain(..).map(event));
        events.extend(self.new.iter().copied().map(event));
        events.push(event(self.listener));
        std::mem::swap(&mut self.new, &mut self.known);
        Ok(PollOutcome::Complete)
    }

    fn listen(&mut self, _address: &Address, _options: &ListenOptions, token: Token) -> io::Result<()> {
        self.listener = token;
        Ok(())
    }

    fn local_address(&self, (): &()) -> Address {
        Address::Tcp("10.0.0.1:7007".to_owned())
    }

    fn accept(&mut self, (): &mut ()) -> io::Result<(Idler, PeerAddress)> {
        self.coming = self.coming.checked_sub(1).ok_or(ErrorKind::WouldBlock)?;
        // Each from an address of its own, since every address is counted.
        let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(self.coming)), 1024);
        Ok((Idler { reads: 0, _descriptor: 0 }, PeerAddress::Tcp(source)))
    }

    fn register(&mut self, _stream: &mut Idler, token: Token) -> io::Result<()> {
        self.new.push(token);
        Ok(())
    }

    fn connect(&mut self, _to: &Destination, _options: &ConnectOptions, _token: Token) -> io::Result<Idler> {
        Err(ErrorKind::ConnectionRefused.into())
    }

    fn is_connected(&mut self, _stream: &mut Idler) -> io::Result<bool> {
        Ok(true)
    }

    fn bind(
        &mut self,
        _address: &Address,
        _options: &DatagramOptions,
        _token: Token,
    ) -> io::Result<(NoDatagrams, SocketAddr)> {
        Err(ErrorKind::AddrNotAvailable.into())
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::new(NoWake)
    }
}

/// The heap of a server whose peers have all come, said their lines and fallen silent.
fn heap_bytes(peers: u32, connections_per_address_max: usize) -> usize {
    let limits =
        ServerLimits { connections_max: peers as usize, connections_per_address_max, ..ServerLimits::default() };
    let crowd = Crowd {
        coming: peers,
        listener: Token(0),
        new: Vec::with_capacity(NEWCOMERS_MAX),
        known: Vec::with_capacity(NEWCOMERS_MAX),
    };
    let address: Address = "10.0.0.1:7007".parse().expect("an address");
    let mut lived = None;
    let count = counted(|| {
        let mut server = Server::new(crowd, limits);
        server.listen(address, Framing::Lines(Lines::new()), Echo::new()).expect("the net takes any address");
        while server.totals().peers.ledger.frames < 2 * u64::from(peers) {
            server.turn().expect("this poll does not fail");
        }
        lived = Some(server);
    });
    let snapshot = lived.expect("it was made").snapshot();
    let endpoint = &snapshot.endpoints[0];
    assert_eq!((snapshot.open, snapshot.lent_bytes), (peers as usize, 0), "all are there and none holds a buffer");
    assert!(endpoint.peers.iter().all(|peer| peer.armed_at != Instant::NEVER), "every deadline is armed");
    let bytes = count.bytes.unsigned_abs();
    println!("{peers:>6} idle peers: {bytes:>8} bytes of heap, {:>5.1} each", bytes as f64 / f64::from(peers));
    bytes
}

#[test]
fn a_crowd_of_idle_peers_costs_128_bytes_each_and_a_base() {
    // Vectors grow by doubling: at a power of two they are full, at one more half empty. What is
    // empty was never touched, so it is not resident, but it is counted here all the same.
    for peers in [1, 1_000, 16_384, 16_385, 19_000, 32_768] {
        // Every address is counted as well, the worst case: each peer has one of its own.
        let bytes = heap_bytes(peers, 1);
        assert!(bytes <= BASE_BYTES + PEER_BYTES_MAX * peers as usize, "{bytes} bytes for {peers}");
    }
}

#[test]
fn one_more_idle_peer_costs_at_most_128_bytes() {
    let [few, many] = [16_384, 65_536];
    let each = (heap_bytes(many, usize::MAX) - heap_bytes(few, usize::MAX)) / (many - few) as usize;
    let peer = size_of::<Peer<Echo, Framing, Link<Idler>>>();
    println!("{each} bytes each, of which {peer} are the peer and the rest its key and its timer");
    assert!((peer..=PEER_BYTES_MAX).contains(&each), "{each} bytes");
}
