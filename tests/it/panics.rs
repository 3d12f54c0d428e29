//! A panic of the service closes only the peer that caused it.
//!
//! The test runs in its own process, because it replaces the panic hook.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use readyloop::{CloseReason, Context, Key, Limits, Lines, Orders, PeerInfo, ServerLimits, Service};

use crate::support::{Duplex as _, InProcessServer, StreamEnd, connect, echoes, read_to_the_end, runs_in_own_process};

/// An echo service that panics on request.
struct Fragile {
    /// Peers that were opened and not yet closed.
    open: usize,
}

/// The panic that a peer has requested for a later callback.
#[derive(Default, PartialEq, Eq)]
enum LaterPanic {
    #[default]
    None,
    OnWritable,
    OnClose,
}

impl Service for Fragile {
    type Codec = Lines;
    type Peer = LaterPanic;
    type Message = ();

    fn on_open(&mut self, _: &mut LaterPanic, _: &PeerInfo<'_>, _: &mut Context<'_, Self>) {
        self.open += 1;
        assert!(self.open <= OPEN_MAX, "too many peers");
    }

    fn on_frame(&mut self, later: &mut LaterPanic, line: &[u8], cx: &mut Context<'_, Self>) {
        match line {
            b"panic" => panic!("requested"),
            b"panic after a reply" => {
                cx.send(b"last reply");
                panic!("requested");
            }
            b"panic on writable" => {
                *later = LaterPanic::OnWritable;
                cx.notify_writable();
            }
            b"panic on close" => *later = LaterPanic::OnClose,
            line => cx.send(line),
        }
    }

    fn on_writable(&mut self, later: &mut LaterPanic, _: &mut Context<'_, Self>) {
        assert!(*later != LaterPanic::OnWritable, "requested");
    }

    fn on_close(&mut self, later: LaterPanic, _: Key, _: CloseReason, _: &mut Orders<'_, Self>) {
        self.open -= 1;
        assert!(later != LaterPanic::OnClose, "requested");
    }
}

/// The service panics in `on_open` if more peers than this are open.
const OPEN_MAX: usize = 60;

/// Connects, checks one echo, and sends a request.
#[track_caller]
fn connect_and_send(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = connect(address);
    echoes(&mut stream, b"hello\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    stream
}

#[test]
fn a_panic_of_the_service_closes_only_its_peer() {
    const ROUNDS: usize = 25;
    if runs_in_own_process("panics::a_panic_of_the_service_closes_only_its_peer", "") {
        return;
    }
    // The expected panics print nothing.
    std::panic::set_hook(Box::new(|_| {}));
    let server = InProcessServer::serve(Fragile { open: 0 }, Lines::new(), Limits::default(), ServerLimits::default());
    let mut neighbor = connect(server.address);
    echoes(&mut neighbor, b"hello\n");
    for _ in 0..ROUNDS {
        for request in ["panic\n", "panic after a reply\n", "panic on writable\n"] {
            let (reply, _) = read_to_the_end(&mut connect_and_send(server.address, request));
            assert!(reply.is_empty() || reply == b"last reply\n", "{}", reply.escape_ascii());
            echoes(&mut neighbor, b"still open\n");
        }
        let mut stream = connect_and_send(server.address, "panic on close\n");
        stream.finish();
        assert_eq!(read_to_the_end(&mut stream), (Vec::new(), StreamEnd::Clean), "the panic is after the clean end");
        echoes(&mut neighbor, b"still open\n");
    }
    let mut others: Vec<TcpStream> = (1..OPEN_MAX).map(|_| connect_and_send(server.address, "")).collect();
    assert_eq!(read_to_the_end(&mut connect(server.address)).0, b"", "one peer too many");
    others.push(neighbor);
    others.iter_mut().for_each(|stream| echoes(stream, b"still open\n"));
    drop(others);
    let totals = server.drain();
    assert_eq!(totals.peers.ledger.panics, 4 * ROUNDS as u64 + 1);
    assert_eq!(totals.closed(CloseReason::Panicked), 3 * ROUNDS as u64 + 1);
    assert_eq!(totals.closed(CloseReason::Finished), (ROUNDS + OPEN_MAX) as u64);
}
