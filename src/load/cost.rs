//! `Cost`: the resources that server and generator use in a run: CPU, memory, threads, context switches.
//!
//! It is sampled at the start and at the end of the measured time. `ThreadCost` is the part of one thread.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::machine::{self, CoreTicks, ThreadCounters};
use super::process_tree::ProcessTree;
use super::record::{GeneratorCost, OtherWork, ServerCost};
use super::schedule::nanos;

/// A generator that is idle for less than this fraction of the measured time may limit the results.
const IDLE_MIN: f64 = 0.05;

/// A sample of all threads that takes more than this fraction of the measured time is too imprecise.
const SAMPLE_TIME_MAX: f64 = 0.1;

/// The kernel counts the time of cores in ticks, so a shorter measured time says nothing about other work.
const OTHER_WORK_MEASURED_MIN: Duration = Duration::from_millis(500);

/// A sample, and the time that it took.
type Sample<T> = (T, Duration);

/// A sample of the server that another thread takes.
type PendingSample<T> = Option<JoinHandle<Sample<io::Result<T>>>>;

/// CPU time of the calling thread, and the time in which it was runnable and waited for a core, until now.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThreadSample {
    cpu: Duration,
    waited: Duration,
    at: Instant,
}

impl ThreadSample {
    pub(super) fn now() -> Self {
        // The wait is read first: it takes longer.
        let waited = machine::own_wait();
        Self { cpu: machine::own_cpu(), waited, at: Instant::now() }
    }

    pub(super) fn since(self, earlier: Self) -> ThreadCost {
        ThreadCost {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            waited: self.waited.saturating_sub(earlier.waited),
            took: self.at.saturating_duration_since(earlier.at),
        }
    }
}

/// What a thread used in the measured time. It may have ended before the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ThreadCost {
    cpu: Duration,
    waited: Duration,
    took: Duration,
}

impl ThreadCost {
    /// The fractions of the time in which it ran, and in which it waited for a core.
    fn fractions(&self) -> (f64, f64) {
        let of = |span: Duration| if self.took.is_zero() { 0.0 } else { span.as_secs_f64() / self.took.as_secs_f64() };
        (of(self.cpu), of(self.waited))
    }
}

/// Samples of the resources of both processes.
pub(super) struct Cost {
    server: Option<ProcessTree>,
    /// Memory before the first connection.
    server_memory_before: Option<u64>,
    /// Memory with all connections open.
    server_memory: PendingSample<u64>,
    own_memory_before: Option<u64>,
    own_memory: Option<u64>,
    /// At the start and at the end of the measured time.
    server_cpu: (Option<Duration>, Option<Duration>),
    server_threads: (PendingSample<ThreadCounters>, PendingSample<ThreadCounters>),
    /// The second of these samples, once it is complete.
    server_threads_last: Option<Sample<ThreadCounters>>,
    /// All cores with the CPU time of this process, at the start and at the end of the measured time.
    cores: (Option<CoreTicks>, Option<CoreTicks>),
    own_process_cpu: Duration,
    has_begun: bool,
}

impl Cost {
    /// Takes the first samples, before any connection.
    ///
    /// # Errors
    /// There is no process `pid`, or access to it is denied.
    pub(super) fn new(pid: Option<u32>) -> io::Result<Self> {
        let server = pid.map(ProcessTree::of);
        Ok(Self {
            server_memory_before: server.as_ref().map(ProcessTree::memory).transpose()?,
            server,
            server_memory: None,
            own_memory_before: machine::own_memory(),
            own_memory: None,
            server_cpu: (None, None),
            server_threads: (None, None),
            server_threads_last: None,
            cores: (None, None),
            own_process_cpu: Duration::ZERO,
            has_begun: false,
        })
    }

    /// Samples the memory with all connections open.
    pub(super) fn sample_when_open(&mut self) {
        self.own_memory = machine::own_memory();
        self.server_memory = self.server.clone().and_then(|server| sample_in_thread(move || server.memory()));
    }

    /// Samples the start of the measured time, at the first call.
    pub(super) fn begin(&mut self) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        self.server_cpu.0 = self.server_cpu_now();
        self.server_threads.0 = self.server.clone().and_then(|server| sample_in_thread(move || server.threads()));
        self.cores.0 = CoreTicks::now();
        self.own_process_cpu = machine::own_process_cpu();
    }

    /// Samples the end of the measured time, if it has begun.
    pub(super) fn end(&mut self) {
        if !self.has_begun {
            return;
        }
        self.server_cpu.1 = self.server_cpu_now();
        self.own_process_cpu = machine::own_process_cpu().saturating_sub(self.own_process_cpu);
        self.cores.1 = CoreTicks::now();
        self.server_threads.1 = self.server.clone().and_then(|server| sample_in_thread(move || server.threads()));
    }

    /// Waits for the last sample. It must be complete before connections close, because a server may then
    /// end its threads.
    pub(super) fn finish_sampling(&mut self) {
        if let Some(pending) = self.server_threads.1.take() {
            self.server_threads_last = finished(Some(pending));
        }
    }

    /// The values for the record. `threads` are those of the generator.
    pub(super) fn into_figures(
        mut self,
        threads: &[ThreadCost],
        measured: Duration,
        answered: u64,
        open: u64,
    ) -> (Option<ServerCost>, GeneratorCost, OtherWork) {
        self.finish_sampling();
        let cpu = threads.iter().map(|thread| thread.cpu).sum();
        let fractions = threads.iter().map(ThreadCost::fractions);
        let (busy, waited) = fractions.max_by(|a, b| (a.0 + a.1).total_cmp(&(b.0 + b.1))).unwrap_or_default();
        let grown = self.own_memory.zip(self.own_memory_before).map(|(open, before)| open.saturating_sub(before));
        let generator = GeneratorCost {
            cpu_ns: nanos(cpu),
            busy,
            waited,
            was_bottleneck: busy + waited > 1.0 - IDLE_MIN,
            memory_per_connection_bytes: grown.and_then(|bytes| bytes.checked_div(open)),
        };
        let other_work = self.other_work(measured).unwrap_or_default();
        (self.into_server(measured, answered, open), generator, other_work)
    }

    fn other_work(&self, measured: Duration) -> Option<OtherWork> {
        let (busy, stolen) = self.cores.1?.since(&self.cores.0?).filter(|_| OTHER_WORK_MEASURED_MIN <= measured)?;
        let cores = |cpu: Duration| cpu.as_secs_f64() / measured.as_secs_f64();
        let server = self.server_cpu.1.zip(self.server_cpu.0).map(|(last, first)| last.saturating_sub(first));
        let busy_cores = server.map(|server| (busy - cores(server + self.own_process_cpu)).max(0.0));
        Some(OtherWork { busy_cores, stolen_cores: Some(stolen) })
    }

    /// The values of the server; `None` if it has ended.
    fn into_server(self, measured: Duration, answered: u64, open: u64) -> Option<ServerCost> {
        let cpu_ns = nanos(self.server_cpu.1?.saturating_sub(self.server_cpu.0?));
        let (memory_before_bytes, (memory_bytes, _)) = (self.server_memory_before?, finished(self.server_memory)?);
        let (first, last) = (finished(self.server_threads.0)?, self.server_threads_last?);
        let (switches_voluntary, switches_involuntary) = switches(first, last, measured).unzip();
        Some(ServerCost {
            pid: self.server?.root(),
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
        self.server.as_ref()?.cpu().ok()
    }
}

/// Takes a sample in another thread, because a server with thousands of threads would delay requests.
fn sample_in_thread<T: Send + 'static>(sample: impl FnOnce() -> io::Result<T> + Send + 'static) -> PendingSample<T> {
    let begun_at = Instant::now();
    thread::Builder::new().name("sample".to_owned()).spawn(move || (sample(), begun_at.elapsed())).ok()
}

/// Waits for a sample; `None` if the process has ended.
fn finished<T>(pending: PendingSample<T>) -> Option<Sample<T>> {
    let (sample, took) = pending?.join().ok()?;
    Some((sample.ok()?, took))
}

/// Voluntary and involuntary context switches between two samples. `None` if a sample took too long.
fn switches(first: Sample<ThreadCounters>, last: Sample<ThreadCounters>, measured: Duration) -> Option<(u64, u64)> {
    let ((first, first_took), (last, last_took)) = (first, last);
    if first_took.max(last_took) > measured.mul_f64(SAMPLE_TIME_MAX) {
        return None;
    }
    let voluntary = last.switches_voluntary.saturating_sub(first.switches_voluntary);
    let involuntary = last.switches_involuntary.saturating_sub(first.switches_involuntary);
    Some((voluntary, involuntary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_sample_makes_the_switches_unknown() {
        let threads =
            |switches| ThreadCounters { count: 1, switches_voluntary: switches, switches_involuntary: 2 * switches };
        let (fast, slow, measured) = (Duration::from_millis(299), Duration::from_millis(301), Duration::from_secs(3));
        assert_eq!(switches((threads(1), fast), (threads(11), fast), measured), Some((10, 20)));
        assert_eq!(switches((threads(1), slow), (threads(11), fast), measured), None);
        assert_eq!(switches((threads(1), fast), (threads(11), slow), measured), None);
    }

    #[test]
    fn a_thread_that_was_busy_until_its_early_end_was_a_bottleneck() {
        let second = Duration::from_secs(1);
        let thread = |cpu, took| ThreadCost { cpu, waited: Duration::ZERO, took };
        let threads = [thread(second, 10 * second), thread(second, second)];
        let (_, generator, _) = Cost::new(None).unwrap().into_figures(&threads, 10 * second, 1, 1);
        assert!(generator.was_bottleneck && generator.busy > 0.99, "{generator:?}");
    }

    #[test]
    fn the_cpu_time_of_a_server_is_sampled_immediately() {
        let mut cost = Cost::new(Some(std::process::id())).unwrap();
        cost.sample_when_open();
        cost.begin();
        let begun = machine::own_cpu();
        while machine::own_cpu() < begun + Duration::from_millis(20) {}
        cost.end();
        let (server, _, _) = cost.into_figures(&[], Duration::from_secs(60), 2, 1);
        let server = server.expect("this process is running");
        assert!(server.cpu_ns >= 20_000_000, "{server:?}");
        assert_eq!(server.cpu_per_request_ns, Some(server.cpu_ns / 2));
    }
}
