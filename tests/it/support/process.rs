//! Another process as `/proc` shows it, and the signals it is sent.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rlimit::Resource;

/// A process by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
}

impl Process {
    fn read(self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A number behind `name:` in a `status` file.
    fn status_number(status: &str, name: &str) -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in\n{status}"))
    }

    /// Memory of its own in use, in bytes; files that it maps do not count.
    pub(crate) fn memory_bytes(self) -> usize {
        // `smaps_rollup` walks the pages; the counters in `status` may lag by 64 pages per CPU.
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

    /// Time on a CPU, of all threads.
    pub(crate) fn cpu(self) -> Duration {
        self.schedstat(0)
    }

    /// Time in which a thread of it was ready to run and none of the CPUs was free for it.
    pub(crate) fn waited_for_cpu(self) -> Duration {
        self.schedstat(1)
    }

    /// The sum over all threads of one number of `schedstat`, in nanoseconds (sched-stats.rst).
    fn schedstat(self, place: usize) -> Duration {
        let nanos = self.each_thread().map(|thread| {
            let schedstat = self.read(&format!("{thread}/schedstat"));
            let number = schedstat.split_whitespace().nth(place).and_then(|word| word.parse::<u64>().ok());
            number.expect("schedstat has three numbers")
        });
        Duration::from_nanos(nanos.sum())
    }

    /// How often a thread of it gave up a CPU, by itself or not: each wake-up ends in one.
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

    /// How many of its descriptors have a number below `limit`: only these count against a limit.
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
            limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("limits has a line for files");
        line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("the limit is a number")
    }

    /// Moves the soft limit on descriptors while it runs, without its knowledge.
    pub(crate) fn limit_descriptors(self, count: usize) {
        let pid = i32::try_from(self.pid).expect("a process number is positive");
        let mut limits = (0, 0);
        rlimit::prlimit(pid, Resource::NOFILE, None, Some((&mut limits.0, &mut limits.1))).expect("it can be read");
        rlimit::prlimit(pid, Resource::NOFILE, Some((count as u64, limits.1)), None).expect("it is below the hard one");
    }

    /// The letter of proc(5): `S` asleep, `T` stopped.
    fn state(self) -> char {
        let stat = self.read("stat");
        // The name before it stands in parentheses and may hold anything.
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).expect("stat has a state")
    }

    /// Whether it waits for something other than a processor.
    pub(crate) fn is_asleep(self) -> bool {
        self.state() == 'S'
    }

    /// Stops it in its tracks: what comes now waits in the kernel.
    pub(crate) fn stop(self) {
        signal(self.pid, "STOP");
        super::wait_until(super::TIMEOUT, "the process is stopped", || self.state() == 'T');
    }

    pub(crate) fn resume(self) {
        signal(self.pid, "CONT");
    }
}

/// Sends a signal by its name.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
    assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {pid}");
}
