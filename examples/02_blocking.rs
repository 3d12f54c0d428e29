//! A blocking echo, a thread for each peer: the whole idea in a few lines of `std`.
//!
//! Try it: `cargo run --example 02_blocking`, then `nc 127.0.0.1 7007` in another terminal and
//! type: every line comes back. Another address may stand behind the name, here and below.
//!
//! For a few dozen friendly peers this is all one needs. What it lacks shows with many, or with
//! one that is not friendly: each peer costs a thread; one that stops reading holds its thread in
//! `write_all` for ever, as does one that stops sending; a failed accept (no descriptor is free)
//! ends the server; and nothing can ask it to end after it has served everybody.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (peer, _) = listener.accept()?;
        thread::spawn(move || echo(peer));
    }
}

fn echo(mut peer: TcpStream) -> io::Result<()> {
    let mut bytes = [0; 4096];
    loop {
        match peer.read(&mut bytes)? {
            0 => return Ok(()),
            len => peer.write_all(&bytes[..len])?,
        }
    }
}
