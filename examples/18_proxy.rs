//! A TCP proxy on one event loop. Each peer is paired with an outbound connection, and a slow side slows
//! down the other without a growing buffer in between.
//!
//! Try it: `cargo run --release --example 18_proxy`
//!
//! It shows five things, with all servers on one thread:
//!
//! 1. A client sends 64 MiB through the proxy to an echo server and reads them back at the same time.
//! 2. A client sends without reading. Its writes block once the buffers in the kernel are full.
//! 3. A client ends its direction, and the echo still arrives.
//! 4. A reset of the upstream server arrives as a reset.
//! 5. If no upstream server listens, the client is reset.
//!
//! ```text
//! sent 64 MiB through the proxy and back: … MiB/s each way
//! a client that does not read was stopped after … MiB, and then read all of them
//! after the end of its direction, a client still got the reply: "anything else?"
//! the upstream server resets: Connection reset by peer (os error 104)
//! no upstream server listens: Connection reset by peer (os error 104)
//! 13 connections, 0 open, … 1 connect failed; …
//! ```
//!
//! To run a proxy until Ctrl-C:
//! `cargo run --release --example 18_proxy 127.0.0.1:8080 localhost:7007`. The service is in
//! `src/service/proxy.rs`.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use readyloop::client::resolve;
use readyloop::service::{Echo, PROXY_QUEUE, Proxy};
use readyloop::{
    Address, Context, ControlEvent, Handle, Limits, Listen, Raw, Reactor, Server, ServerLimits, Service, Totals,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const MIB: usize = 1 << 20;
/// Bytes to send through the proxy, each way.
const VOLUME: usize = 64 * MIB;
/// A write that makes no progress for this long counts as blocked.
const BLOCKED_AFTER: Duration = Duration::from_millis(500);

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => demonstrate(),
        [listen, upstream] => run_proxy(listen.parse()?, &upstream.parse()?),
        _ => Err("pass no arguments, or an address to listen on and an upstream address".into()),
    }
}

/// Runs a proxy until Ctrl-C.
fn run_proxy(listen: Address, upstream: &Address) -> Result<(), Failure> {
    // The name is resolved before the event loop starts, because that blocks.
    let to = resolve(upstream, Duration::from_secs(5))?.swap_remove(0);
    let mut net = Reactor::new()?;
    net.watch_signal(libc::SIGINT, ControlEvent::Drain)?;
    let mut server = Server::new(net, ServerLimits::default());
    let endpoint = server.listen(proxy_listen(listen), Raw, Proxy::to(to.clone()))?;
    println!("proxy from {} to {to}", server.local_address(&endpoint));
    println!("{}", server.run()?);
    Ok(())
}

/// A listener with the limits that the proxy needs, so that the two directions never wait for each other.
fn proxy_listen(address: Address) -> Listen {
    Listen { limits: Limits { queue: PROXY_QUEUE, ..Limits::default() }, ..Listen::from(address) }
}

/// Resets each peer that sends something.
struct Resetting;

impl Service for Resetting {
    type Codec = Raw;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), _frame: &[u8], cx: &mut Context<'_, Self>) {
        let key = cx.key();
        cx.orders().reset(key);
    }
}

/// The addresses of the proxies, and a handle to end their event loop.
struct Proxies {
    to_echo: SocketAddr,
    to_resetting: SocketAddr,
    to_unreachable: SocketAddr,
    handle: Handle,
}

/// Runs all servers on one event loop, and sends their addresses.
fn serve(ready: &Sender<Proxies>) -> Result<Totals, Failure> {
    let unreachable = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let echo = listen(&mut server, Echo::new())?;
    let resetting = listen(&mut server, Resetting)?;
    let proxies = Proxies {
        to_echo: listen(&mut server, Proxy::to(echo))?,
        to_resetting: listen(&mut server, Proxy::to(resetting))?,
        to_unreachable: listen(&mut server, Proxy::to(unreachable))?,
        handle: server.handle(),
    };
    ready.send(proxies)?;
    Ok(server.run()?)
}

fn listen(server: &mut Server<Reactor>, service: impl Service<Codec = Raw> + 'static) -> Result<SocketAddr, Failure> {
    let endpoint = server.listen(proxy_listen("127.0.0.1:0".parse()?), Raw, service)?;
    let address = server.local_address(&endpoint).to_string();
    Ok(address.trim_start_matches("tcp://").parse()?)
}

fn demonstrate() -> Result<(), Failure> {
    let (ready, started) = channel();
    let loop_thread = thread::spawn(move || serve(&ready));
    let proxies = started.recv()?;

    let started_at = Instant::now();
    let echoed = echo_through(TcpStream::connect(proxies.to_echo)?, VOLUME)?;
    let rate = echoed as f64 / MIB as f64 / started_at.elapsed().as_secs_f64();
    println!("sent {} MiB through the proxy and back: {rate:.0} MiB/s each way", echoed / MIB);

    let sent = send_without_reading(TcpStream::connect(proxies.to_echo)?)?;
    let sent = sent as f64 / MIB as f64;
    println!("a client that does not read was stopped after {sent:.1} MiB, and then read all of them");

    let mut peer = TcpStream::connect(proxies.to_echo)?;
    peer.write_all(b"anything else?")?;
    peer.shutdown(Shutdown::Write)?;
    let mut rest = String::new();
    peer.read_to_string(&mut rest)?;
    println!("after the end of its direction, a client still got the reply: {rest:?}");

    println!("the upstream server resets: {}", describe_reply(proxies.to_resetting)?);
    println!("no upstream server listens: {}", describe_reply(proxies.to_unreachable)?);

    proxies.handle.drain();
    let totals = loop_thread.join().expect("the event loop does not panic")?;
    println!("{totals}");
    Ok(())
}

/// The byte at `index` of the test data.
fn byte(index: usize) -> u8 {
    (index.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// Sends `len` bytes and reads them back at the same time. Returns their number, or an error if one differs.
fn echo_through(stream: TcpStream, len: usize) -> Result<usize, Failure> {
    let mut sending = stream.try_clone()?;
    let sender = thread::spawn(move || {
        let mut chunk = vec![0; MIB];
        for start in (0..len).step_by(MIB) {
            chunk.iter_mut().enumerate().for_each(|(index, slot)| *slot = byte(start + index));
            sending.write_all(&chunk)?;
        }
        sending.shutdown(Shutdown::Write)
    });
    let received = check_to_end(stream)?;
    sender.join().expect("the thread does not panic")?;
    if received == len { Ok(received) } else { Err(format!("{received} of {len} bytes came back").into()) }
}

/// Reads to the end and returns the number of bytes, or an error if one differs from the test data.
fn check_to_end(mut stream: TcpStream) -> Result<usize, Failure> {
    let (mut chunk, mut received) = (vec![0; MIB], 0);
    loop {
        let len = stream.read(&mut chunk)?;
        if len == 0 {
            return Ok(received);
        }
        if let Some(wrong) = (0..len).find(|index| chunk[*index] != byte(received + index)) {
            return Err(format!("byte {} differs from the one that was sent", received + wrong).into());
        }
        received += len;
    }
}

/// Sends until a write blocks, then reads. Returns the number of bytes sent.
fn send_without_reading(mut stream: TcpStream) -> Result<usize, Failure> {
    stream.set_write_timeout(Some(BLOCKED_AFTER))?;
    let mut sent = 0;
    let mut chunk = vec![0; MIB / 16];
    loop {
        chunk.iter_mut().enumerate().for_each(|(index, slot)| *slot = byte(sent + index));
        match stream.write(&chunk) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    stream.shutdown(Shutdown::Write)?;
    let received = check_to_end(stream)?;
    if received == sent { Ok(sent) } else { Err(format!("{received} of {sent} bytes came back").into()) }
}

/// Sends a few bytes and describes what comes back.
fn describe_reply(address: SocketAddr) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(address)?;
    // The reset may arrive before the write.
    let written = stream.write_all(b"hello?");
    let received = written.and_then(|()| stream.read_to_end(&mut Vec::new()));
    Ok(received.map_or_else(|error| error.to_string(), |len| format!("{len} bytes and a clean end")))
}
