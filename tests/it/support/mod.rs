//! What the tests over real sockets share: the server as a child process, the clients that talk to
//! it, and the readings that judge it.
//!
//! Nothing here sleeps: every wait is for an event or a condition and has a deadline.

mod blocking;
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
    Duplex, connect, connect_with_buffers, echoes, exchange, read_exactly, read_to_the_end, same_bytes,
};
pub(crate) use conversations::{Conversation, Conversations, Role};
pub(crate) use crowd::{Behavior, Crowd, StreamEnd};
pub(crate) use fault_proxy::{Fault, FaultProxy, PathReport};
pub(crate) use in_process::InProcessServer;
pub(crate) use lines::Lines;
pub(crate) use machine::{exclusive_machine, shared_machine};
pub(crate) use own_process::{descriptor_limit, is_own_process, own_process, run_in_own_process};
pub(crate) use pattern::Pattern;
pub(crate) use process::{Process, signal};
pub(crate) use program::Program;
pub(crate) use serve::{Ended, Serve, Server};
pub(crate) use summary::Summary;

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;

/// The longest that anything may take that should take no time at all.
///
/// Some hundred times what the slowest of them needs on an idle machine: a deadline that passes
/// means a hang, never a slow machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Waits until `condition` holds where no event tells of it: a value in `/proc`, a child's state.
///
/// Panics with `what` when `within` has passed.
#[track_caller]
pub(crate) fn wait_until(within: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Says something on the real standard error, where a test that passes is heard as well.
pub(crate) fn print_note(text: &str) {
    // The macros are captured by the test harness, a direct write is not. Losing the note harms nothing.
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

/// Whether this machine has an IPv6 loopback; if not, says loudly what is not tested.
pub(crate) fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        print_note("IPv6 was NOT tested: this machine has no ::1");
    }
    has
}

/// A path in the temporary directory that no other test uses; removed with what is there.
#[derive(Debug)]
pub(crate) struct ScratchPath(PathBuf);

impl ScratchPath {
    pub(crate) fn new(ending: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("readyloop-it-{}-{number}.{ending}", std::process::id())))
    }

    /// A new directory.
    pub(crate) fn directory(ending: &str) -> Self {
        let path = Self::new(ending);
        std::fs::create_dir(&path.0).expect("the temporary directory takes a directory");
        path
    }

    /// The path of a new file with `text` in it.
    pub(crate) fn with_text(ending: &str, text: &str) -> Self {
        let path = Self::new(ending);
        std::fs::write(&path.0, text).expect("the temporary directory takes a file");
        path
    }

    pub(crate) fn text(&self) -> &str {
        self.0.to_str().expect("the temporary directory has a readable name")
    }
}

impl Drop for ScratchPath {
    fn drop(&mut self) {
        // It may never have been made, or be a directory.
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
