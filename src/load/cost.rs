//! `Cost`: what a run costs its two ends: CPU, memory, threads, context switches.
//!
//! It is told when the measured time begins and ends, and looks then; it keeps no time of its own.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::machine::{self, ThreadCounters};
use super::plan::nanos;
use super::record::{GeneratorCost, ServerCost};

/// A generator that rested for less than this part of the time may itself be what was measured.
const IDLE_MIN: f64 = 0.05;

/// A look at all threads that took longer than this part of the time tells of no moment in it.
const SAMPLE_TIME_MAX: f64 = 0.1;

/// A look at the server that takes a while, and how long it took, once it has come.
type PendingSample<T> = Option<JoinHandle<(io::Result<T>, Duration)>>;

/// Looks at both ends of a run.
pub(super) struct Cost {
    pid: Option<u32>,
    /// Memory before the first connection, and with all of them.
    server_memory_before: Option<u64>,
    server_memory: PendingSample<u64>,
    own_memory_before: Option<u64>,
    own_memory: Option<u64>,
    /// When the measured time begins and ends.
    server_cpu: (Option<Duration>, Option<Duration>),
    server_threads: (PendingSample<ThreadCounters>, PendingSample<ThreadCounters>),
    /// The last of these looks, once it was taken.
    server_threads_last: Option<(ThreadCounters, Duration)>,
    own_cpu: Option<Duration>,
    own_wait: Duration,
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
            server_memory_before: pid.map(|pid| machine::memory_of(&pid.to_string())).transpose()?,
            server_memory: None,
            own_memory_before: machine::own_memory(),
            own_memory: None,
            server_cpu: (None, None),
            server_threads: (None, None),
            server_threads_last: None,
            own_cpu: None,
            own_wait: Duration::ZERO,
            spent: None,
        })
    }

    /// All connections are there.
    pub(super) fn sample_when_open(&mut self) {
        self.own_memory = machine::own_memory();
        self.server_memory = self.pid.and_then(|pid| sample_in_thread(move || machine::memory_of(&pid.to_string())));
    }

    /// Whether the measured time has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.own_cpu.is_some()
    }

    /// The measured time begins.
    pub(super) fn begin(&mut self) {
        self.server_cpu.0 = self.server_cpu_now();
        self.server_threads.0 = self.pid.and_then(|pid| sample_in_thread(move || ThreadCounters::of(pid)));
        self.own_wait = machine::own_wait();
        self.own_cpu = Some(machine::own_cpu());
    }

    /// The measured time ends, if it has begun and not ended before; whether it has.
    pub(super) fn end(&mut self) -> bool {
        let Some(cpu) = self.own_cpu.filter(|_| self.spent.is_none()) else { return false };
        self.spent = Some((machine::own_cpu() - cpu, machine::own_wait().saturating_sub(self.own_wait)));
        self.server_cpu.1 = self.server_cpu_now();
        self.server_threads.1 = self.pid.and_then(|pid| sample_in_thread(move || ThreadCounters::of(pid)));
        true
    }

    /// Waits for the last look: when connections close, threads end, and are no longer there to be
    /// looked at.
    pub(super) fn finish_sampling(&mut self) {
        if let Some(pending) = self.server_threads.1.take() {
            self.server_threads_last = finished(Some(pending));
        }
    }

    /// The figures for the record.
    pub(super) fn into_figures(
        mut self,
        measured: Duration,
        answered: u64,
        open: u64,
    ) -> (Option<ServerCost>, GeneratorCost) {
        self.finish_sampling();
        let (cpu, waited) = self.spent.unwrap_or_default();
        let part = |span: Duration| if measured.is_zero() { 0.0 } else { span.as_secs_f64() / measured.as_secs_f64() };
        let grown = self.own_memory.zip(self.own_memory_before).map(|(open, before)| open.saturating_sub(before));
        let generator = GeneratorCost {
            cpu_ns: nanos(cpu),
            busy: part(cpu),
            waited: part(waited),
            was_bottleneck: part(cpu) + part(waited) > 1.0 - IDLE_MIN,
            memory_per_connection_bytes: grown.and_then(|bytes| bytes.checked_div(open)),
        };
        (self.into_server(measured, answered, open), generator)
    }

    /// The server's; none where it has ended.
    fn into_server(self, measured: Duration, answered: u64, open: u64) -> Option<ServerCost> {
        let cpu_ns = nanos(self.server_cpu.1?.saturating_sub(self.server_cpu.0?));
        let (memory_before_bytes, (memory_bytes, _)) = (self.server_memory_before?, finished(self.server_memory)?);
        let (first, last) = (finished(self.server_threads.0)?, self.server_threads_last?);
        let (switches_voluntary, switches_involuntary) = switches(first, last, measured).unzip();
        Some(ServerCost {
            pid: self.pid?,
            cpu_ns,
            cpu_per_request_ns: cpu_ns.checked_div(answered),
            memory_before_bytes,
            memory_bytes,
            memory_per_connection_bytes: memory_bytes.saturating_sub(memory_before_bytes).checked_div(open),
            threads: last.0.count,
            switches_voluntary,
            switches_involuntary,
        })
    }

    fn server_cpu_now(&self) -> Option<Duration> {
        machine::cpu_of(self.pid?).ok()
    }
}

/// Looks from another thread, so that a server with thousands of threads holds up no request.
fn sample_in_thread<T: Send + 'static>(look: impl FnOnce() -> io::Result<T> + Send + 'static) -> PendingSample<T> {
    let begun_at = Instant::now();
    thread::Builder::new().name("look".to_owned()).spawn(move || (look(), begun_at.elapsed())).ok()
}

/// What was seen, and how long it took; `None` where the process has ended.
fn finished<T>(pending: PendingSample<T>) -> Option<(T, Duration)> {
    let (finished, took) = pending?.join().ok()?;
    Some((finished.ok()?, took))
}

/// Voluntary and involuntary switches between two looks, unless one of them came too late: then it
/// is not known how many there were in the measured time.
fn switches(
    first: (ThreadCounters, Duration),
    last: (ThreadCounters, Duration),
    measured: Duration,
) -> Option<(u64, u64)> {
    let (first, last) = match (first, last) {
        ((first, took), (last, again)) if took.max(again) <= measured.mul_f64(SAMPLE_TIME_MAX) => (first, last),
        _ => return None,
    };
    let voluntary = last.switches_voluntary.saturating_sub(first.switches_voluntary);
    let involuntary = last.switches_involuntary.saturating_sub(first.switches_involuntary);
    Some((voluntary, involuntary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_at_too_late_is_not_known() {
        let threads =
            |switches| ThreadCounters { count: 1, switches_voluntary: switches, switches_involuntary: 2 * switches };
        let (sample_in_thread, late, measured) =
            (Duration::from_millis(299), Duration::from_millis(301), Duration::from_secs(3));
        assert_eq!(switches((threads(1), sample_in_thread), (threads(11), sample_in_thread), measured), Some((10, 20)));
        assert_eq!(switches((threads(1), late), (threads(11), sample_in_thread), measured), None);
        assert_eq!(switches((threads(1), sample_in_thread), (threads(11), late), measured), None);
    }

    #[test]
    fn the_time_of_a_server_is_taken_at_once() {
        let mut cost = Cost::new(Some(std::process::id())).unwrap();
        cost.sample_when_open();
        cost.begin();
        let begun = machine::own_cpu();
        while machine::own_cpu() < begun + Duration::from_millis(20) {}
        cost.end();
        let (server, _) = cost.into_figures(Duration::from_secs(60), 2, 1);
        let server = server.expect("this process has not ended");
        assert!(server.cpu_ns >= 20_000_000, "{server:?}");
        assert_eq!(server.cpu_per_request_ns, Some(server.cpu_ns / 2));
    }
}
