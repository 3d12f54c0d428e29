//! Other processes: their numbers in `/proc`, their limits, signals, and their exit.

use std::fs;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rlimit::Resource;

/// A process, identified by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
}

impl Process {
    fn read(self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The number after `name:` in a `status` file.
    fn status_number(status: &str, name: &str) -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in\n{status}"))
    }

    /// Anonymous memory in use, in bytes. Mapped files do not count.
    pub(crate) fn memory_bytes(self) -> usize {
        // `smaps_rollup` counts pages. The counters in `status` can lag by 64 pages per CPU.
        let rollup = self.read("smaps_rollup");
        Self::status_number(&rollup, "Anonymous") as usize * 1024
    }

    fn each_thread(self) -> impl Iterator<Item = String> {
        let path = format!("/proc/{}/task", self.pid);
        let tasks = fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        tasks.flatten().map(|task| format!("task/{}", task.file_name().to_string_lossy()))
    }

    pub(crate) fn threads(self) -> usize {
        self.each_thread().count()
    }

    /// The CPU time of all threads.
    pub(crate) fn cpu(self) -> Duration {
        self.schedstat(0)
    }

    /// The time during which its threads were ready to run but had no CPU.
    pub(crate) fn waited_for_cpu(self) -> Duration {
        self.schedstat(1)
    }

    /// The sum over all threads of one field of `schedstat`, in nanoseconds (sched-stats.rst).
    fn schedstat(self, index: usize) -> Duration {
        let nanos = self.each_thread().map(|thread| {
            let schedstat = self.read(&format!("{thread}/schedstat"));
            let number = schedstat.split_whitespace().nth(index).and_then(|word| word.parse::<u64>().ok());
            number.expect("schedstat has three numbers")
        });
        Duration::from_nanos(nanos.sum())
    }

    /// The number of context switches of all threads. Each wake-up causes at least one.
    pub(crate) fn switches(self) -> u64 {
        let each = self.each_thread().map(|thread| {
            let status = self.read(&format!("{thread}/status"));
            Self::status_number(&status, "voluntary_ctxt_switches")
                + Self::status_number(&status, "nonvoluntary_ctxt_switches")
        });
        each.sum()
    }

    pub(crate) fn descriptors(self) -> usize {
        self.descriptors_below(usize::MAX)
    }

    /// The number of descriptors below `limit`. Only these count against a descriptor limit.
    pub(crate) fn descriptors_below(self, limit: usize) -> usize {
        let path = format!("/proc/{}/fd", self.pid);
        let each = fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}")).flatten();
        let numbers = each.filter_map(|entry| entry.file_name().to_str()?.parse::<usize>().ok());
        numbers.filter(|number| *number < limit).count()
    }

    /// The soft limit on descriptors.
    pub(crate) fn descriptor_limit(self) -> u64 {
        let limits = self.read("limits");
        let line =
            limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("limits has a line about files");
        line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("the limit is a number")
    }

    /// Changes the soft limit on descriptors from outside, while the process runs.
    pub(crate) fn limit_descriptors(self, count: usize) {
        let pid = i32::try_from(self.pid).expect("a process number is positive");
        let mut limits = (0, 0);
        rlimit::prlimit(pid, Resource::NOFILE, None, Some((&mut limits.0, &mut limits.1)))
            .expect("the limits can be read");
        rlimit::prlimit(pid, Resource::NOFILE, Some((count as u64, limits.1)), None)
            .expect("it is below the hard limit");
    }

    /// The state letter of proc(5): `S` waits for an event and not for a CPU, `T` is stopped.
    pub(crate) fn state(self) -> char {
        let stat = self.read("stat");
        // The field before it is the name in parentheses, which can contain any byte.
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).expect("stat has a state")
    }

    /// Suspends it by SIGSTOP. Input from now on waits in the kernel.
    pub(crate) fn stop(self) {
        signal(self.pid, "STOP");
        super::wait_until(super::TIMEOUT, "the process is suspended", || self.state() == 'T');
    }

    pub(crate) fn resume(self) {
        signal(self.pid, "CONT");
    }
}

/// Waits until a child has exited.
#[track_caller]
pub(crate) fn wait_for_exit(child: &mut Child, within: Duration) -> ExitStatus {
    let mut status = None;
    super::wait_until(within, "the child exits", || {
        status = child.try_wait().expect("it is our child");
        status.is_some()
    });
    status.expect("the wait has succeeded")
}

/// Sends a signal by its name.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
    assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {pid}");
}
