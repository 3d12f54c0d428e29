//! The generators. Each exchanges the same number of messages over the same number of connections, and
//! reports its CPU and its time.

use std::net::SocketAddr;
use std::process::{Command, Stdio, id};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use readyloop::load::Record;

use crate::rig::kernel::{self, Wait};
use crate::rig::measurements::Measurements;
use crate::rig::steady::{Plan, STALL_TIMEOUT, Steady};

use super::open_loop::{OpenLoop, Schedule};
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
    /// Requests per second of an open loop; none in a closed loop.
    pub(crate) rate: Option<f64>,
    /// The time of `bench` before it measures.
    pub(crate) warm_up: Duration,
}

/// The results of a round. What a generator does not measure is 0.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    /// CPU of the generator for one message.
    pub(crate) cpu_ns: f64,
    /// Messages per second.
    pub(crate) rate: f64,
    /// Percentile of the round trips.
    pub(crate) p50_ns: f64,
    /// As `p50_ns`.
    pub(crate) p99_ns: f64,
}

impl Generator {
    pub(crate) const ALL: [Self; 5] =
        [Self::RawLoop, Self::RawLoopAgain, Self::Independent, Self::IndependentAgain, Self::Bench];

    /// Whether it can send at planned times.
    pub(crate) fn has_open_loop(self) -> bool {
        !matches!(self, Self::RawLoop | Self::RawLoopAgain)
    }

    /// Runs one round.
    ///
    /// # Errors
    /// A byte is wrong, a connection is lost, or the server stalls.
    pub(crate) fn run(self, round: &Round) -> Result<Figures> {
        match self {
            Self::RawLoop | Self::RawLoopAgain => {
                let mut raw_loop = RawLoop::open(round.address, round.connections, MESSAGE_LEN)?;
                raw_loop.exchange(round.connections)?;
                let cpu = kernel::cpu_time(id())?;
                raw_loop.exchange(round.messages)?;
                let spent = kernel::cpu_time(id())? - cpu;
                Ok(Figures { cpu_ns: spent.as_nanos() as f64 / round.messages as f64, ..Figures::default() })
            }
            Self::Independent | Self::IndependentAgain => match round.rate {
                None => closed_loop(round),
                Some(rate) => open_loop(round, rate),
            },
            Self::Bench => bench(round),
        }
    }
}

/// Runs the independent generator, with one message over each connection as warm-up.
fn closed_loop(round: &Round) -> Result<Figures> {
    let plan = Plan { message_len: MESSAGE_LEN, window_bytes: MESSAGE_LEN };
    let mut steady = Steady::open(round.address, round.connections, plan, Wait::Sleep(STALL_TIMEOUT))?;
    let mut measurements = Measurements { unmeasured: round.connections, ..Measurements::default() };
    steady.exchange(round.connections + round.messages, &mut measurements)?;
    let warm_at = measurements.warm_at.context("the warm-up has no end")?;
    Ok(figures(round.messages as f64 / warm_at.elapsed().as_secs_f64(), measurements))
}

fn open_loop(round: &Round, rate: f64) -> Result<Figures> {
    let warm_up = (round.warm_up.as_secs_f64() * rate) as usize;
    let schedule = Schedule { message_len: MESSAGE_LEN, rate, warm_up, measured: round.messages };
    let mut measurements = Measurements::default();
    let reached = OpenLoop::open(round.address, round.connections, schedule)?.run(&mut measurements)?;
    Ok(figures(reached, measurements))
}

fn figures(rate: f64, mut measurements: Measurements) -> Figures {
    let [p50_ns, p99_ns] = measurements.percentiles_ns([50, 99]).map(|nanos| nanos as f64);
    Figures { rate, p50_ns, p99_ns, ..Figures::default() }
}

/// Runs `readyloop bench` in a process of its own, and reads the figures from its report.
fn bench(round: &Round) -> Result<Figures> {
    // Cargo has built it with this benchmark.
    let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
    command.args(["bench", &round.address.to_string(), "--json"]);
    command.args(["-c", &round.connections.to_string(), "-s", &format!("{MESSAGE_LEN}B")]);
    command.args(["-n", &round.messages.to_string(), "-w", &format!("{}ms", round.warm_up.as_millis())]);
    if let Some(rate) = round.rate {
        command.args(["--rate", &rate.to_string()]);
    }
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
