//! Everything at once for as long as one likes: steady load, people who come and go in every way,
//! slow readers, TLS, datagrams, new certificates, stalls. Nothing is lost and nothing grows.
//!
//! `READYLOOP_SOAK=10m cargo test --release --test it soak -- --ignored --nocapture`; without a time
//! it lasts half a minute.

use std::net::UdpSocket;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::certs::Authority;
use crate::support::tls::{CertFiles, Hand, Secure, VERSIONS};
use crate::support::{
    Behavior, Crowd, KIB, MIB, Role, Server, StreamEnd, TIMEOUT, echoes, exchange, exclusive_machine, print_note,
};
use crate::{reset, tls, udp};

/// How long it goes on, as `30s`, `10m`, `24h`.
const SPAN: &str = "READYLOOP_SOAK";
const STEADY: usize = 100;
const SLOW: usize = 10;
const CHURN: usize = 100;
const DATAGRAMS: usize = 100;

/// What was seen in one round, at its calm end.
#[derive(Clone, Copy, Debug)]
struct Seen {
    memory: usize,
    descriptors: usize,
    /// The 99th percentile of the steady ones' round trips, where nothing stalled the server.
    p99: Option<Duration>,
}

/// What the rounds did in all.
#[derive(Debug, Default)]
struct Done {
    connections: u64,
    slow: u64,
    reloads: u64,
    stops: u64,
    datagrams: u64,
}

/// A hundred who ask every ten milliseconds, on a thread of their own, from the first to the last.
struct Steady<'a> {
    server: &'a Server,
    is_over: AtomicBool,
    trips: Mutex<Vec<Duration>>,
}

impl Steady<'_> {
    fn run(&self) {
        let mut crowd = Crowd::new();
        let all = crowd.join(self.server.address(), STEADY, Behavior::OnRequest);
        for lap in 0_u64.. {
            for member in all.clone() {
                if crowd.members[member].is_answered() {
                    crowd.ask(member..member + 1, [64, 1_000, 64, 10_000][(lap % 4) as usize]);
                }
            }
            crowd.run_for(Duration::from_millis(10));
            self.trips.lock().expect("nobody panics with it").append(&mut crowd.round_trips);
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
        }
        assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| member.is_answered())), "lost bytes");
        assert_eq!(crowd.open(), STEADY, "somebody was dropped");
    }

    /// The 99th percentile since the last time.
    fn p99(&self) -> Option<Duration> {
        let mut trips = std::mem::take(&mut *self.trips.lock().expect("nobody panics with it"));
        trips.sort_unstable();
        trips.get(trips.len() * 99 / 100).copied()
    }
}

/// One that has been connected over TLS since the beginning, and a socket for datagrams.
struct Round<'a> {
    secure: &'a Secure,
    old_friend: Hand,
    socket: UdpSocket,
    slow: Crowd,
    done: Done,
}

impl Round<'_> {
    fn run(&mut self, number: usize) {
        let (secure, version) = (self.secure, VERSIONS[number % 2]);
        let server = &secure.server;
        for turn in 0..CHURN {
            match turn % 5 {
                4 => assert_eq!(exchange(&mut server.connect(), b"short", 5), (b"short".to_vec(), StreamEnd::Clean)),
                phase => reset::reset_after(phase, server.address()),
            }
        }
        (0..5).for_each(|phase| tls::rows::reset_after(phase, secure, version));
        let mut talks = secure.talks(version);
        talks.join(10, Role::Streams(100_000));
        talks.finish_all();
        self.old_friend.send(b"still here");
        self.old_friend.expect(b"still here");
        for place in 0..DATAGRAMS {
            let datagram = vec![place as u8; place];
            assert_eq!(udp::ask(&self.socket, udp::udp_address(server), &datagram), datagram);
        }
        self.done.connections += (CHURN + 5 + 10) as u64;
        self.done.datagrams += DATAGRAMS as u64;
        if number % 3 == 1 {
            secure.files.install(&secure.authority);
            server.signal("HUP");
            self.done.reloads += 1;
        }
        if number % 5 == 2 {
            self.slow.join_with_buffers(16 * KIB, server.address(), SLOW, Behavior::NeverReads);
            self.done.slow += SLOW as u64;
        }
        if is_stalled(number) {
            server.process.stop();
            self.slow.run_for(Duration::from_millis(300));
            server.process.resume();
            self.done.stops += 1;
        }
        self.slow.run_for(Duration::from_millis(300));
        assert!(self.slow.open() <= 3 * SLOW, "slow readers are not ended");
    }
}

fn is_stalled(number: usize) -> bool {
    number % 7 == 3
}

fn span() -> Duration {
    let text = std::env::var(SPAN).unwrap_or_else(|_| "30s".to_owned());
    humantime::parse_duration(&text).expect("a time such as 10m")
}

/// The middle one of what `of` says of some rounds.
fn median<T: Ord + Copy>(rounds: &[Seen], of: impl Fn(&Seen) -> Option<T>) -> T {
    let mut values: Vec<T> = rounds.iter().filter_map(of).collect();
    values.sort_unstable();
    *values.get(values.len() / 2).expect("the soak has rounds enough")
}

/// Compares the first third with the last.
#[track_caller]
fn is_flat(rounds: &[Seen]) {
    let third = rounds.len() / 3;
    let (first, last) = (&rounds[..third], &rounds[rounds.len() - third..]);
    let memory = (median(first, |seen| Some(seen.memory)), median(last, |seen| Some(seen.memory)));
    assert!(memory.1 <= memory.0 + memory.0 / 10 + MIB, "memory grows: {memory:?}");
    let descriptors = (median(first, |seen| Some(seen.descriptors)), median(last, |seen| Some(seen.descriptors)));
    assert!(descriptors.1 <= descriptors.0 + SLOW, "descriptors grow: {descriptors:?}");
    let p99 = (median(first, |seen| seen.p99), median(last, |seen| seen.p99));
    println!("first and last third: memory {memory:?}, descriptors {descriptors:?}, p99 {p99:?}");
    // Other programs come and go as well; what drifts, drifts on.
    assert!(p99.1 <= 3 * p99.0 + Duration::from_millis(20), "p99 drifts: {p99:?}");
}

#[test]
#[ignore = "half a minute, or READYLOOP_SOAK: everything at once"]
fn everything_at_once_loses_nothing_and_grows_nowhere() {
    let _machine = exclusive_machine();
    let authority = Authority::new();
    let files = CertFiles::of(&authority);
    let serve = files.serve().listen("tcp://127.0.0.1:0").listen("udp://127.0.0.1:0");
    let server = serve.with("--write-timeout 1s --recv-buffer 16KiB --send-buffer 16KiB").start();
    let base = server.process.descriptors();
    let secure = Secure { server, authority, files };
    let steady = Steady { server: &secure.server, is_over: AtomicBool::new(false), trips: Mutex::default() };
    let started = Instant::now();
    let mut seen = Vec::new();
    let done = thread::scope(|scope| {
        let steadily = scope.spawn(|| steady.run());
        let old_friend = secure.hand(VERSIONS[1]);
        let (socket, slow) = (udp::socket_at("127.0.0.1:0"), Crowd::new());
        let mut round = Round { secure: &secure, old_friend, socket, slow, done: Done::default() };
        for number in 0.. {
            round.run(number);
            let p99 = steady.p99().filter(|_| !is_stalled(number));
            let process = secure.server.process;
            seen.push(Seen { memory: process.memory_bytes(), descriptors: process.descriptors(), p99 });
            if number % 60 == 59 {
                print_note(&format!("soaking for {:?}: {:?}, {:?}", started.elapsed(), seen[number], round.done));
            }
            if steadily.is_finished() || (started.elapsed() >= span() && seen.len() >= 12) {
                break;
            }
        }
        let all_ended = round.slow.run_until(TIMEOUT, |members| members.iter().all(|member| !member.is_open()));
        assert!(all_ended, "slow readers are not ended");
        echoes(&mut secure.server.connect(), b"the last one");
        steady.is_over.store(true, Ordering::Relaxed);
        steadily.join().expect("every byte was right");
        round.done
    });
    println!("{} rounds in {:?}: {done:?}", seen.len(), started.elapsed());
    is_flat(&seen);
    secure.server.descriptors_return_to(base);
    let ended = secure.server.drain();
    let summary = ended.summary();
    println!("{summary:?}");
    assert!(summary.reconciles_as_echo(), "{}", ended.log_text());
    assert_eq!(summary.connections, done.connections + done.slow + STEADY as u64 + 2, "{}", ended.log_text());
    assert_eq!(summary.closed("write-timeout"), done.slow, "{}", ended.log_text());
}
