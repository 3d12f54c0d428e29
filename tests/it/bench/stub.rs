//! Servers that are not well, on a port of their own: each connection has a thread.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::support::TIMEOUT;

/// A server that ends with the test.
pub(super) struct Stub {
    pub(super) address: SocketAddr,
}

impl Stub {
    /// Each piece is sent back as `meddle` leaves it, which is told how many bytes came before.
    pub(super) fn start(meddle: fn(&mut [u8], u64)) -> Self {
        Self::serve(move |stream| {
            let mut count = 0;
            echo(stream, |bytes, _| {
                meddle(bytes, count);
                count += bytes.len() as u64;
                true
            });
        })
    }

    /// Each connection is reset when that many bytes have come.
    pub(super) fn breaking_off_after(limit: u64) -> Self {
        Self::serve(move |stream| {
            let mut count = 0;
            echo(stream, |bytes, stream| {
                count += bytes.len() as u64;
                if count > limit {
                    SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).expect("it is a socket");
                }
                count <= limit
            });
        })
    }

    /// Each connection is left alone when that many bytes have come.
    pub(super) fn stuck_after(limit: u64) -> Self {
        Self::serve(move |stream| {
            let mut count = 0;
            echo(stream, |bytes, stream| {
                count += bytes.len() as u64;
                if count > limit {
                    // Until the other end has gone.
                    let _ = stream.read(&mut [0]);
                }
                count <= limit
            });
        })
    }

    /// All connections stall together, for `stall` in every `period`, at its middle.
    pub(super) fn stalling(stall: Duration, period: Duration) -> Self {
        let begun: Arc<Mutex<Option<Instant>>> = Arc::default();
        Self::serve(move |stream| {
            let (_keep, never): (_, Receiver<()>) = channel();
            let begun = Arc::clone(&begun);
            echo(stream, move |_, _| {
                let begun = *begun.lock().expect("nobody panics").get_or_insert_with(Instant::now);
                let into = Duration::from_nanos((begun.elapsed().as_nanos() % period.as_nanos()) as u64);
                let (from, until) = ((period - stall) / 2, (period + stall) / 2);
                if (from..until).contains(&into) {
                    // Nothing comes; the time goes by.
                    let _ = never.recv_timeout(until - into);
                }
                true
            });
        })
    }

    fn serve(talk: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let talk = Arc::new(talk);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let talk = Arc::clone(&talk);
                thread::spawn(move || talk(stream));
            }
        });
        Self { address }
    }
}

/// Sends back what comes, as long as `look` says so.
fn echo(mut stream: TcpStream, mut look: impl FnMut(&mut [u8], &mut TcpStream) -> bool) {
    stream.set_nodelay(true).expect("it is a socket");
    stream.set_read_timeout(Some(3 * TIMEOUT)).expect("it is a socket");
    let mut bytes = [0; 64 * 1024];
    // An end or an error: the other end has gone.
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        if !look(&mut bytes[..count], &mut stream) || stream.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}
