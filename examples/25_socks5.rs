//! A SOCKS 5 proxy (RFC 1928): a greeting, a request, and then bytes in both directions.
//!
//! Try it: `cargo run --example 25_socks5`
//!
//! ```text
//! by address: the server replied "hello through the proxy"
//! by name: the server replied "hello through the proxy"
//! nothing listens: the proxy replied 5, connection refused
//! a client that sends no greeting is closed after 1 s
//! ```
//!
//! To run it until Ctrl-C: `cargo run --example 25_socks5 127.0.0.1:1080`, then
//! `curl --socks5-hostname 127.0.0.1:1080 http://example.com/`.
//!
//! The codec has a state for each stage of a connection, and the service switches it:
//!
//! ```text
//! accepted ── Greeting ── Request ──┐ reply
//!                                   ├── Relay      every read is a frame
//! connected ────────────────────────┘
//! ```
//!
//! - Each stage has a deadline: `frame_timeout` for the greeting and the request, a timeout for the
//!   lookup of a name, `connect_timeout` for the connection, and `idle_timeout` for the relay.
//! - A name is looked up on another thread. The reply keeps its place, so bytes that a client sends too
//!   early wait for it.
//! - A slow side slows down the other one; see [`Relay`].

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::num::NonZero;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use readyloop::client::look_up;
use readyloop::codec::{Codec, Decoded, Envelope, FrameError};
use readyloop::offload::Offload;
use readyloop::service::{ConnectFailure, Echo, PROXY_QUEUE, Relay, ReplyToken};
use readyloop::{
    Address, CloseReason, Context, EventLoop, Handle, Key, Limits, Listen, Orders, PeerInfo, Raw, Reactor, Sender,
    ServerLimits, Service,
};

/// The longest lookup of a name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The framing of SOCKS 5, with a stage for each connection.
struct Socks;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Greeting,
    Request,
    Relay,
}

impl Codec for Socks {
    type State = Stage;
    type Frame<'a> = &'a [u8];

    fn decode(&self, stage: &mut Stage, input: &[u8], _frame_len_max: usize) -> Result<Decoded, FrameError> {
        if *stage != Stage::Relay && input[0] != 5 {
            return Err(FrameError::Malformed("it is not version 5 of SOCKS"));
        }
        let len = match (*stage, input) {
            (Stage::Greeting, [_, methods, ..]) => 2 + usize::from(*methods),
            (Stage::Request, [_, _, _, 1, ..]) => 4 + 4 + 2,
            (Stage::Request, [_, _, _, 3, name_len, ..]) => 4 + 1 + usize::from(*name_len) + 2,
            (Stage::Request, [_, _, _, 4, ..]) => 4 + 16 + 2,
            // The service refuses another kind of address.
            (Stage::Request, [_, _, _, kind, ..]) if *kind != 3 => 4,
            (Stage::Greeting | Stage::Request, _) => return Ok(Decoded::More),
            (Stage::Relay, bytes) => bytes.len(),
        };
        if input.len() < len {
            return Ok(Decoded::More);
        }
        Ok(Decoded::Frame { frame: 0..len, consumed: len })
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        Ok(bytes)
    }

    fn envelope(&self, _stage: &Stage, _parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        Ok(Envelope::NONE)
    }

    fn expects_frame(&self, stage: &Stage) -> bool {
        *stage != Stage::Relay
    }
}

/// Reply codes of RFC 1928, section 6.
mod code {
    pub(crate) const SUCCEEDED: u8 = 0;
    pub(crate) const GENERAL_FAILURE: u8 = 1;
    pub(crate) const HOST_UNREACHABLE: u8 = 4;
    pub(crate) const CONNECTION_REFUSED: u8 = 5;
    pub(crate) const COMMAND_NOT_SUPPORTED: u8 = 7;
    pub(crate) const ADDRESS_NOT_SUPPORTED: u8 = 8;
}

/// A reply without a bound address, which no client needs after CONNECT.
fn reply(code: u8) -> [u8; 10] {
    [5, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

/// Where a client asks to be connected to.
enum Target {
    Ip(SocketAddr),
    Name(String),
}

/// The target of a whole request, or the code that refuses it.
fn parse(request: &[u8]) -> Result<Target, u8> {
    let (&[_, command, _, kind, ref rest @ ..], [.., high, low]) = (request, request) else {
        return Err(code::GENERAL_FAILURE);
    };
    let (address, port) = (&rest[..rest.len().saturating_sub(2)], u16::from_be_bytes([*high, *low]));
    let ip = match kind {
        1 => <[u8; 4]>::try_from(address).map(IpAddr::from).ok(),
        4 => <[u8; 16]>::try_from(address).map(IpAddr::from).ok(),
        3 => None,
        _ => return Err(code::ADDRESS_NOT_SUPPORTED),
    };
    if command != 1 {
        return Err(code::COMMAND_NOT_SUPPORTED);
    }
    match (ip, address) {
        (Some(ip), _) => Ok(Target::Ip((ip, port).into())),
        (None, [_, name @ ..]) => {
            let name = str::from_utf8(name).map_err(|_| code::HOST_UNREACHABLE)?;
            Ok(Target::Name(format!("{name}:{port}")))
        }
        (None, []) => Err(code::GENERAL_FAILURE),
    }
}

/// Looks up `host:port`. A test has a lookup of its own.
type LookUp = fn(&str) -> io::Result<Vec<SocketAddr>>;

struct Socks5 {
    relay: Relay,
    look_up: LookUp,
    offload: Offload,
    sender: Sender<Resolved>,
}

/// The result of a lookup.
#[derive(Debug)]
struct Resolved(ReplyToken, io::Result<Vec<SocketAddr>>);

/// A client, or the connection to a server.
#[derive(Default)]
struct Side {
    /// The reply that the client of an outbound connection waits for.
    waiting: Option<ReplyToken>,
    /// Further addresses of the server, to be tried if this one fails.
    others: Vec<SocketAddr>,
}

impl Socks5 {
    fn new(sender: Sender<Resolved>, offload: Offload, look_up: LookUp) -> Self {
        Self { relay: Relay::default(), look_up, offload, sender }
    }

    fn serve_request(&mut self, request: &[u8], cx: &mut Context<'_, Self>) {
        // The reply goes out before the bytes of the server, and no byte of the client is served until then.
        *cx.codec_state() = Stage::Relay;
        cx.keep_open();
        let token = cx.defer_reply();
        match parse(request) {
            Ok(Target::Ip(address)) => connect(vec![address], token, &mut cx.orders()),
            Ok(Target::Name(name)) => {
                let look_up = self.look_up;
                let message = move |resolved: Result<io::Result<_>, _>| {
                    Resolved(token, resolved.unwrap_or_else(|panicked| Err(io::Error::other(panicked))))
                };
                if self.offload.submit(&self.sender, move || look_up(&name), message).is_err() {
                    refuse(code::GENERAL_FAILURE, token, &mut cx.orders());
                }
            }
            Err(code) => refuse(code, token, &mut cx.orders()),
        }
    }
}

/// Connects to the first address.
fn connect(mut addresses: Vec<SocketAddr>, token: ReplyToken, orders: &mut Orders<'_, Socks5>) {
    if addresses.is_empty() {
        return refuse(code::HOST_UNREACHABLE, token, orders);
    }
    let first = addresses.remove(0);
    orders.connect(first, Side { waiting: Some(token), others: addresses });
}

/// Sends the client a failure and closes it.
fn refuse(code: u8, token: ReplyToken, orders: &mut Orders<'_, Socks5>) {
    // An error means that the callback has ordered too much. The client is closed in any case.
    let _ = orders.answer(token, &[&reply(code)]);
    orders.finish(token.key());
}

impl Service for Socks5 {
    type Codec = Socks;
    type Peer = Side;
    type Message = Resolved;

    fn on_open(&mut self, side: &mut Side, _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        let key = cx.key();
        let Some(token) = side.waiting.take() else { return self.relay.insert(key) };
        *cx.codec_state() = Stage::Relay;
        cx.keep_open();
        // Otherwise the client was closed meanwhile.
        let is_paired = self.relay.pair(token.key(), key);
        if !is_paired || cx.orders().answer(token, &[&reply(code::SUCCEEDED)]).is_err() {
            cx.close();
        }
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<Side>, orders: &mut Orders<'_, Self>) {
        let Some(token) = failure.peer.waiting else { return };
        let is_refused = failure.error.kind() == io::ErrorKind::ConnectionRefused;
        let code = if is_refused { code::CONNECTION_REFUSED } else { code::HOST_UNREACHABLE };
        if failure.peer.others.is_empty() {
            refuse(code, token, orders);
        } else {
            connect(failure.peer.others, token, orders);
        }
    }

    fn on_frame(&mut self, _side: &mut Side, frame: &[u8], cx: &mut Context<'_, Self>) {
        match *cx.codec_state() {
            // Method 0 is "no authentication required".
            Stage::Greeting if frame[2..].contains(&0) => {
                *cx.codec_state() = Stage::Request;
                cx.send(&[5, 0]);
            }
            Stage::Greeting => {
                cx.send(&[5, 0xff]);
                cx.finish();
            }
            Stage::Request => self.serve_request(frame, cx),
            Stage::Relay => self.relay.handle_frame(frame, cx),
        }
    }

    fn on_message(&mut self, Resolved(token, addresses): Resolved, orders: &mut Orders<'_, Self>) {
        match addresses {
            Ok(addresses) => connect(addresses, token, orders),
            Err(_) => refuse(code::HOST_UNREACHABLE, token, orders),
        }
    }

    fn on_writable(&mut self, _side: &mut Side, cx: &mut Context<'_, Self>) {
        self.relay.handle_writable(cx);
    }

    fn on_end(&mut self, _side: &mut Side, cx: &mut Context<'_, Self>) {
        self.relay.handle_end(cx);
    }

    fn on_close(&mut self, _side: Side, key: Key, reason: CloseReason, orders: &mut Orders<'_, Self>) {
        self.relay.handle_close(key, reason, orders);
    }
}

/// Where the proxy listens, and its deadlines.
fn listen_at(address: Address, frame_timeout: Duration) -> Listen {
    Listen { limits: Limits { queue: PROXY_QUEUE, frame_timeout, ..Limits::default() }, ..Listen::from(address) }
}

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1) {
        Some(address) => run_proxy(&address),
        None => demonstrate(),
    }
}

/// Runs a proxy until Ctrl-C.
fn run_proxy(address: &str) -> anyhow::Result<()> {
    let mut event_loop = EventLoop::new(Reactor::new()?.draining_on_signals()?, ServerLimits::default());
    let offload = Offload::start(NonZero::new(4).expect("it is not zero"), 1024)?;
    let listen = listen_at(address.parse()?, Duration::from_secs(10));
    let id = event_loop.listen_with(listen, Socks, |sender| Socks5::new(sender, offload, look_up_name))?;
    println!("SOCKS 5 at {}", event_loop.local_address(&id));
    println!("{}", event_loop.run()?);
    Ok(())
}

fn look_up_name(name: &str) -> io::Result<Vec<SocketAddr>> {
    look_up(name, LOOKUP_TIMEOUT).map_err(io::Error::other)
}

/// Runs the proxy and an echo server on one event loop.
fn serve(ready: &SyncSender<(SocketAddr, SocketAddr, Handle)>) -> anyhow::Result<()> {
    let mut event_loop = EventLoop::new(Reactor::new()?, ServerLimits::default());
    let offload = Offload::start(NonZero::<usize>::MIN, 16)?;
    let echo = event_loop.listen("127.0.0.1:0", Raw, Echo::new())?;
    let listen = listen_at("127.0.0.1:0".parse()?, Duration::from_secs(1));
    let proxy = event_loop.listen_with(listen, Socks, |sender| Socks5::new(sender, offload, look_up_name))?;
    let address = |address: &Address| address.to_string().trim_start_matches("tcp://").parse();
    let (echo, proxy) = (address(event_loop.local_address(&echo))?, address(event_loop.local_address(&proxy))?);
    ready.send((proxy, echo, event_loop.handle()))?;
    event_loop.run()?;
    Ok(())
}

fn demonstrate() -> anyhow::Result<()> {
    let (ready, started) = sync_channel(1);
    let loop_thread = thread::spawn(move || serve(&ready));
    let (proxy, echo, handle) = started.recv()?;

    let mut by_address = vec![1, 127, 0, 0, 1];
    by_address.extend(echo.port().to_be_bytes());
    println!("by address: the server replied {:?}", talk_through(proxy, &by_address)?);

    let mut by_name = b"\x03\x09localhost".to_vec();
    by_name.extend(echo.port().to_be_bytes());
    println!("by name: the server replied {:?}", talk_through(proxy, &by_name)?);

    let (_, code) = request(proxy, &[1, 127, 0, 0, 1, 0, 1])?;
    anyhow::ensure!(code == code::CONNECTION_REFUSED, "the proxy replied {code}");
    println!("nothing listens: the proxy replied {code}, connection refused");

    let begun = Instant::now();
    let mut silent = TcpStream::connect(proxy)?;
    silent.read_to_end(&mut Vec::new())?;
    println!("a client that sends no greeting is closed after {:.0} s", begun.elapsed().as_secs_f64());

    handle.drain();
    loop_thread.join().expect("the event loop does not panic")
}

/// Asks the proxy for a connection to `target`. Returns the stream and the code of the reply.
fn request(proxy: SocketAddr, target: &[u8]) -> anyhow::Result<(TcpStream, u8)> {
    let mut stream = TcpStream::connect(proxy)?;
    // The request and the first bytes may follow the greeting at once.
    stream.write_all(&[&[5, 1, 0, 5, 1, 0], target].concat())?;
    let mut replies = [0; 2 + 10];
    stream.read_exact(&mut replies)?;
    anyhow::ensure!(replies[..2] == [5, 0], "the proxy accepts the method");
    Ok((stream, replies[3]))
}

/// Sends a line through the proxy, and returns what comes back.
fn talk_through(proxy: SocketAddr, target: &[u8]) -> anyhow::Result<String> {
    let (mut stream, code) = request(proxy, target)?;
    anyhow::ensure!(code == code::SUCCEEDED, "the proxy replied {code}");
    stream.write_all(b"hello through the proxy")?;
    stream.shutdown(Shutdown::Write)?;
    let mut replied = String::new();
    stream.read_to_string(&mut replied)?;
    Ok(replied)
}

#[cfg(test)]
mod tests {
    use readyloop::sim::{Behavior, Faults, SimNet, World};

    use super::*;

    /// The number of worlds with faults.
    const SEEDS: u64 = 100;

    const SERVER: &str = "10.9.9.9:80";
    /// A request for `SERVER` by its address and by its name.
    const BY_ADDRESS: &[u8] = &[5, 1, 0, 1, 10, 9, 9, 9, 0, 80];
    const BY_NAME: &[u8] = b"\x05\x01\x00\x03\x06server\x00\x50";

    fn look_up_in_test(name: &str) -> io::Result<Vec<SocketAddr>> {
        match name {
            // Nothing listens at the first address.
            "server:80" => Ok(vec!["10.9.9.8:80".parse().unwrap(), SERVER.parse().unwrap()]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn start(world: &World) -> (EventLoop<SimNet>, Address) {
        let address: Address = "10.0.0.99:1080".parse().unwrap();
        let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
        let listen = listen_at(address.clone(), Duration::from_secs(10));
        let service = |sender| Socks5::new(sender, Offload::inline(), look_up_in_test);
        event_loop.listen_with(listen, Socks, service).unwrap();
        (event_loop, address)
    }

    fn each_world(test: impl Fn(&World)) {
        test(&World::new(0));
        for seed in 0..SEEDS {
            test(&World::new(seed).with_faults(Faults::delays_drawn_from(seed)));
        }
    }

    #[test]
    fn bytes_pass_in_both_directions_after_the_reply() {
        for target in [BY_ADDRESS, BY_NAME] {
            each_world(|world| {
                let (mut event_loop, address) = start(world);
                world.accept_connects_at(&SERVER.parse().unwrap(), Behavior::default());
                let client = world.connect(&address);
                client.send(&[&[5, 1, 0], target, b"ping"].concat());
                world.advance(Duration::from_secs(5), || event_loop.turn(None)).unwrap();
                let server = world.last_peer().unwrap();
                server.send(b"pong");
                server.finish();
                world.advance(Duration::from_secs(60), || event_loop.turn(None)).unwrap();
                assert_eq!(server.received(), b"ping");
                assert_eq!(client.received(), [&[5, 0][..], &reply(code::SUCCEEDED), b"pong"].concat());
                client.finish();
                world.advance(Duration::from_secs(60), || event_loop.turn(None)).unwrap();
                assert!(event_loop.is_idle() && event_loop.totals().reconciles());
            });
        }
    }

    #[test]
    fn a_request_that_cannot_be_served_is_refused_with_its_code() {
        let cases: [(&[u8], u8); 4] = [
            (&[5, 1, 0, 1, 10, 9, 9, 7, 0, 80], code::CONNECTION_REFUSED),
            (b"\x05\x01\x00\x03\x07unknown\x00\x50", code::HOST_UNREACHABLE),
            (&[5, 2, 0, 1, 10, 9, 9, 9, 0, 80], code::COMMAND_NOT_SUPPORTED),
            (&[5, 1, 0, 9], code::ADDRESS_NOT_SUPPORTED),
        ];
        for (request, code) in cases {
            each_world(|world| {
                let (mut event_loop, address) = start(world);
                let client = world.connect(&address);
                client.send(&[&[5, 1, 0], request].concat());
                world.advance(Duration::from_secs(60), || event_loop.turn(None)).unwrap();
                assert_eq!(client.received(), [&[5, 0][..], &reply(code)].concat());
                assert!(client.is_ended() && event_loop.is_idle());
            });
        }
    }

    #[test]
    fn a_client_without_a_method_that_is_supported_is_refused() {
        let world = World::new(0);
        let (mut event_loop, address) = start(&world);
        let client = world.connect(&address);
        client.send(&[5, 1, 2]);
        world.advance(Duration::from_secs(5), || event_loop.turn(None)).unwrap();
        assert_eq!(client.received(), [5, 0xff]);
        assert!(client.is_ended());
    }

    #[test]
    fn a_silent_client_is_closed_in_each_stage() {
        for sent in [&[][..], &[5], &[5, 1, 0], &[5, 1, 0, 5, 1]] {
            let world = World::new(0);
            let (mut event_loop, address) = start(&world);
            let client = world.connect(&address);
            client.send(sent);
            world.advance(Duration::from_secs(9), || event_loop.turn(None)).unwrap();
            assert!(client.is_connected(), "after {sent:?}");
            world.advance(Duration::from_secs(12), || event_loop.turn(None)).unwrap();
            assert!(!client.is_connected() && event_loop.is_idle(), "after {sent:?}");
        }
    }
}
