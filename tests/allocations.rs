//! Heap use: an echo and a client allocate nothing per message, and an idle peer uses at most 128 bytes.
//!
//! The allocator of this binary counts only in threads that request it, so the clients and the test code
//! do not count. Other tests measure resident memory, on the real process. To print the figures, run
//! `cargo test --test allocations -- --nocapture`.

#![expect(unsafe_code, reason = "the trait of allocators is unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant as SystemInstant};

use readyloop::client::Client;
use readyloop::codec::{ByteCodec, Framing, Length};
use readyloop::host::Peer;
use readyloop::instant::Instant;
use readyloop::net::{
    ConnectOptions, DatagramOptions, Destination, Event, Layer, Link, Net, PeerAddress, PollOutcome, Readiness, Stream,
    Token, Wake,
};
use readyloop::service::Echo;
use readyloop::{
    Address, Context, Dial, Limits, Lines, Listen, ListenOptions, PeerInfo, Raw, Reactor, Server, ServerLimits, Service,
};

/// The deadline of every step.
const TIMEOUT: Duration = Duration::from_secs(20);

// ── The allocator ───────────────────────────────────────────────────────────────────────────────

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The system's allocator, with counters for threads that request them.
struct Counting;

/// The counters of one thread.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    is_on: bool,
    /// New and resized blocks.
    allocations: u64,
    /// Allocated minus freed bytes.
    bytes: isize,
}

thread_local! {
    // Constant and without a destructor, so that access allocates nothing.
    static COUNT: Cell<Count> = const { Cell::new(Count { is_on: false, allocations: 0, bytes: 0 }) };
}

fn count(allocations: u64, allocated: usize, freed: usize) {
    let mut count = COUNT.get();
    if count.is_on {
        count.allocations += allocations;
        count.bytes += allocated.cast_signed() - freed.cast_signed();
        COUNT.set(count);
    }
}

// SAFETY: each call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: the caller guarantees what this method requires.
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

/// The allocations of this thread in `work`.
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
    assert_eq!(COUNT.get().allocations, 0, "counting is off");
}

// ── Messages of a server ────────────────────────────────────────────────────────────────────────

/// Concurrent clients.
const CLIENTS: usize = 16;
/// Rounds until all buffers have their final size. Each client sends once a round.
const WARM_UP_ROUNDS: usize = 50;
/// Counted rounds: 10,000 messages.
const ROUNDS: usize = 625;

/// An echo server over real sockets. The test calls its turns, so that only these are counted.
struct EchoTest {
    server: Server<Reactor>,
    clients: Vec<TcpStream>,
}

impl EchoTest {
    fn new(codec: impl ByteCodec + 'static) -> Self {
        let (server, address) = listen(codec);
        let clients = (0..CLIENTS).map(|_| connect(address)).collect();
        Self { server, clients }
    }

    /// Sends the pieces one after another on each client, and checks the echoes. Returns the number of
    /// allocations of the server.
    fn round(&mut self, pieces: &[&[u8]], echo: &[u8]) -> u64 {
        let ledger = self.server.totals().peers.ledger;
        let (mut read, mut allocations) = (ledger.bytes_read, 0);
        for piece in pieces {
            self.clients.iter_mut().for_each(|client| client.write_all(piece).expect("the server reads"));
            read += (CLIENTS * piece.len()) as u64;
            let deadline = SystemInstant::now() + TIMEOUT;
            while self.server.totals().peers.ledger.bytes_read < read {
                assert!(SystemInstant::now() < deadline, "the server does not read all bytes");
                allocations += counted(|| self.server.turn(None).expect("the poll works")).allocations;
            }
        }
        let mut received = vec![0; echo.len()];
        for client in &mut self.clients {
            client.read_exact(&mut received).expect("the echo arrives");
            assert_eq!(received, echo);
        }
        allocations
    }
}

/// An echo server on a free port.
fn listen(codec: impl ByteCodec + 'static) -> (Server<Reactor>, SocketAddr) {
    let mut server = Server::new(Reactor::new().expect("descriptors are free"), ServerLimits::default());
    let address: Address = "127.0.0.1:0".parse().expect("the address is valid");
    // A turn waits at most until the idle deadline.
    let limits = Limits { idle_timeout: TIMEOUT, ..Limits::default() };
    let endpoint = server.listen(Listen { limits, ..Listen::from(address) }, codec, Echo::new());
    let endpoint = endpoint.expect("a port is free");
    let Address::Tcp(address) = server.local_address(&endpoint) else { panic!("it is a TCP address") };
    let address = address.parse().expect("the address is numeric");
    (server, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).expect("the server listens");
    client.set_nodelay(true).expect("the connection is open");
    client.set_read_timeout(Some(TIMEOUT)).expect("the connection is open");
    client
}

#[track_caller]
fn check_steady_state(codec: impl ByteCodec + 'static, pieces: &[&[u8]]) {
    let mut echo_test = EchoTest::new(codec);
    let echo = pieces.concat();
    let warm_up: u64 = (0..WARM_UP_ROUNDS).map(|_| echo_test.round(pieces, &echo)).sum();
    assert!(warm_up > 0, "accepting a peer allocates, and is counted");
    let allocations: u64 = (0..ROUNDS).map(|_| echo_test.round(pieces, &echo)).sum();
    println!("{allocations} heap allocations in {} echoed messages", ROUNDS * CLIENTS);
    assert_eq!(allocations, 0);
}

#[test]
fn an_echo_allocates_nothing_in_any_framing() {
    check_steady_state(Raw, &[&[b'x'; 64]]);
    check_steady_state(Lines::new(), &[b"one line\nand another\n"]);
    // A frame that comes in pieces.
    check_steady_state(Length::default(), &[b"\x00\x00", b"\x00\x05he", b"llo"]);
}

// ── Messages of a client ────────────────────────────────────────────────────────────────────────

/// A client service that sends a line, and sends it again after each echo.
#[derive(Default)]
struct Pinger {
    replies: u64,
}

impl Service for Pinger {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, _: &mut (), _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        cx.send(b"ping");
    }

    fn on_frame(&mut self, _: &mut (), reply: &[u8], cx: &mut Context<'_, Self>) {
        assert_eq!(reply, b"ping");
        self.replies += 1;
        cx.send(reply);
    }
}

#[test]
fn a_client_allocates_nothing_for_a_message() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let (mut server, address) = listen(Raw);
        sender.send((address, server.handle())).expect("the test waits for it");
        server.run().expect("the poll works");
    });
    let (address, handle) = receiver.recv_timeout(TIMEOUT).expect("the server starts");
    let net = Reactor::new().expect("descriptors are free");
    let mut client = Client::new(net, Dial::default(), Lines::new(), Pinger::default(), ServerLimits::default());
    (0..CLIENTS).for_each(|_| client.connect(Destination::Tcp(address), None, ()));
    let mut allocations_until = |replies: usize| {
        let mut allocations = 0;
        let deadline = client.net().now() + TIMEOUT;
        while client.service().replies < replies as u64 {
            assert!(client.net().now() < deadline, "the replies do not arrive");
            allocations += counted(|| client.turn(Some(deadline)).expect("the poll works")).allocations;
        }
        allocations
    };
    let warm_up = WARM_UP_ROUNDS * CLIENTS;
    assert!(allocations_until(warm_up) > 0, "connecting allocates, and is counted");
    assert_eq!(allocations_until(warm_up + ROUNDS * CLIENTS), 0, "in {} messages", ROUNDS * CLIENTS);

    handle.stop();
}

// ── Idle peers ──────────────────────────────────────────────────────────────────────────────────

/// The allowed bytes that do not depend on the number of peers.
const BASE_BYTES: usize = 4 << 20;
/// The allowed bytes of one idle peer with all limits and deadlines.
const PEER_BYTES_MAX: usize = 128;

/// A net with any number of peers. Each peer sends two lines in two reads and is idle afterwards.
struct IdlePeers {
    /// Peers that are not accepted yet.
    pending: u32,
    listener: Token,
    /// The peers registered since the last poll, and those registered before it.
    new: Vec<Token>,
    known: Vec<Token>,
}

/// More peers than a server accepts in a turn, so that the vectors never grow.
const ACCEPTED_MAX: usize = 4096;

/// The stream of a peer, as large as a real stream without the debug assertions of mio.
struct IdleStream {
    reads: u32,
    _descriptor: u32,
}

#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<IdleStream>() == size_of::<<Reactor as Net>::Stream>());

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

impl Stream for IdleStream {
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

impl Net for IdlePeers {
    type Stream = IdleStream;
    type Listener = ();
    /// There are none.
    type Datagrams = <Reactor as Net>::Datagrams;
    type Layered<W: Layer<IdleStream> + 'static> = W;

    fn prepare_layer<W: Layer<IdleStream> + 'static>(&self, layer: W) -> W {
        layer
    }

    fn now(&self) -> Instant {
        Instant::ORIGIN
    }

    /// Reports each peer twice, once for each of its reads.
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

    fn hand_over(&mut self, _: &mut ()) {}

    fn accept(&mut self, (): &mut ()) -> io::Result<(IdleStream, PeerAddress)> {
        self.pending = self.pending.checked_sub(1).ok_or(ErrorKind::WouldBlock)?;
        // Each peer has its own address, because the server counts connections per address.
        let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(self.pending)), 1024);
        Ok((IdleStream { reads: 0, _descriptor: 0 }, PeerAddress::Tcp(source)))
    }

    fn register(&mut self, _stream: &mut IdleStream, token: Token) -> io::Result<()> {
        self.new.push(token);
        Ok(())
    }

    fn connect(&mut self, _to: &Destination, _options: &ConnectOptions, _token: Token) -> io::Result<IdleStream> {
        Err(ErrorKind::ConnectionRefused.into())
    }

    fn is_connected(&mut self, _stream: &mut IdleStream) -> io::Result<bool> {
        Ok(true)
    }

    fn bind(&mut self, _: &Address, _: &DatagramOptions, _: Token) -> io::Result<(Self::Datagrams, SocketAddr)> {
        Err(ErrorKind::AddrNotAvailable.into())
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::new(NoWake)
    }
}

/// The heap bytes of a server after all peers have sent their lines and are idle.
fn heap_bytes(peers: u32, connections_per_address_max: usize) -> usize {
    let limits =
        ServerLimits { connections_max: peers as usize, connections_per_address_max, ..ServerLimits::default() };
    let (new, known) = (Vec::with_capacity(ACCEPTED_MAX), Vec::with_capacity(ACCEPTED_MAX));
    let net = IdlePeers { pending: peers, listener: Token(0), new, known };
    let address: Address = "10.0.0.1:7007".parse().expect("the address is valid");
    let mut kept = None;
    let count = counted(|| {
        let mut server = Server::new(net, limits);
        server.listen(address, Framing::Lines(Lines::new()), Echo::new()).expect("this net accepts any address");
        while server.totals().peers.ledger.frames < 2 * u64::from(peers) {
            server.turn(None).expect("this poll cannot fail");
        }
        kept = Some(server);
    });
    let snapshot = kept.expect("the closure has run").snapshot();
    let endpoint = &snapshot.endpoints[0];
    let expected = (peers as usize, 0);
    assert_eq!((snapshot.open, snapshot.lent_bytes), expected, "all peers are open, and none holds a buffer");
    assert!(endpoint.peers.iter().all(|peer| peer.armed_at != Instant::NEVER), "a deadline is not armed");
    let bytes = count.bytes.unsigned_abs();
    println!("{peers:>6} idle peers: {bytes:>8} bytes of heap, {:>5.1} each", bytes as f64 / f64::from(peers));
    bytes
}

#[test]
fn idle_peers_use_128_bytes_each_plus_a_base() {
    // Vectors double: at a power of two they are full, and at one more they are half empty. Their empty
    // part counts here, although it is not resident.
    for peers in [1, 1_000, 16_384, 16_385, 19_000, 32_768] {
        // The worst case: the server counts each address, and each peer has its own.
        let bytes = heap_bytes(peers, 1);
        assert!(bytes <= BASE_BYTES + PEER_BYTES_MAX * peers as usize, "{bytes} bytes for {peers}");
    }
}

#[test]
fn one_more_idle_peer_uses_at_most_128_bytes() {
    let [few, many] = [16_384, 65_536];
    let each = (heap_bytes(many, usize::MAX) - heap_bytes(few, usize::MAX)) / (many - few) as usize;
    let peer = size_of::<Peer<Echo<Framing>, Link<IdleStream>>>();
    println!("{each} bytes each: {peer} for the peer, the rest for its key and its timer");
    assert!((peer..=PEER_BYTES_MAX).contains(&each), "{each} bytes");
}
