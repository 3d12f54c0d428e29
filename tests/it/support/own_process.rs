//! A test's body in a process of its own: for what a process has only once (descriptor limit,
//! signals, heap) and for a client that is killed.
//!
//! The process is this test binary again, told to run one ignored test.

use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Instant;

use super::TIMEOUT;

/// The body's way to know that it was started by [`own_process`] and not by `--ignored` alone.
const MARK: &str = "READYLOOP_IT_OWN_PROCESS";

/// The command that runs the ignored test `name` (with its module), after the shell words `prelude`.
pub(crate) fn own_process(name: &str, prelude: &str) -> Command {
    let binary = std::env::current_exe().expect("this test has a path");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{prelude} exec \"$0\" \"$@\"")).arg(binary);
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(MARK, "1").stdin(Stdio::null());
    command
}

/// Whether this process was started by [`own_process`].
pub(crate) fn is_own_process() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs the ignored test `name` in a process of its own and passes on whether it passed.
#[track_caller]
pub(crate) fn run_in_own_process(name: &str, prelude: &str) {
    let child = own_process(name, prelude).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let output = wait_with_output(child.expect("this binary starts again"));
    assert!(output.contains("test result: ok. 1 passed"), "{name} in a process of its own:\n{output}");
}

fn wait_with_output(mut child: Child) -> String {
    let out = super::lines::Lines::of(child.stdout.take().expect("stdout is a pipe"));
    let log = super::lines::Lines::of(child.stderr.take().expect("stderr is a pipe"));
    let deadline = Instant::now() + TIMEOUT;
    if !(out.wait_for_the_end(TIMEOUT) && log.wait_for_the_end(deadline.saturating_duration_since(Instant::now()))) {
        // Best effort: the assertion of the caller tells.
        let _ = child.kill();
    }
    let _ = child.wait();
    [out.all(), log.all()].concat().join("\n")
}

/// How many descriptors this process may have, raised as far as the system allows.
pub(crate) fn descriptor_limit() -> usize {
    static RAISE: Once = Once::new();
    RAISE.call_once(|| {
        rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit may be raised to the hard one");
    });
    let (soft, _) = rlimit::getrlimit(rlimit::Resource::NOFILE).expect("there is a descriptor limit");
    usize::try_from(soft).unwrap_or(usize::MAX)
}
