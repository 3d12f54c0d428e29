//! Who takes part: each does the same number of messages over the same number of connections, and
//! says what that cost it and how long it took.

use std::net::SocketAddr;
use std::process::{Command, Stdio, id};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use readyloop::load::Record;

use crate::rig::kernel::{self, Wait};
use crate::rig::steady::{Plan, STALL_TIMEOUT, Steady};
use crate::rig::tally::Tally;

use super::raw_loop::RawLoop;

pub(crate) const MESSAGE_LEN: usize = 64;

/// A generator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// The loop on raw epoll; the second is the first again: what the machine cannot tell apart.
    RawLoop,
    RawLoopAgain,
    /// The generator of the other comparisons, which shares no code with `readyloop bench`; twice as well.
    Independent,
    IndependentAgain,
    /// `readyloop bench`, as it is.
    Bench,
}

/// Where a round takes place, and how large it is.
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    pub(crate) core: Option<usize>,
    pub(crate) connections: usize,
    pub(crate) messages: usize,
}

/// What came of a round.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// CPU of the generator for each message.
    pub(crate) cpu_ns: f64,
    /// Messages a second.
    pub(crate) rate: f64,
    /// Round trips; 0 where none are measured.
    pub(crate) p50_ns: f64,
    pub(crate) p99_ns: f64,
}

impl Contestant {
    pub(crate) const ALL: [Self; 5] =
        [Self::RawLoop, Self::RawLoopAgain, Self::Independent, Self::IndependentAgain, Self::Bench];

    /// One round.
    ///
    /// # Errors
    /// A wrong byte, a lost connection, a stall.
    pub(crate) fn play(self, place: &Place) -> Result<Figures> {
        match self {
            Self::RawLoop | Self::RawLoopAgain => {
                let mut raw_loop = RawLoop::open(place.address, place.connections, MESSAGE_LEN)?;
                raw_loop.exchange(place.connections)?;
                metered(place, || raw_loop.exchange(place.messages)).map(|metered| metered.with_round_trips([0, 0]))
            }
            Self::Independent | Self::IndependentAgain => {
                let plan = Plan { message_len: MESSAGE_LEN, window_bytes: MESSAGE_LEN };
                let mut steady = Steady::open(place.address, place.connections, plan, Wait::Sleep(STALL_TIMEOUT))?;
                let mut tally = Tally::default();
                let mut metered = metered(place, || steady.exchange(place.messages, &mut tally))?;
                // From the first answer on: when the time of `bench` begins, its requests are under way.
                metered.took -= Duration::from_nanos(tally.round_trips_ns[0]);
                Ok(metered.with_round_trips(tally.percentiles_ns([50, 99])))
            }
            Self::Bench => bench(place),
        }
    }
}

/// CPU and time of this process for `exchange`.
fn metered(place: &Place, exchange: impl FnOnce() -> Result<()>) -> Result<Metered> {
    let (began, cpu) = (Instant::now(), kernel::cpu_time(id())?);
    exchange()?;
    Ok(Metered { cpu: kernel::cpu_time(id())? - cpu, took: began.elapsed(), messages: place.messages })
}

struct Metered {
    cpu: Duration,
    took: Duration,
    messages: usize,
}

impl Metered {
    fn with_round_trips(self, percentiles_ns: [u64; 2]) -> Figures {
        let messages = self.messages as f64;
        let [p50_ns, p99_ns] = percentiles_ns.map(|nanos| nanos as f64);
        let cpu_ns = self.cpu.as_nanos() as f64 / messages;
        Figures { cpu_ns, rate: messages / self.took.as_secs_f64(), p50_ns, p99_ns }
    }
}

/// `readyloop bench` in a process of its own; what it cost is what it says.
fn bench(place: &Place) -> Result<Figures> {
    // As built by cargo beside this benchmark.
    let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
    command.args(["bench", &place.address.to_string(), "--json"]);
    command.args(["-c", &place.connections.to_string(), "-s", &format!("{MESSAGE_LEN}B")]);
    // The first round over all connections is none of the others' either.
    command.args(["-n", &place.messages.to_string(), "-w", "50ms"]);
    kernel::tie(&mut command, place.core);
    let output = command.stderr(Stdio::inherit()).output().context("cannot start readyloop bench")?;
    ensure!(output.status.success(), "readyloop bench: {}", output.status);
    let record = Record::from_json(&String::from_utf8(output.stdout)?)?;
    let (latency, requests) = (&record.latency, &record.requests);
    let (Some(p50_ns), Some(p99_ns)) = (latency.at(0.50), latency.at(0.99)) else { bail!("no answers") };
    Ok(Figures {
        cpu_ns: record.generator.cpu_ns as f64 / requests.answered as f64,
        rate: requests.rate,
        p50_ns: p50_ns as f64,
        p99_ns: p99_ns as f64,
    })
}
