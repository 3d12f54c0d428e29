//! The generators. Each exchanges the same number of messages over the same number of connections, and
//! reports its CPU and its time.

use std::net::SocketAddr;
use std::process::{Command, Stdio, id};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use readyloop::load::Record;

use crate::rig::kernel::{self, Wait};
use crate::rig::measurements::Measurements;
use crate::rig::steady::{Plan, STALL_TIMEOUT, Steady};

use super::raw_loop::RawLoop;

pub(crate) const MESSAGE_LEN: usize = 64;

/// A load generator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generator {
    /// The loop on raw epoll. It runs twice in each round, to show the noise of the measurement.
    RawLoop,
    RawLoopAgain,
    /// The generator of the other comparisons, which shares no code with `readyloop bench`; also twice.
    Independent,
    IndependentAgain,
    /// `readyloop bench`.
    Bench,
}

/// The server and the size of a round.
pub(crate) struct Round {
    pub(crate) address: SocketAddr,
    pub(crate) core: Option<usize>,
    pub(crate) connections: usize,
    pub(crate) messages: usize,
}

/// The results of a round.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// CPU of the generator for one message.
    pub(crate) cpu_ns: f64,
    /// Messages per second.
    pub(crate) rate: f64,
    /// Percentile of the round trips; 0 if they are not measured.
    pub(crate) p50_ns: f64,
    /// As `p50_ns`.
    pub(crate) p99_ns: f64,
}

impl Generator {
    pub(crate) const ALL: [Self; 5] =
        [Self::RawLoop, Self::RawLoopAgain, Self::Independent, Self::IndependentAgain, Self::Bench];

    /// Runs one round.
    ///
    /// # Errors
    /// A byte is wrong, a connection is lost, or the server stalls.
    pub(crate) fn run(self, round: &Round) -> Result<Figures> {
        match self {
            Self::RawLoop | Self::RawLoopAgain => {
                let mut raw_loop = RawLoop::open(round.address, round.connections, MESSAGE_LEN)?;
                raw_loop.exchange(round.connections)?;
                let usage = measure(round, || raw_loop.exchange(round.messages))?;
                Ok(usage.figures([0, 0]))
            }
            Self::Independent | Self::IndependentAgain => {
                let plan = Plan { message_len: MESSAGE_LEN, window_bytes: MESSAGE_LEN };
                let mut steady = Steady::open(round.address, round.connections, plan, Wait::Sleep(STALL_TIMEOUT))?;
                let mut measurements = Measurements::default();
                let mut usage = measure(round, || steady.exchange(round.messages, &mut measurements))?;
                // From the first echo on, because `bench` also starts its clock with requests in flight.
                usage.took -= Duration::from_nanos(measurements.round_trips_ns[0]);
                Ok(usage.figures(measurements.percentiles_ns([50, 99])))
            }
            Self::Bench => bench(round),
        }
    }
}

/// Runs `exchange` and returns the CPU and the time that this process used for it.
fn measure(round: &Round, exchange: impl FnOnce() -> Result<()>) -> Result<Usage> {
    let (started, cpu) = (Instant::now(), kernel::cpu_time(id())?);
    exchange()?;
    Ok(Usage { cpu: kernel::cpu_time(id())? - cpu, took: started.elapsed(), messages: round.messages })
}

struct Usage {
    cpu: Duration,
    took: Duration,
    messages: usize,
}

impl Usage {
    fn figures(self, percentiles_ns: [u64; 2]) -> Figures {
        let messages = self.messages as f64;
        let [p50_ns, p99_ns] = percentiles_ns.map(|nanos| nanos as f64);
        let cpu_ns = self.cpu.as_nanos() as f64 / messages;
        Figures { cpu_ns, rate: messages / self.took.as_secs_f64(), p50_ns, p99_ns }
    }
}

/// Runs `readyloop bench` in a process of its own, and reads the figures from its report.
fn bench(round: &Round) -> Result<Figures> {
    // Cargo has built it with this benchmark.
    let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
    command.args(["bench", &round.address.to_string(), "--json"]);
    command.args(["-c", &round.connections.to_string(), "-s", &format!("{MESSAGE_LEN}B")]);
    // The other generators do not measure the first message of each connection either.
    command.args(["-n", &round.messages.to_string(), "-w", "50ms"]);
    kernel::tie(&mut command, round.core);
    let output = command.stderr(Stdio::inherit()).output().context("cannot start readyloop bench")?;
    ensure!(output.status.success(), "readyloop bench: {}", output.status);
    let record = Record::from_json(&String::from_utf8(output.stdout)?)?;
    let (latency, requests) = (&record.latency, &record.requests);
    let (Some(p50_ns), Some(p99_ns)) = (latency.at(0.50), latency.at(0.99)) else {
        bail!("readyloop bench got no replies")
    };
    Ok(Figures {
        cpu_ns: record.generator.cpu_ns as f64 / requests.answered as f64,
        rate: record.rate_per_s,
        p50_ns: p50_ns as f64,
        p99_ns: p99_ns as f64,
    })
}
