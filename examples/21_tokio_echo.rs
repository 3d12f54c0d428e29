//! The async design of an echo: what reads like a thread for each peer is one thread for all.
//!
//! Try it: `cargo run --example 21_tokio_echo`, then `nc 127.0.0.1 7007` and type. Another address
//! may stand behind the name.
//!
//! A task is a state machine that the compiler wrote, and what it keeps between two messages it
//! keeps while the peer is idle: here a buffer of 4 KiB. A peer that stalls holds its task and
//! nobody else's. As in `02_blocking` there is no limit, no deadline and no drain; those would be
//! written around the task. `cargo bench --bench models` measures it beside the other designs.

use std::{env, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    Builder::new_current_thread().enable_io().build()?.block_on(serve(&address))
}

async fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on tcp://{}", listener.local_addr()?);
    loop {
        let (peer, _) = listener.accept().await?;
        tokio::spawn(echo(peer));
    }
}

async fn echo(mut peer: TcpStream) -> io::Result<()> {
    let mut bytes = [0; 4096];
    loop {
        match peer.read(&mut bytes).await? {
            0 => return Ok(()),
            len => peer.write_all(&bytes[..len]).await?,
        }
    }
}
