//! A blocking echo with one thread for each peer: the whole idea in a few lines of `std`.
//!
//! Try it: `cargo run --example 02_blocking`, then `nc 127.0.0.1 7007` in another terminal, and type.
//! Every line comes back. Both commands take another address as an argument.
//!
//! For a few dozen well-behaved peers this is enough. Its limits show with many peers, or with a peer
//! that misbehaves:
//!
//! - Each peer costs a thread.
//! - A peer that stops sending keeps its thread in `read` without end. A peer that stops reading keeps
//!   it in `write_all`.
//! - A failed accept ends the server, for example when no descriptor is free.
//! - The server cannot be asked to finish its connections and to end.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::{env, thread};

fn main() -> ExitCode {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    match serve(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot serve on {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str) -> io::Result<()> {
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
