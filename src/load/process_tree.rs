//! `ProcessTree`: the processes of a server, and the resources that they use together.

use std::fs;
use std::io;
use std::time::Duration;

use super::machine::{self, ThreadCounters};

/// A process and its descendants, as far as `/proc` has them (proc_pid_task(5)).
///
/// It has the processes of one time. One that has ended since counts as zero, unless it is the first.
#[derive(Clone, Debug)]
pub(super) struct ProcessTree {
    root: u32,
    descendants: Vec<u32>,
}

impl ProcessTree {
    /// Finds the descendants of a process.
    pub(super) fn of(root: u32) -> Self {
        let mut descendants = children(root);
        let mut next = 0;
        while let Some(&pid) = descendants.get(next) {
            descendants.extend(children(pid));
            next += 1;
        }
        Self { root, descendants }
    }

    pub(super) fn root(&self) -> u32 {
        self.root
    }

    /// User and system CPU time.
    ///
    /// # Errors
    /// The first process does not exist, or access to it is denied.
    pub(super) fn cpu(&self) -> io::Result<Duration> {
        self.sum(machine::cpu_of)
    }

    /// Anonymous memory in bytes.
    ///
    /// # Errors
    /// As [`Self::cpu`].
    pub(super) fn memory(&self) -> io::Result<u64> {
        self.sum(|pid| machine::memory_of(&pid.to_string()))
    }

    /// Numbers of all threads.
    ///
    /// # Errors
    /// As [`Self::cpu`].
    pub(super) fn threads(&self) -> io::Result<ThreadCounters> {
        self.sum(ThreadCounters::of)
    }

    fn sum<T: std::iter::Sum>(&self, value: impl Fn(u32) -> io::Result<T>) -> io::Result<T> {
        let first = value(self.root)?;
        Ok([first].into_iter().chain(self.descendants.iter().filter_map(|&pid| value(pid).ok())).sum())
    }
}

fn children(parent: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists: String = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    lists.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_processes_of_a_server_are_added_up() {
        // The shell waits for a child of its own until standard input ends.
        let mut shell = Command::new("sh").args(["-c", "cat; :"]).stdin(Stdio::piped()).spawn().unwrap();
        let tree = loop {
            let tree = ProcessTree::of(shell.id());
            if let [_] = tree.descendants[..] {
                break tree;
            }
            std::thread::yield_now();
        };
        let alone = ProcessTree { descendants: Vec::new(), ..tree.clone() };
        assert!(tree.memory().unwrap() > alone.memory().unwrap());
        assert_eq!(tree.threads().unwrap().count, 2);
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(tree.cpu().is_err(), "the first process has ended");
        let rest = ProcessTree { root: std::process::id(), ..tree };
        assert!(rest.cpu().unwrap() > Duration::ZERO, "an ended descendant counts as zero");
    }
}
