//! The designs over real sockets, with services that misbehave.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::*;
use crate::codec::Lines;
use crate::connection::{CloseReason, Limits};
use crate::net::blocking::SOCKET_TIMEOUT;
use crate::service::Context;

/// Numbers each line and sends it back; some lines make it misbehave.
#[derive(Clone, Default)]
struct LineService {
    /// Lines that this clone has answered.
    answered: usize,
}

impl Service for LineService {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        match line {
            b"panic" => panic!("as requested"),
            b"pause" => cx.pause(),
            b"defer" => drop(cx.defer_reply()),
            b"broadcast" => cx.orders().send_to_others(&[b"broadcast"]).unwrap(),
            _ => {
                self.answered += 1;
                cx.send_parts(&[line, b" ", self.answered.to_string().as_bytes()]);
            }
        }
    }
}

const WORKERS: NonZero<usize> = NonZero::new(4).unwrap();
const CONCURRENT: [Design; 2] = [Design::Threads, Design::Pool { workers: WORKERS }];
const ALL: [Design; 3] = [Design::Iterative, CONCURRENT[0], CONCURRENT[1]];

/// Longer than any step of these tests takes.
const STEP_MAX: Duration = Duration::from_secs(20);

/// A server on a thread of its own.
struct Running {
    address: String,
    handle: Handle,
    outcome: Receiver<io::Result<Totals>>,
}

impl Running {
    fn new(design: Design, limits: Limits) -> Self {
        Self::with(design, limits, ServerLimits::default(), |_| {})
    }

    /// A server that is changed before it listens.
    fn with(design: Design, limits: Limits, server_limits: ServerLimits, change: fn(&mut BlockingServer)) -> Self {
        let (send_address, address) = mpsc::channel();
        let (send_outcome, outcome) = mpsc::channel();
        thread::spawn(move || {
            let run = || {
                let mut server = BlockingServer::new(Reactor::new()?, design, server_limits)?;
                change(&mut server);
                let listen = Listen { limits, ..Listen::from("127.0.0.1:0".parse::<Address>().unwrap()) };
                let address = server.listen(listen, Lines::new(), LineService::default())?;
                send_address.send((address.to_string(), server.handle())).unwrap();
                server.run()
            };
            // The test may have failed and be gone.
            let _ = send_outcome.send(run());
        });
        let (address, handle) = address.recv_timeout(STEP_MAX).expect("the server listens");
        Self { address: address.trim_start_matches("tcp://").to_owned(), handle, outcome }
    }

    #[track_caller]
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(STEP_MAX)).unwrap();
        stream.set_write_timeout(Some(STEP_MAX)).unwrap();
        stream
    }

    /// Drains it; its counters must balance.
    #[track_caller]
    fn drain(self) -> Totals {
        self.handle.drain();
        self.totals()
    }

    #[track_caller]
    fn totals(self) -> Totals {
        let totals = self.outcome.recv_timeout(STEP_MAX).expect("the server ends").unwrap();
        assert!(totals.reconciles() && totals.open == 0, "{totals:?}");
        totals
    }
}

#[track_caller]
fn check_reply(stream: &mut TcpStream, line: &str, reply: &str) {
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut bytes = vec![0; reply.len() + 1];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, format!("{reply}\n").as_bytes());
}

/// Reads to the end or to a reset.
fn read_rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn a_panic_closes_only_its_own_peer() {
    for design in CONCURRENT {
        let server = Running::new(design, Limits::default());
        let mut bystander = server.connect();
        check_reply(&mut bystander, "one", "one 1");
        // More panics than the pool has threads: each thread continues after one.
        for _ in 0..2 * WORKERS.get() {
            let mut victim = server.connect();
            victim.write_all(b"panic\n").unwrap();
            assert_eq!(read_rest(&mut victim), b"");
        }
        check_reply(&mut bystander, "two", "two 2");
        check_reply(&mut server.connect(), "one", "one 1");
        drop(bystander);
        let totals = server.drain();
        assert_eq!((totals.peers.ledger.panics, totals.closed(CloseReason::Panicked)), (8, 8), "{design:?}");
    }
}

#[test]
fn after_a_panic_the_only_thread_serves_the_next_peer() {
    let server = Running::new(Design::Iterative, Limits::default());
    let mut victim = server.connect();
    victim.write_all(b"panic\n").unwrap();
    assert_eq!(read_rest(&mut victim), b"");
    check_reply(&mut server.connect(), "one", "one 1");
    assert_eq!(server.drain().closed(CloseReason::Panicked), 1);
}

#[test]
fn a_peer_that_can_be_neither_read_nor_answered_is_closed_by_its_deadline() {
    let limits = Limits { idle_timeout: Duration::from_millis(300), ..Limits::default() };
    for design in ALL {
        let server = Running::new(design, limits.clone());
        for line in ["pause", "defer"] {
            let mut stream = server.connect();
            stream.write_all(format!("{line}\nnever served\n").as_bytes()).unwrap();
            if line == "defer" {
                // The peer has ended and still waits for a reply.
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            }
            let started = std::time::Instant::now();
            read_rest(&mut stream);
            assert!(started.elapsed() >= limits.idle_timeout, "{design:?}, {line}: a deadline is never early");
        }
        assert_eq!(server.drain().closed(CloseReason::IdleTimeout), 2, "{design:?}");
    }
}

#[test]
fn a_peer_that_can_be_neither_read_nor_answered_is_drained() {
    for design in CONCURRENT {
        // The service may still resume it, so the drain waits for half of its timeout. The other half is
        // longer than a thread takes to notice that.
        let server_limits = ServerLimits { drain_timeout: 6 * SOCKET_TIMEOUT, ..ServerLimits::default() };
        let server = Running::with(design, Limits::default(), server_limits, |_| {});
        let mut streams = [server.connect(), server.connect()];
        for stream in &mut streams {
            check_reply(stream, "one", "one 1");
            stream.write_all(b"pause\n").unwrap();
        }
        server.handle.drain();
        for stream in &mut streams {
            assert_eq!(read_rest(stream), b"");
        }
        drop(streams);
        // A second request would stop the server.
        assert_eq!(server.totals().closed(CloseReason::Drained), 2, "{design:?}");
    }
}

#[test]
fn idle_peers_are_drained_within_the_socket_timeout() {
    for design in ALL {
        let server = Running::new(design, Limits::default());
        let mut stream = server.connect();
        check_reply(&mut stream, "one", "one 1");
        let started = std::time::Instant::now();
        server.handle.drain();
        assert_eq!(read_rest(&mut stream), b"");
        assert!(started.elapsed() < 4 * SOCKET_TIMEOUT, "{design:?}: {:?}", started.elapsed());
        drop(stream);
        let totals = server.totals();
        assert_eq!(totals.closed(CloseReason::Drained), 1, "{design:?}");
        // A connection, a request to drain and a free thread: nothing else wakes the accept loop.
        assert!(totals.turns <= 8, "{design:?}: {} turns", totals.turns);
    }
}

#[test]
fn a_peer_that_never_pauses_is_drained() {
    for design in ALL {
        let server = Running::new(design, Limits::default());
        let mut stream = server.connect();
        check_reply(&mut stream, "one", "one 1");
        let started = std::time::Instant::now();
        let (send_answered, answered) = mpsc::channel();
        let client = thread::spawn(move || {
            let mut bytes = [0; 64];
            while started.elapsed() < STEP_MAX
                && stream.write_all(b"next\n").is_ok()
                && stream.read(&mut bytes).is_ok_and(|count| count > 0)
            {
                // The test receives the first of these only.
                let _ = send_answered.send(());
            }
        });
        for _ in 0..100 {
            answered.recv_timeout(STEP_MAX).expect("a reply");
        }
        let totals = server.drain();
        assert!(started.elapsed() < ServerLimits::default().drain_timeout / 4, "{design:?}: {:?}", started.elapsed());
        assert_eq!(totals.closed(CloseReason::Drained), 1, "{design:?}: {totals:?}");
        client.join().unwrap();
    }
}

#[test]
fn a_peer_without_a_thread_is_refused_and_counted_and_the_next_one_is_tried() {
    let server = Running::with(Design::Threads, Limits::default(), ServerLimits::default(), |server| {
        server.executor = Box::new(ThreadPerPeer::with_threads_max(3, Arc::clone(&server.shared)));
    });
    let mut served: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    for stream in &mut served {
        check_reply(stream, "one", "one 1");
    }
    let mut refused = server.connect();
    assert!(refused.read(&mut [0; 1]).is_err(), "a refused peer sees a reset");
    for stream in &mut served {
        check_reply(stream, "two", "two 2");
    }
    // The thread of a closed peer may still be ending, so more peers may be refused meanwhile.
    drop(served.pop());
    let deadline = std::time::Instant::now() + STEP_MAX;
    loop {
        let mut stream = server.connect();
        if stream.write_all(b"next\n").is_ok() && stream.read_exact(&mut [0; 7]).is_ok() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "no further peer is served");
    }
    drop(served);
    let totals = server.drain();
    assert!(totals.refused_full >= 1, "{totals:?}");
    assert_eq!(totals.peers.opened, 4);
}

#[test]
fn each_peer_has_its_own_clone_of_the_service() {
    for design in CONCURRENT {
        let server = Running::new(design, Limits::default());
        let (mut one, mut other) = (server.connect(), server.connect());
        check_reply(&mut one, "a", "a 1");
        check_reply(&mut other, "b", "b 1");
        one.write_all(b"broadcast\n").unwrap();
        check_reply(&mut one, "a", "a 2");
        // The broadcast has not reached it: the next line that it reads is a reply.
        check_reply(&mut other, "b", "b 2");
        drop((one, other));
        assert_eq!(server.drain().peers.opened, 2);
    }
}

#[test]
fn peers_that_wait_for_a_thread_are_counted_and_closed_by_a_stop() {
    let server = Running::new(Design::Pool { workers: NonZero::<usize>::MIN }, Limits::default());
    let mut served = server.connect();
    check_reply(&mut served, "one", "one 1");
    let mut waiting: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
    for stream in &mut waiting {
        stream.write_all(b"one\n").unwrap();
    }
    server.handle.stop();
    let totals = server.totals();
    // Peers that were not accepted before the stop are not counted.
    assert_eq!(totals.closed(CloseReason::Stopped), totals.peers.opened);
    assert!(totals.peers.opened >= 1);
    waiting.iter_mut().for_each(|stream| assert_eq!(read_rest(stream), b""));
}
