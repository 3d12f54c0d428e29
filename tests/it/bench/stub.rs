//! Faulty servers, each on its own port, with one thread per connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::TIMEOUT;

/// A server that runs until the end of the test process.
pub(super) struct Stub {
    pub(super) address: SocketAddr,
}

impl Stub {
    /// Echoes what `alter(bytes, earlier)` leaves; `earlier` is the number of bytes before these.
    pub(super) fn start(alter: fn(&mut [u8], u64)) -> Self {
        Self::serve(move |stream| {
            let mut count = 0;
            echo(stream, |bytes, _| {
                alter(bytes, count);
                count += bytes.len() as u64;
                true
            });
        })
    }

    /// Echoes up to `limit` bytes on each connection, and then calls `fail` and closes it.
    pub(super) fn failing_after(limit: u64, fail: fn(&mut TcpStream)) -> Self {
        Self::serve(move |stream| {
            let mut count = 0;
            echo(stream, |bytes, stream| {
                count += bytes.len() as u64;
                if count > limit {
                    fail(stream);
                }
                count <= limit
            });
        })
    }

    /// All connections stall at the same time, for `stall` in the middle of each `period`.
    pub(super) fn stalling(stall: Duration, period: Duration) -> Self {
        let begun: Arc<Mutex<Option<Instant>>> = Arc::default();
        Self::serve(move |stream| {
            let (_keep, never): (_, Receiver<()>) = channel();
            let begun = Arc::clone(&begun);
            echo(stream, move |_, _| {
                let begun = *begun.lock().expect("no thread panics").get_or_insert_with(Instant::now);
                let into = Duration::from_nanos((begun.elapsed().as_nanos() % period.as_nanos()) as u64);
                let (from, until) = ((period - stall) / 2, (period + stall) / 2);
                if (from..until).contains(&into) {
                    // Nothing is sent, so this waits for the rest of the stall.
                    let _ = never.recv_timeout(until - into);
                }
                true
            });
        })
    }

    fn serve(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let handle = Arc::new(handle);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let handle = Arc::clone(&handle);
                thread::spawn(move || handle(stream));
            }
        });
        Self { address }
    }
}

/// Echoes all bytes until `inspect` returns false.
fn echo(mut stream: TcpStream, mut inspect: impl FnMut(&mut [u8], &mut TcpStream) -> bool) {
    stream.set_nodelay(true).expect("it is a socket");
    stream.set_read_timeout(Some(3 * TIMEOUT)).expect("it is a socket");
    let mut bytes = [0; 64 * 1024];
    // The loop ends when the peer closes or resets.
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        if !inspect(&mut bytes[..count], &mut stream) || stream.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}
