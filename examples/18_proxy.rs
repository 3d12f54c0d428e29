//! A TCP proxy on one loop: each peer is coupled with a connection of its own to somebody else, and
//! who is slow slows the other down, without a buffer between them that grows.
//!
//! Try it: `cargo run --release --example 18_proxy`
//!
//! What you see: an echo, a proxy before it, and a client that drives 64 MiB through, both ways at
//! once. Then one that sends and does not read: soon the kernels' buffers are full, and nobody
//! takes any more of it, until it reads. Then the ends: one direction ended while the other goes
//! on, a reset that arrives as one, and nobody behind the proxy. All servers share one thread.
//!
//! ```text
//! 64 MiB went through and came back as they were sent: … MiB/s each way
//! who reads nothing was stopped after … MiB, and then heard all of it
//! an end was passed on, the answer still came, and then the end: "anything else?"
//! a reset arrives as one: Connection reset by peer (os error 104)
//! where nobody answers behind the proxy: Connection reset by peer (os error 104)
//! 13 connections, 0 open, … 1 not connected to; …
//! ```
//!
//! As a proxy of your own, until Ctrl-C:
//! `cargo run --release --example 18_proxy 127.0.0.1:8080 localhost:7007`. What it does is in
//! `src/service/proxy.rs`, which only orders; the loop does the rest.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use readyloop::client::resolve;
use readyloop::service::{Echo, Proxy};
use readyloop::{
    Address, Context, ControlEvent, Handle, Limits, Listen, Raw, Reactor, Server, ServerLimits, Service, Totals,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const MIB: usize = 1 << 20;
/// What is driven through, each way.
const VOLUME: usize = 64 * MIB;
/// How long a write waits until it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_millis(500);

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [] => show(),
        [listen, upstream] => run(listen.parse()?, &upstream.parse()?),
        _ => Err("no arguments; or where to listen, and where to pass on to".into()),
    }
}

/// A proxy until Ctrl-C.
fn run(listen: Address, upstream: &Address) -> Result<(), Failure> {
    // A name is looked up before the loop: nothing in it may wait.
    let to = resolve(upstream, Duration::from_secs(5))?.swap_remove(0);
    let mut net = Reactor::new()?;
    net.watch_signal(libc::SIGINT, ControlEvent::Drain)?;
    let mut server = Server::new(net, ServerLimits::default());
    let endpoint = server.listen(limited(listen), Raw, Proxy::to(to.clone()))?;
    println!("{} is passed on to {to}", server.local_address(&endpoint));
    println!("{}", server.run()?);
    Ok(())
}

/// With these limits neither direction of a couple waits for the other.
fn limited(address: Address) -> Listen {
    Listen { limits: Limits { queue: Proxy::QUEUE, ..Limits::default() }, ..Listen::from(address) }
}

/// Resets whoever says something.
struct Rude;

impl Service for Rude {
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), _frame: &[u8], cx: &mut Context<'_, '_>) {
        let key = cx.key();
        cx.orders().reset(key);
    }
}

/// The proxies to try, and the way to end their loop.
struct Proxies {
    to_echo: SocketAddr,
    to_rude: SocketAddr,
    to_nobody: SocketAddr,
    handle: Handle,
}

/// All servers on one loop; tells where they are, and runs until it is stopped.
fn serve(tell: &Sender<Proxies>) -> Result<Totals, Failure> {
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let echo = listen(&mut server, Echo::new())?;
    let rude = listen(&mut server, Rude)?;
    let proxies = Proxies {
        to_echo: listen(&mut server, Proxy::to(echo))?,
        to_rude: listen(&mut server, Proxy::to(rude))?,
        to_nobody: listen(&mut server, Proxy::to(nobody))?,
        handle: server.handle(),
    };
    tell.send(proxies)?;
    Ok(server.run()?)
}

fn listen(server: &mut Server<Reactor>, service: impl Service + 'static) -> Result<SocketAddr, Failure> {
    let endpoint = server.listen(limited("127.0.0.1:0".parse()?), Raw, service)?;
    let address = server.local_address(&endpoint).to_string();
    Ok(address.trim_start_matches("tcp://").parse()?)
}

fn show() -> Result<(), Failure> {
    let (tell, told) = channel();
    let loop_thread = thread::spawn(move || serve(&tell));
    let proxies = told.recv()?;

    let begun = Instant::now();
    let echoed = echo_through(TcpStream::connect(proxies.to_echo)?, VOLUME)?;
    let rate = echoed as f64 / MIB as f64 / begun.elapsed().as_secs_f64();
    println!("{} MiB went through and came back as they were sent: {rate:.0} MiB/s each way", echoed / MIB);

    let sent = send_without_reading(TcpStream::connect(proxies.to_echo)?)?;
    println!("who reads nothing was stopped after {:.1} MiB, and then heard all of it", sent as f64 / MIB as f64);

    let mut peer = TcpStream::connect(proxies.to_echo)?;
    peer.write_all(b"anything else?")?;
    peer.shutdown(Shutdown::Write)?;
    let mut rest = String::new();
    peer.read_to_string(&mut rest)?;
    println!("an end was passed on, the answer still came, and then the end: {rest:?}");

    println!("a reset arrives as one: {}", ask(proxies.to_rude)?);
    println!("where nobody answers behind the proxy: {}", ask(proxies.to_nobody)?);

    proxies.handle.drain();
    let totals = loop_thread.join().expect("a panic of a service ends no loop")?;
    println!("{totals}");
    Ok(())
}

/// The byte at a place of what is driven through.
fn byte(place: usize) -> u8 {
    (place.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// Sends that many bytes and reads them back at the same time; each must be the one that was sent.
fn echo_through(stream: TcpStream, len: usize) -> Result<usize, Failure> {
    let mut sending = stream.try_clone()?;
    let sender = thread::spawn(move || {
        let mut piece = vec![0; MIB];
        for start in (0..len).step_by(MIB) {
            piece.iter_mut().enumerate().for_each(|(place, slot)| *slot = byte(start + place));
            sending.write_all(&piece)?;
        }
        sending.shutdown(Shutdown::Write)
    });
    let heard = check_to_end(stream)?;
    sender.join().expect("it does not panic")?;
    if heard == len { Ok(heard) } else { Err(format!("{heard} of {len} bytes came back").into()) }
}

/// Reads to the end; says how many bytes came.
fn check_to_end(mut stream: TcpStream) -> Result<usize, Failure> {
    let (mut piece, mut heard) = (vec![0; MIB], 0);
    loop {
        let len = stream.read(&mut piece)?;
        if len == 0 {
            return Ok(heard);
        }
        if let Some(wrong) = (0..len).find(|place| piece[*place] != byte(heard + place)) {
            return Err(format!("byte {} is not the one that was sent", heard + wrong).into());
        }
        heard += len;
    }
}

/// Sends until nobody takes any more, and only then reads. Says how much that was.
fn send_without_reading(mut stream: TcpStream) -> Result<usize, Failure> {
    stream.set_write_timeout(Some(STUCK_AFTER))?;
    let mut sent = 0;
    let mut piece = vec![0; MIB / 16];
    loop {
        piece.iter_mut().enumerate().for_each(|(place, slot)| *slot = byte(sent + place));
        match stream.write(&piece) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    stream.shutdown(Shutdown::Write)?;
    let heard = check_to_end(stream)?;
    if heard == sent { Ok(sent) } else { Err(format!("{heard} of {sent} bytes came back").into()) }
}

/// Says something, and tells what comes back in words.
fn ask(address: SocketAddr) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(address)?;
    // Who is reset may find that out here already.
    let asked = stream.write_all(b"hello?");
    let heard = asked.and_then(|()| stream.read_to_end(&mut Vec::new()));
    Ok(heard.map_or_else(|error| error.to_string(), |len| format!("{len} bytes and a clean end")))
}
