//! An async echo with tokio: reads like a thread for each peer, and runs on one thread.
//!
//! Try it: `cargo run --example 21_tokio_echo`, then `nc 127.0.0.1 7007` and type. An optional
//! argument is the address.
//!
//! A task is a state machine that the compiler generates. Its memory stays allocated while the peer
//! is idle, here a buffer of 4 KiB. A slow peer blocks only its own task. Like `02_blocking` it has no
//! limits, no deadlines and no graceful shutdown; code around the task would have to add them.
//! `cargo bench --bench models` compares it with the other designs.

use std::{env, io};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

fn main() -> anyhow::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(serve(&address)).with_context(|| format!("cannot serve on {address}"))
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
