//! Three designs of a blocking echo in plain `std`, and the effect of a stalled peer on each.
//!
//! Try it: `cargo run --example 22_designs`
//!
//! It prints how long a reply took beside one stalled peer, beside as many stalled peers as the pool
//! has threads, and after the stalled peers have closed:
//!
//! ```text
//!                   1 stalled        4 stalled     after closing
//! iterative        none in 1s       none in 1s … µs
//! threads … µs … µs … µs
//! pool … µs       none in 1s … µs
//! ```
//!
//! - *Iterative*: one thread serves one peer after another. Right where each peer needs little time.
//! - *Threads*: one thread for each peer. No peer delays another; each idle peer costs a stack.
//! - *Pool*: a fixed number of threads, each of them iterative. The pool serves others as long as fewer
//!   peers stall than it has threads.
//!
//! None of them has deadlines, so a peer can stall without end. `readyloop serve --design …` has the
//! same designs with deadlines, limits and a drain. `03_bare_mio` is a plain reactor.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Threads of the pool: few, so that a few stalled peers occupy all of them.
const WORKERS: usize = 4;

/// A peer without a reply for this long counts as blocked. A reply takes far less.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves peers until accepting fails.
type Design = fn(&TcpListener) -> io::Result<()>;

const DESIGNS: [(&str, Design); 3] = [("iterative", iterative), ("threads", threads), ("pool", pool)];

fn iterative(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (peer, _) = listener.accept()?;
        // Other peers wait in the kernel's backlog meanwhile.
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

/// Echoes until the peer ends. An error concerns this peer only.
fn echo(mut peer: TcpStream) -> io::Result<()> {
    let mut bytes = [0; 4096];
    loop {
        match peer.read(&mut bytes)? {
            0 => return Ok(()),
            len => peer.write_all(&bytes[..len])?,
        }
    }
}

fn main() -> ExitCode {
    println!("{:<10} {:>16} {:>16} {:>17}", "", "1 stalled", format!("{WORKERS} stalled"), "after closing");
    for (name, design) in DESIGNS {
        match measure(design) {
            Ok(replies) => {
                let [one, many, after] = replies.map(reply_text);
                println!("{name:<10} {one:>16} {many:>16} {after:>17}");
            }
            Err(error) => {
                eprintln!("error: cannot measure {name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// The times of a reply beside one stalled peer, beside many, and after they have closed.
fn measure(design: Design) -> io::Result<[Option<Duration>; 3]> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // This thread ends with the process.
    thread::spawn(move || design(&listener));
    let mut stalled = vec![connect_and_stall(address)?];
    let beside_one = request(&mut TcpStream::connect(address)?)?;
    while stalled.len() < WORKERS {
        stalled.push(connect_and_stall(address)?);
    }
    let mut peer = TcpStream::connect(address)?;
    let beside_many = request(&mut peer)?;
    drop(stalled);
    // Without a reply so far, the first request is still waiting.
    let after = if beside_many.is_none() { receive(&mut peer)? } else { request(&mut peer)? };
    Ok([beside_one, beside_many, after])
}

/// A peer that connects and sends nothing.
fn connect_and_stall(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address)
}

/// How long a reply took; `None` if there was none in time.
fn request(peer: &mut TcpStream) -> io::Result<Option<Duration>> {
    peer.write_all(b"request")?;
    receive(peer)
}

fn receive(peer: &mut TcpStream) -> io::Result<Option<Duration>> {
    let started = Instant::now();
    peer.set_read_timeout(Some(REPLY_TIMEOUT))?;
    match peer.read(&mut [0; 64]) {
        Ok(_) => Ok(Some(started.elapsed())),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn reply_text(reply: Option<Duration>) -> String {
    match reply {
        Some(time) => format!("{} µs", time.as_micros()),
        None => format!("none in {REPLY_TIMEOUT:?}"),
    }
}
