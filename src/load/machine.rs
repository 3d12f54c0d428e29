//! Information of the kernel about this machine and about processes.
//!
//! A value about this machine that cannot be read is left out or `unknown`.

use std::fs;
use std::io;
use std::iter::Sum;
use std::thread;
use std::time::Duration;

use rustix::system::uname;
use rustix::time::{ClockId, clock_gettime};

use super::record::Machine;

impl Machine {
    /// Describes this machine.
    pub fn here() -> Self {
        let unknown = || "unknown".to_owned();
        let line = |path: &str| fs::read_to_string(path).ok().and_then(|text| text.lines().next().map(str::to_owned));
        let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let model = text.lines().find_map(|line| line.strip_prefix("model name"))?;
            Some(model.trim_start_matches([' ', '\t', ':']).to_owned())
        });
        Self {
            readyloop: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: format!("{} {}", uname().sysname().to_string_lossy(), uname().release().to_string_lossy()),
            processor: processor.unwrap_or_else(unknown),
            cores: thread::available_parallelism().map_or(0, |cores| cores.get() as u64),
            congestion_control: line("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_else(unknown),
        }
    }
}

/// User and system CPU time of the calling thread.
pub(super) fn own_cpu() -> Duration {
    cpu_clock(ClockId::ThreadCPUTime)
}

/// User and system CPU time of this process.
pub(super) fn own_process_cpu() -> Duration {
    cpu_clock(ClockId::ProcessCPUTime)
}

fn cpu_clock(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Time in which the calling thread was runnable and waited for a core.
pub(super) fn own_wait() -> Duration {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = schedstat.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Anonymous memory of this process in bytes.
pub(super) fn own_memory() -> Option<u64> {
    memory_of("self").ok()
}

/// Anonymous memory of a process in bytes. `process` is a process id or `self`.
///
/// # Errors
/// The process does not exist, or access is denied.
pub(super) fn memory_of(process: &str) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let kib = number_after(&rollup, "Anonymous:").ok_or(io::ErrorKind::InvalidData)?;
    Ok(kib * 1024)
}

/// The number after `name` in the line that starts with `name`.
fn number_after(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// User and system CPU time of all threads of a process, ended ones included. It is one system call
/// for any number of threads.
///
/// # Errors
/// The process does not exist.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn cpu_of(pid: u32) -> io::Result<Duration> {
    let number = i32::try_from(pid).map_err(|_| io::ErrorKind::NotFound)?;
    let time = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(number))?.now()?;
    Ok(Duration::from(time))
}

/// Apple systems have no clock of another process.
#[cfg(target_vendor = "apple")]
pub(super) fn cpu_of(_pid: u32) -> io::Result<Duration> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Time of all cores of this machine since its start, in ticks of the kernel (`/proc/stat`, proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CoreTicks {
    cores: u64,
    /// Ticks in which processes ran.
    busy: u64,
    /// Ticks in which the hypervisor ran other machines.
    stolen: u64,
    total: u64,
}

impl CoreTicks {
    pub(super) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        let mut lines = stat.lines().take_while(|line| line.starts_with("cpu"));
        let ticks: Vec<u64> = lines.next()?.split_whitespace().skip(1).map_while(|tick| tick.parse().ok()).collect();
        // The next fields are about virtual machines, and their time is part of `user` and `nice`.
        let [user, nice, system, idle, io_wait, interrupt, soft_interrupt, stolen] = *ticks.first_chunk()?;
        let busy = user + nice + system;
        let total = busy + idle + io_wait + interrupt + soft_interrupt + stolen;
        Some(Self { cores: lines.count() as u64, busy, stolen, total })
    }

    /// Cores in use by processes, and cores in use by other machines, since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Option<(f64, f64)> {
        let total = self.total.checked_sub(earlier.total).filter(|total| *total > 0)?;
        let cores = |ticks: u64| self.cores as f64 * ticks as f64 / total as f64;
        Some((cores(self.busy.saturating_sub(earlier.busy)), cores(self.stolen.saturating_sub(earlier.stolen))))
    }
}

/// Numbers of `/proc` about the threads of a process. Reading them is slow with thousands of threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ThreadCounters {
    pub(super) count: u64,
    pub(super) switches_voluntary: u64,
    pub(super) switches_involuntary: u64,
}

impl Sum for ThreadCounters {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, each| Self {
            count: sum.count + each.count,
            switches_voluntary: sum.switches_voluntary + each.switches_voluntary,
            switches_involuntary: sum.switches_involuntary + each.switches_involuntary,
        })
    }
}

impl ThreadCounters {
    /// Reads the numbers of all threads of a process.
    ///
    /// # Errors
    /// The process does not exist, or access is denied.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let mut threads = Self::default();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // The thread may have ended since the directory was read.
            let Ok(status) = fs::read_to_string(task?.path().join("status")) else { continue };
            threads.count += 1;
            threads.switches_voluntary += number_after(&status, "voluntary_ctxt_switches:").unwrap_or(0);
            threads.switches_involuntary += number_after(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
        Ok(threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_inspected() {
        let this = std::process::id();
        let threads = ThreadCounters::of(this).unwrap();
        assert!(threads.count > 0, "{threads:?}");
        assert!(own_memory().unwrap() > 10_000 && memory_of(&this.to_string()).unwrap() > 10_000);
        let before = (own_cpu(), cpu_of(this).unwrap());
        let mut sum = 0_u64;
        while own_cpu() == before.0 || cpu_of(this).unwrap() == before.1 {
            sum = std::hint::black_box(sum + 1);
        }
    }

    #[test]
    fn ticks_become_cores() {
        let stat = |busy: u64, idle: u64, stolen: u64| {
            let (user, system) = (busy / 2, busy - busy / 2);
            CoreTicks::parse(&format!("cpu  {user} 0 {system} {idle} 0 0 0 {stolen} 0 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n"))
        };
        let (first, last) = (stat(100, 1000, 0).unwrap(), stat(200, 1250, 50).unwrap());
        assert_eq!(last.since(&first), Some((0.5, 0.25)));
        assert_eq!(first.since(&first), None);
        assert_eq!(first.since(&last), None);
        assert_eq!((CoreTicks::parse(""), CoreTicks::parse("cpu  1 2 3\n")), (None, None));
    }

    #[test]
    fn an_unknown_process_is_an_error() {
        assert!(ThreadCounters::of(u32::MAX).is_err() && cpu_of(u32::MAX).is_err() && cpu_of(1 << 28).is_err());
    }

    #[test]
    fn a_name_must_match_from_the_start_of_the_line() {
        let status = "nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t5\n";
        assert_eq!(number_after(status, "voluntary_ctxt_switches:"), Some(5));
        assert_eq!(number_after(status, "threads:"), None);
    }

    #[test]
    fn a_machine_has_a_kernel_and_a_core() {
        let machine = Machine::here();
        assert!(machine.kernel.len() > 6 && machine.cores > 0, "{machine:?}");
    }
}
