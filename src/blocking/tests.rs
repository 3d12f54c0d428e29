//! The designs under services that misbehave, over real sockets: who is harmed, what is counted.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::*;
use crate::codec::Lines;
use crate::connection::{CloseReason, Limits};
use crate::service::Context;

/// Answers lines; `boom` panics, `pause` is never resumed, `slow` is promised an answer that never comes.
#[derive(Clone, Default)]
struct Mischief {
    /// Lines that this very value has answered.
    answered: usize,
}

impl Service for Mischief {
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, '_>) {
        match line {
            b"boom" => panic!("as asked"),
            b"pause" => cx.pause(),
            b"slow" => cx.defer_reply(),
            b"all" => cx.orders().send_to_others(&[b"hear, hear"]).unwrap(),
            _ => {
                self.answered += 1;
                cx.send_parts(&[line, b" ", self.answered.to_string().as_bytes()]);
            }
        }
    }
}

const WORKERS: NonZero<usize> = NonZero::new(4).unwrap();
const SIDE_BY_SIDE: [Design; 2] = [Design::Threads, Design::Pool { workers: WORKERS }];

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a thread of its own.
struct Running {
    address: String,
    handle: Handle,
    thread: JoinHandle<io::Result<Totals>>,
}

impl Running {
    fn new(design: Design, limits: Limits) -> Self {
        Self::with(design, limits, ServerLimits::default(), |_| {})
    }

    /// A server that is changed before it listens.
    fn with(design: Design, limits: Limits, whole: ServerLimits, change: fn(&mut BlockingServer)) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut server = BlockingServer::new(Reactor::new()?, design, whole)?;
            change(&mut server);
            let address = "127.0.0.1:0".parse::<Address>().unwrap();
            let address =
                server.listen(Listen { limits, ..Listen::from(address) }, Lines::new(), Mischief::default())?;
            tell.send((address.to_string(), server.handle())).unwrap();
            server.run()
        });
        let (address, handle) = told.recv_timeout(PATIENCE).expect("it listens");
        Self { address: address.trim_start_matches("tcp://").to_owned(), handle, thread }
    }

    #[track_caller]
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Drains it; its books must balance.
    #[track_caller]
    fn drain(self) -> Totals {
        self.handle.drain();
        let totals = self.thread.join().unwrap().unwrap();
        assert!(totals.reconciles() && totals.open == 0, "{totals:?}");
        totals
    }
}

#[track_caller]
fn says(stream: &mut TcpStream, line: &str, answer: &str) {
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut bytes = vec![0; answer.len() + 1];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, format!("{answer}\n").as_bytes());
}

/// Reads until the end, whichever way it comes.
fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn a_panic_loses_its_own_peer_and_harms_nobody_else() {
    for design in SIDE_BY_SIDE {
        let server = Running::new(design, Limits::default());
        let mut bystander = server.connect();
        says(&mut bystander, "one", "one 1");
        // More often than a pool has threads: each of them goes on afterwards.
        for _ in 0..2 * WORKERS.get() {
            let mut victim = server.connect();
            victim.write_all(b"boom\n").unwrap();
            assert_eq!(rest_of(&mut victim), b"");
        }
        says(&mut bystander, "two", "two 2");
        says(&mut server.connect(), "one", "one 1");
        drop(bystander);
        let totals = server.drain();
        assert_eq!((totals.peers.ledger.panics, totals.closed(CloseReason::Panicked)), (8, 8), "{design:?}");
    }
}

#[test]
fn after_a_panic_the_one_thread_serves_the_next_peer() {
    let server = Running::new(Design::Iterative, Limits::default());
    let mut victim = server.connect();
    victim.write_all(b"boom\n").unwrap();
    assert_eq!(rest_of(&mut victim), b"");
    says(&mut server.connect(), "one", "one 1");
    assert_eq!(server.drain().closed(CloseReason::Panicked), 1);
}

#[test]
fn a_peer_that_can_be_neither_read_nor_answered_is_ended_by_its_deadline() {
    let limits = Limits { idle_timeout: Duration::from_millis(300), ..Limits::default() };
    for design in [Design::Iterative, SIDE_BY_SIDE[0], SIDE_BY_SIDE[1]] {
        let server = Running::new(design, limits.clone());
        for word in ["pause", "slow"] {
            let mut stream = server.connect();
            stream.write_all(format!("{word}\nnot seen any more\n").as_bytes()).unwrap();
            if word == "slow" {
                // It has ended, and is owed an answer.
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            }
            let started = std::time::Instant::now();
            rest_of(&mut stream);
            assert!(started.elapsed() >= limits.idle_timeout, "{design:?}, {word}: a deadline is never early");
        }
        assert_eq!(server.drain().closed(CloseReason::IdleTimeout), 2, "{design:?}");
    }
}

#[test]
fn a_peer_that_can_be_neither_read_nor_answered_hears_of_the_end() {
    for design in SIDE_BY_SIDE {
        // It may yet be resumed: it is waited for, but only for half of the time.
        let whole = ServerLimits { drain_timeout: Duration::from_secs(1), ..ServerLimits::default() };
        let server = Running::with(design, Limits::default(), whole, |_| {});
        let mut streams = [server.connect(), server.connect()];
        for stream in &mut streams {
            // What is answered first shows that the rest has been read as well.
            says(stream, "here", "here 1");
            stream.write_all(b"pause\n").unwrap();
        }
        server.handle.drain();
        for stream in &mut streams {
            assert_eq!(rest_of(stream), b"");
        }
        drop(streams);
        assert_eq!(server.drain().closed(CloseReason::Drained), 2, "{design:?}");
    }
}

#[test]
fn who_falls_silent_after_a_message_is_ended_in_time_and_the_watch_sleeps_meanwhile() {
    // Six naps long.
    let limits = Limits { idle_timeout: 6 * NAP, ..Limits::default() };
    for design in SIDE_BY_SIDE {
        let server = Running::new(design, limits.clone());
        let started = std::time::Instant::now();
        let mut stream = server.connect();
        says(&mut stream, "one", "one 1");
        assert_eq!(rest_of(&mut stream), b"");
        let waited = started.elapsed();
        assert!(limits.idle_timeout <= waited && waited < 2 * limits.idle_timeout, "{design:?}: {waited:?}");
        drop(stream);
        let totals = server.drain();
        assert_eq!(totals.closed(CloseReason::IdleTimeout), 1, "{design:?}");
        // Two looks find it awake, then asleep; with one every half of a nap there would be twelve.
        assert!(totals.turns <= 11, "{design:?}: {} turns", totals.turns);
    }
}

#[test]
fn a_peer_that_never_pauses_hears_of_the_end() {
    for design in [Design::Iterative, SIDE_BY_SIDE[0], SIDE_BY_SIDE[1]] {
        let server = Running::new(design, Limits::default());
        let mut stream = server.connect();
        says(&mut stream, "one", "one 1");
        // It asks on until it is told the end, or nobody tells it.
        let began = std::time::Instant::now();
        let (tell, told) = mpsc::channel();
        let asks = thread::spawn(move || {
            let mut bytes = [0; 64];
            while began.elapsed() < PATIENCE
                && stream.write_all(b"on\n").is_ok()
                && stream.read(&mut bytes).is_ok_and(|count| count > 0)
            {
                // Nobody listens any more once it has been said.
                let _ = tell.send(());
            }
        });
        for _ in 0..100 {
            told.recv_timeout(PATIENCE).expect("it is answered");
        }
        let totals = server.drain();
        assert!(began.elapsed() < ServerLimits::default().drain_timeout / 4, "{design:?}: {:?}", began.elapsed());
        assert_eq!(totals.closed(CloseReason::Drained), 1, "{design:?}: {totals:?}");
        asks.join().unwrap();
    }
}

#[test]
fn one_thread_too_many_is_refused_and_counted_and_the_next_is_tried() {
    let server = Running::with(Design::Threads, Limits::default(), ServerLimits::default(), |server| {
        server.crew = Box::new(Threads::for_at_most(3, Arc::clone(&server.ground)));
    });
    let mut served: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    for stream in &mut served {
        says(stream, "here", "here 1");
    }
    let mut refused = server.connect();
    // Reset: nobody shall take it for an answer.
    assert!(refused.read(&mut [0; 1]).is_err());
    for stream in &mut served {
        says(stream, "still", "still 2");
    }
    // When one has gone, its thread may still be ending: whoever is refused meanwhile comes again.
    drop(served.pop());
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let mut stream = server.connect();
        if stream.write_all(b"next\n").is_ok() && stream.read_exact(&mut [0; 7]).is_ok() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "nobody comes in any more");
    }
    drop(served);
    let totals = server.drain();
    assert!(totals.refused_full >= 1, "{totals:?}");
    assert_eq!(totals.peers.opened, 4);
}

#[test]
fn each_peer_has_the_service_to_itself() {
    for design in SIDE_BY_SIDE {
        let server = Running::new(design, Limits::default());
        let (mut one, mut other) = (server.connect(), server.connect());
        says(&mut one, "a", "a 1");
        says(&mut other, "b", "b 1");
        one.write_all(b"all\n").unwrap();
        says(&mut one, "a", "a 2");
        // Nobody has heard the order: what comes first is the answer.
        says(&mut other, "b", "b 2");
        drop((one, other));
        assert_eq!(server.drain().peers.opened, 2);
    }
}

#[test]
fn those_who_wait_for_a_thread_are_counted_and_a_stop_ends_them_as_well() {
    let workers = NonZero::<usize>::MIN;
    let server = Running::new(Design::Pool { workers }, Limits::default());
    let mut served = server.connect();
    says(&mut served, "here", "here 1");
    let mut waiting: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
    for stream in &mut waiting {
        stream.write_all(b"me too\n").unwrap();
    }
    server.handle.stop();
    let totals = server.thread.join().unwrap().unwrap();
    assert!(totals.reconciles() && totals.open == 0, "{totals:?}");
    // Whoever was not accepted by then was not there.
    assert_eq!(totals.closed(CloseReason::Stopped), totals.peers.opened);
    assert!(totals.peers.opened >= 1);
    waiting.iter_mut().for_each(|stream| assert_eq!(rest_of(stream), b""));
}
