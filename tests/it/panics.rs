//! A service that panics on one peer loses that peer, and nobody else notices.
//!
//! In a process of its own: a panic that got past the loop would end the thread it runs on.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use readyloop::{CloseReason, Context, Key, Limits, Lines, Orders, ServerLimits, Service};

use crate::support::{
    Duplex as _, InProcessServer, StreamEnd, connect, echoes, is_own_process, read_to_the_end, run_in_own_process,
    shared_machine,
};

/// Panics where its peer asks for it; else an echo.
struct Fragile {
    /// Peers it was told of and has not seen go.
    open: usize,
}

/// What a peer asked for that is yet to happen.
#[derive(Default, PartialEq, Eq)]
enum Fate {
    #[default]
    None,
    PanicAtRoom,
    PanicAtClose,
}

impl Service for Fragile {
    type Peer = Fate;
    type Message = ();

    fn on_open(&mut self, _: &mut Fate, _: &dyn Display, _: &mut Context<'_, '_>) {
        self.open += 1;
        assert!(self.open <= OPEN_MAX, "one too many");
    }

    fn on_frame(&mut self, fate: &mut Fate, line: &[u8], cx: &mut Context<'_, '_>) {
        match line {
            b"panic" => panic!("as asked"),
            b"panic after an answer" => {
                cx.send(b"the last word");
                panic!("as asked");
            }
            b"panic at room" => {
                *fate = Fate::PanicAtRoom;
                cx.notify_writable();
            }
            b"panic at close" => *fate = Fate::PanicAtClose,
            line => cx.send(line),
        }
    }

    fn on_writable(&mut self, fate: &mut Fate, _: &mut Context<'_, '_>) {
        assert!(*fate != Fate::PanicAtRoom, "as asked");
    }

    fn on_close(&mut self, fate: Fate, _: Key, _: CloseReason, _: &mut Orders<'_>) {
        self.open -= 1;
        assert!(fate != Fate::PanicAtClose, "as asked");
    }
}

/// Who comes while so many are open makes the service panic in `on_open`.
const OPEN_MAX: usize = 60;

/// A peer that has been served, and then asks for a fate.
#[track_caller]
fn cries(address: SocketAddr, cry: &str) -> TcpStream {
    let mut stream = connect(address);
    echoes(&mut stream, b"hello\n");
    stream.write_all(cry.as_bytes()).expect("the server reads");
    stream
}

#[test]
fn a_service_that_panics_on_one_peer_loses_that_peer_only() {
    let _machine = shared_machine();
    run_in_own_process("panics::a_process_whose_service_panics", "");
}

#[test]
#[ignore = "needs a process of its own: see the test above"]
fn a_process_whose_service_panics() {
    const ROUNDS: usize = 25;
    if !is_own_process() {
        return;
    }
    // A panic that is expected is no news.
    std::panic::set_hook(Box::new(|_| {}));
    let server = InProcessServer::serve(Fragile { open: 0 }, Lines::new(), Limits::default(), ServerLimits::default());
    let mut neighbour = connect(server.address);
    echoes(&mut neighbour, b"I was here before\n");
    for _ in 0..ROUNDS {
        for cry in ["panic\n", "panic after an answer\n", "panic at room\n"] {
            let (said, _) = read_to_the_end(&mut cries(server.address, cry));
            assert!(said.is_empty() || said == b"the last word\n", "{}", said.escape_ascii());
            echoes(&mut neighbour, b"and I still am\n");
        }
        let mut stream = cries(server.address, "panic at close\n");
        stream.finish();
        assert_eq!(read_to_the_end(&mut stream), (Vec::new(), StreamEnd::Clean), "all was over before the panic");
        echoes(&mut neighbour, b"and I still am\n");
    }
    let mut others: Vec<TcpStream> = (1..OPEN_MAX).map(|_| cries(server.address, "")).collect();
    assert_eq!(read_to_the_end(&mut connect(server.address)).0, b"", "one too many");
    others.push(neighbour);
    others.iter_mut().for_each(|stream| echoes(stream, b"and I still am\n"));
    drop(others);
    let totals = server.drain();
    assert_eq!(totals.peers.ledger.panics, 4 * ROUNDS as u64 + 1);
    assert_eq!(totals.closed(CloseReason::Panicked), 3 * ROUNDS as u64 + 1);
    assert_eq!(totals.closed(CloseReason::Finished), (ROUNDS + OPEN_MAX) as u64);
}
