//! Three designs of a blocking echo in plain `std`, and what one stalled peer does to each.
//!
//! Try it: `cargo run --example 22_designs`
//!
//! What you see is how long an answer took beside one peer that says nothing, beside as many as the
//! pool has threads, and when those have left:
//!
//! ```text
//!                   1 stalled        4 stalled   when they left
//! iterative        none in 1s       none in 1s … µs
//! threads … µs … µs … µs
//! pool … µs       none in 1s … µs
//! ```
//!
//! *Iterative*: one thread, one peer after another. Right where each is served in no time. *Threads*:
//! one for each peer. Nobody waits for anybody, and each idle peer costs a stack. *Pool*: so many
//! threads, each of them iterative. As many peers may stall as there are threads, less one.
//!
//! None of them has a deadline, so a peer that stalls does so for as long as it likes;
//! `readyloop serve --design …` has the same designs with deadlines, limits and a drain. A plain
//! reactor is in `03_bare_mio`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Threads of the pool: few, so that a few stalled peers use them up.
const WORKERS: usize = 4;
/// A peer without an answer for so long is frozen: some thousand times what an answer takes.
const PATIENCE: Duration = Duration::from_secs(1);

/// A design: serves whoever comes, and never returns unless accepting fails.
type Design = fn(&TcpListener) -> io::Result<()>;

const DESIGNS: [(&str, Design); 3] = [("iterative", iterative), ("threads", threads), ("pool", pool)];

fn iterative(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (peer, _) = listener.accept()?;
        // Whoever comes meanwhile waits in the kernel's backlog.
        let _ = echo(peer);
    }
}

fn threads(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (peer, _) = listener.accept()?;
        thread::Builder::new().spawn(move || echo(peer))?;
    }
}

fn pool(listener: &TcpListener) -> io::Result<()> {
    thread::scope(|scope| {
        for _ in 1..WORKERS {
            scope.spawn(|| iterative(listener));
        }
        iterative(listener)
    })
}

/// Sends back what comes until the peer ends; an error is the peer's own affair.
fn echo(mut peer: TcpStream) -> io::Result<()> {
    let mut bytes = [0; 4096];
    loop {
        match peer.read(&mut bytes)? {
            0 => return Ok(()),
            len => peer.write_all(&bytes[..len])?,
        }
    }
}

fn main() -> io::Result<()> {
    println!("{:<10} {:>16} {:>16} {:>16}", "", "1 stalled", format!("{WORKERS} stalled"), "when they left");
    for (name, serve) in DESIGNS {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        // Ends with the process.
        thread::spawn(move || serve(&listener));
        let mut stalled = vec![stall(address)?];
        let beside_one = answer(&mut TcpStream::connect(address)?)?;
        while stalled.len() < WORKERS {
            stalled.push(stall(address)?);
        }
        let mut peer = TcpStream::connect(address)?;
        let beside_many = answer(&mut peer)?;
        drop(stalled);
        let afterwards = if beside_many.is_none() { receive(&mut peer)? } else { answer(&mut peer)? };
        println!("{name:<10} {:>16} {:>16} {:>16}", told(beside_one), told(beside_many), told(afterwards));
    }
    Ok(())
}

/// A peer that connects and then says nothing.
fn stall(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address)
}

/// How long an answer took, unless there was none.
fn answer(peer: &mut TcpStream) -> io::Result<Option<Duration>> {
    peer.write_all(b"are you there?")?;
    receive(peer)
}

fn receive(peer: &mut TcpStream) -> io::Result<Option<Duration>> {
    let asked = Instant::now();
    peer.set_read_timeout(Some(PATIENCE))?;
    match peer.read(&mut [0; 64]) {
        Ok(_) => Ok(Some(asked.elapsed())),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn told(answer: Option<Duration>) -> String {
    match answer {
        Some(time) => format!("{} µs", time.as_micros()),
        None => format!("none in {PATIENCE:?}"),
    }
}
