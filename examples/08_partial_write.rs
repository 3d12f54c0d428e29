//! Partial writes: a write takes what fits into the kernel, and the rest waits in a queue.
//!
//! Try it: `cargo run --example 08_partial_write`
//!
//! ```text
//! the server has 10000000 bytes for a peer that does not read yet
//! write: the kernel takes … bytes, so … wait in the queue
//! write: would block
//! no event within 100 ms: the buffers of the kernel are full
//! the peer reads …
//! event: writable
//! write: the kernel takes … bytes, so … wait in the queue
//! all 10000000 bytes have arrived, in … writes and after … times `would block`
//! ```
//!
//! `write` on a non-blocking socket returns how many bytes the kernel took. A program that ignores this
//! number loses the rest, and only with large replies or slow peers, so not in its first tests. The
//! cure: keep the rest in a queue, wait for the event that the stream is writable, and write again.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

/// The length of the reply. The buffers of the kernel hold less.
const REPLY_LEN: usize = 10_000_000;

/// How many events are printed. The rest looks the same.
const PRINTED: usize = 4;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut peer = TcpStream::connect(listener.local_addr()?)?;
    let (accepted, _) = listener.accept()?;
    accepted.set_nonblocking(true)?;
    let mut stream = mio::net::TcpStream::from_std(accepted);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut stream, Token(0), Interest::WRITABLE)?;
    let mut events = Events::with_capacity(8);
    poll.poll(&mut events, None)?;

    println!("the server has {REPLY_LEN} bytes for a peer that does not read yet");
    let mut queue = vec![b'x'; REPLY_LEN];
    let (mut received, mut writes, mut blocked) = (0, 0, 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let print = |text: String| {
            if blocked < PRINTED {
                println!("{text}");
            }
        };
        match stream.write(&queue) {
            Ok(len) => {
                writes += 1;
                queue.drain(..len);
                print(format!("write: the kernel takes {len} bytes, so {} wait in the queue", queue.len()));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                print("write: would block".to_owned());
                poll.poll(&mut events, Some(Duration::from_millis(100)))?;
                while events.is_empty() {
                    print("no event within 100 ms: the buffers of the kernel are full".to_owned());
                    let len = peer.read(&mut buffer)?;
                    received += len;
                    print(format!("the peer reads {len} bytes"));
                    poll.poll(&mut events, Some(Duration::from_millis(100)))?;
                }
                print("event: writable".to_owned());
                blocked += 1;
            }
            Err(error) => return Err(error),
        }
        if queue.is_empty() {
            break;
        }
    }
    drop(stream);
    received += peer.read_to_end(&mut buffer)?;
    assert_eq!(received, REPLY_LEN);
    println!("all {REPLY_LEN} bytes have arrived, in {writes} writes and after {blocked} times `would block`");
    Ok(())
}
