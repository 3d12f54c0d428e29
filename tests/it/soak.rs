//! A mixed load for a given time: steady requests, short connections with every ending, slow readers,
//! TLS, datagrams, reloaded certificates, stalls. No byte is lost, and no resource grows.
//!
//! Run it by `READYLOOP_SOAK=10m cargo test --release --test it soak -- --ignored --nocapture`. Without
//! the variable it takes half a minute.

use std::net::UdpSocket;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::tls::{ManualClient, Secure, VERSIONS};
use crate::support::{
    Behavior, Crowd, KIB, MIB, Role, Server, StreamEnd, TIMEOUT, echoes, exchange, exclusive_machine, p99, print_note,
};
use crate::{reset, tls, udp};

/// The environment variable for the duration: `30s`, `10m`, `24h`.
const SPAN: &str = "READYLOOP_SOAK";
const STEADY: usize = 100;
const SLOW: usize = 10;
const CHURN: usize = 100;
const DATAGRAMS: usize = 100;

/// The measurements at the end of one round.
#[derive(Clone, Copy, Debug)]
struct Sample {
    memory: usize,
    descriptors: usize,
    /// The 99th percentile of the steady round trips. `None` if the round has suspended the server.
    p99: Option<Duration>,
}

/// The totals of all rounds.
#[derive(Debug, Default)]
struct Done {
    connections: u64,
    slow: u64,
    reloads: u64,
    stops: u64,
    datagrams: u64,
}

/// 100 clients that send a request every 10 ms, on their own thread, from the first round to the last.
struct Steady<'a> {
    server: &'a Server,
    round_trips: Mutex<Vec<Duration>>,
}

impl Steady<'_> {
    /// Runs until the sender of `stop` is dropped, by the test or by its panic.
    fn run(&self, stop: &Receiver<()>) {
        let mut crowd = Crowd::new();
        let all = crowd.join(self.server.address(), STEADY, Behavior::OnRequest);
        for lap in 0_u64.. {
            for member in all.clone() {
                if crowd.members[member].is_answered() {
                    crowd.ask(member..member + 1, [64, 1_000, 64, 10_000][(lap % 4) as usize]);
                }
            }
            crowd.run_for(Duration::from_millis(10));
            self.round_trips.lock().expect("the other thread has not panicked").append(&mut crowd.round_trips);
            if stop.try_recv() == Err(TryRecvError::Disconnected) {
                break;
            }
        }
        crowd.wait_for_echoes(all, TIMEOUT);
        assert_eq!(crowd.open(), STEADY, "a connection was closed");
    }

    /// The 99th percentile of the round trips since the last call.
    fn p99(&self) -> Option<Duration> {
        p99(&mut std::mem::take(&mut *self.round_trips.lock().expect("the other thread has not panicked")))
    }
}

/// The clients of one round. The TLS client stays connected for all rounds.
struct Round<'a> {
    secure: &'a Secure,
    long_lived: ManualClient,
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
        self.long_lived.echoes(b"still here");
        for len in 0..DATAGRAMS {
            let datagram = vec![len as u8; len];
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
        assert!(self.slow.open() <= 3 * SLOW, "slow readers are not closed");
    }
}

fn is_stalled(number: usize) -> bool {
    number % 7 == 3
}

fn span() -> Duration {
    let text = std::env::var(SPAN).unwrap_or_else(|_| "30s".to_owned());
    humantime::parse_duration(&text).expect("a duration such as 10m")
}

/// The median of one value over some rounds.
fn median<T: Ord + Copy>(rounds: &[Sample], of: impl Fn(&Sample) -> Option<T>) -> T {
    let mut values: Vec<T> = rounds.iter().filter_map(of).collect();
    values.sort_unstable();
    *values.get(values.len() / 2).expect("there are enough rounds")
}

/// Compares the first third of the rounds with the last.
#[track_caller]
fn check_growth(rounds: &[Sample]) {
    let third = rounds.len() / 3;
    let (first, last) = (&rounds[..third], &rounds[rounds.len() - third..]);
    let [memory, descriptors] = [|sample: &Sample| Some(sample.memory), |sample: &Sample| Some(sample.descriptors)]
        .map(|of| (median(first, of), median(last, of)));
    assert!(memory.1 <= memory.0 + memory.0 / 10 + MIB, "memory grows: {memory:?}");
    assert!(descriptors.1 <= descriptors.0 + SLOW, "descriptors grow: {descriptors:?}");
    let p99 = (median(first, |sample| sample.p99), median(last, |sample| sample.p99));
    println!("first and last third: memory {memory:?}, descriptors {descriptors:?}, p99 {p99:?}");
    // Other programs cause some variation. A real drift continues and exceeds this bound.
    assert!(p99.1 <= 3 * p99.0 + Duration::from_millis(20), "p99 drifts: {p99:?}");
}

#[test]
#[ignore = "half a minute, or READYLOOP_SOAK"]
fn a_mixed_load_loses_no_byte_and_leaks_nothing() {
    let _machine = exclusive_machine();
    let secure = Secure::start_with(|files, _| {
        let serve = files.serve().listen("tcp://127.0.0.1:0").listen("udp://127.0.0.1:0");
        serve.with("--write-timeout 1s --recv-buffer 16KiB --send-buffer 16KiB")
    });
    let base = secure.server.process.descriptors();
    let steady = &Steady { server: &secure.server, round_trips: Mutex::default() };
    let started = Instant::now();
    let mut samples = Vec::new();
    let done = thread::scope(|scope| {
        let (stop_sender, stop) = mpsc::channel();
        let steady_thread = scope.spawn(move || steady.run(&stop));
        let long_lived = secure.client(VERSIONS[1]);
        let (socket, slow) = (udp::socket_at("127.0.0.1:0"), Crowd::new());
        let mut round = Round { secure: &secure, long_lived, socket, slow, done: Done::default() };
        for number in 0.. {
            round.run(number);
            let p99 = steady.p99().filter(|_| !is_stalled(number));
            let process = secure.server.process;
            samples.push(Sample { memory: process.memory_bytes(), descriptors: process.descriptors(), p99 });
            if number % 60 == 59 {
                print_note(&format!("soak test: {:?}: {:?}, {:?}", started.elapsed(), samples[number], round.done));
            }
            if steady_thread.is_finished() || (started.elapsed() >= span() && samples.len() >= 12) {
                break;
            }
        }
        let all = 0..round.slow.members.len();
        assert!(round.slow.run_until_closed(TIMEOUT, all), "slow readers are not closed");
        echoes(&mut secure.server.connect(), b"last");
        drop(stop_sender);
        steady_thread.join().expect("every byte is right");
        round.done
    });
    println!("{} rounds in {:?}: {done:?}", samples.len(), started.elapsed());
    check_growth(&samples);
    secure.server.descriptors_return_to(base);
    let ended = secure.server.drain();
    let summary = ended.summary();
    println!("{summary:?}");
    assert!(summary.reconciles_as_echo(), "{}", ended.log_text());
    assert_eq!(summary.connections, done.connections + done.slow + STEADY as u64 + 2, "{}", ended.log_text());
    assert_eq!(summary.closed("write-timeout"), done.slow, "{}", ended.log_text());
}
