//! Shared code of the tests over real sockets: the server as a child process, clients, and
//! measurements of processes.
//!
//! Every wait is for an event or a condition, and has a deadline.

mod blocking;
pub(crate) mod browser;
pub(crate) mod certs;
mod conversations;
mod crowd;
mod fault_proxy;
mod in_process;
mod lines;
mod machine;
mod own_process;
mod pattern;
mod process;
mod program;
mod serve;
mod summary;
pub(crate) mod tls;

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use blocking::{
    Duplex, connect, connect_unix, connect_with_buffers, echoes, exchange, read_exactly, read_to_the_end,
    retry_if_interrupted, same_bytes,
};
pub(crate) use conversations::{Conversation, Conversations, Role};
pub(crate) use crowd::{Behavior, Crowd, StreamEnd};
pub(crate) use fault_proxy::{Fault, FaultProxy, PathReport};
pub(crate) use in_process::InProcessServer;
pub(crate) use lines::Lines;
pub(crate) use machine::{Attempt, exclusive_machine, p99, p99_within, repeat_attempts, shared_machine};
pub(crate) use own_process::{descriptor_limit, is_own_process, own_process, runs_in_own_process};
pub(crate) use pattern::Pattern;
pub(crate) use process::{Process, signal, wait_for_exit};
pub(crate) use program::Program;
pub(crate) use serve::{Ended, Serve, Server};
pub(crate) use summary::Summary;

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;

/// The deadline of every step that normally takes milliseconds.
///
/// It is so long that only a hang exceeds it, never a slow machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Polls `condition`, for states without an event: a value in `/proc`, the state of a child.
///
/// # Panics
/// The condition does not hold within `within`. The message contains `what`.
#[track_caller]
pub(crate) fn wait_until(within: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Prints a note that is visible even if the test passes.
pub(crate) fn print_note(text: &str) {
    // The test harness captures the print macros, but not a direct write. A lost note is harmless.
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

/// Whether this machine has an IPv6 loopback address. If not, prints a note that IPv6 is not tested.
pub(crate) fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        print_note("IPv6 was NOT tested: this machine has no ::1");
    }
    has
}

/// A unique path in the temporary directory. The file or directory there is removed on drop.
#[derive(Debug)]
pub(crate) struct ScratchPath(PathBuf);

impl ScratchPath {
    pub(crate) fn new(extension: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("readyloop-it-{}-{number}.{extension}", std::process::id())))
    }

    /// Creates a directory.
    pub(crate) fn directory(extension: &str) -> Self {
        let path = Self::new(extension);
        std::fs::create_dir(&path.0).expect("the temporary directory is writable");
        path
    }

    /// Creates a file that contains `text`.
    pub(crate) fn with_text(extension: &str, text: &str) -> Self {
        let path = Self::new(extension);
        std::fs::write(&path.0, text).expect("the temporary directory is writable");
        path
    }

    pub(crate) fn text(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }
}

impl Drop for ScratchPath {
    fn drop(&mut self) {
        // It is a file, a directory, or was never created.
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
