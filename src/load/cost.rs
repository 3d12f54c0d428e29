//! `Cost`: what a run costs its two ends: CPU, memory, threads, context switches.
//!
//! It is told when the measured time begins and ends, and looks then; it keeps no time of its own.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use super::machine::{self, Sight};
use super::plan::nanos;
use super::record::{Generator, Server};

/// A generator that rested for less than this part of the time may itself be what was measured.
const REST_MIN: f64 = 0.05;

/// A look at the server, once it has come.
type Coming = Option<JoinHandle<io::Result<Sight>>>;

/// Looks at both ends of a run.
pub(super) struct Cost {
    pid: Option<u32>,
    /// Before the first connection.
    server_before: Option<Sight>,
    memory_before: Option<u64>,
    /// With all of them.
    server_open: Coming,
    memory_open: Option<u64>,
    /// When the measured time begins and ends.
    server: (Coming, Coming),
    /// The last of these looks, once it was taken.
    server_last: Option<Sight>,
    cpu: Option<Duration>,
    waited: Duration,
    spent: Option<(Duration, Duration)>,
}

impl Cost {
    /// Looks for the first time.
    ///
    /// # Errors
    /// There is no process of that number.
    pub(super) fn new(pid: Option<u32>) -> io::Result<Self> {
        Ok(Self {
            pid,
            server_before: pid.map(Sight::of).transpose()?,
            memory_before: machine::own_memory(),
            server_open: None,
            memory_open: None,
            server: (None, None),
            server_last: None,
            cpu: None,
            waited: Duration::ZERO,
            spent: None,
        })
    }

    /// All connections are there.
    pub(super) fn look_when_open(&mut self) {
        self.memory_open = machine::own_memory();
        self.server_open = self.pid.and_then(Sight::soon);
    }

    /// Whether the measured time has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.cpu.is_some()
    }

    /// The measured time begins.
    pub(super) fn begin(&mut self) {
        self.server.0 = self.pid.and_then(Sight::soon);
        self.waited = machine::own_wait();
        self.cpu = Some(machine::own_cpu());
    }

    /// The measured time ends, if it has begun and not ended before; whether it has.
    pub(super) fn end(&mut self) -> bool {
        let Some(cpu) = self.cpu.filter(|_| self.spent.is_none()) else { return false };
        self.spent = Some((machine::own_cpu() - cpu, machine::own_wait().saturating_sub(self.waited)));
        self.server.1 = self.pid.and_then(Sight::soon);
        true
    }

    /// Waits for the last look: when connections close, threads end, and take with them what they spent.
    pub(super) fn settle(&mut self) {
        if let Some(coming) = self.server.1.take() {
            self.server_last = seen(Some(coming));
        }
    }

    /// The figures for the record.
    pub(super) fn into_figures(mut self, measured: Duration, answered: u64, open: u64) -> (Option<Server>, Generator) {
        self.settle();
        let (cpu, waited) = self.spent.unwrap_or_default();
        let part = |span: Duration| if measured.is_zero() { 0.0 } else { span.as_secs_f64() / measured.as_secs_f64() };
        let grown = self.memory_open.zip(self.memory_before).map(|(open, before)| open.saturating_sub(before));
        let generator = Generator {
            cpu_ns: nanos(cpu),
            busy: part(cpu),
            waited: part(waited),
            was_bottleneck: part(cpu) + part(waited) > 1.0 - REST_MIN,
            memory_per_connection_bytes: grown.and_then(|bytes| bytes.checked_div(open)),
        };
        let server = self.pid.and_then(|pid| {
            let (first, last) = (seen(self.server.0), self.server_last);
            server_figures(pid, self.server_before?, seen(self.server_open), first?, last?, answered, open)
        });
        (server, generator)
    }
}

/// What was seen; `None` where the process has ended.
fn seen(coming: Coming) -> Option<Sight> {
    coming?.join().ok()?.ok()
}

fn server_figures(
    pid: u32,
    before: Sight,
    with_all: Option<Sight>,
    first: Sight,
    last: Sight,
    answered: u64,
    open: u64,
) -> Option<Server> {
    let with_all = with_all?;
    let cpu_ns = nanos(last.cpu.saturating_sub(first.cpu));
    Some(Server {
        pid,
        cpu_ns,
        cpu_per_request_ns: cpu_ns.checked_div(answered),
        memory_before_bytes: before.memory_bytes,
        memory_bytes: with_all.memory_bytes,
        memory_per_connection_bytes: with_all.memory_bytes.saturating_sub(before.memory_bytes).checked_div(open),
        threads: last.threads,
        switches_voluntary: last.switches_voluntary.saturating_sub(first.switches_voluntary),
        switches_involuntary: last.switches_involuntary.saturating_sub(first.switches_involuntary),
    })
}
