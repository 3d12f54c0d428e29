//! Test code in a separate process, for state that a process has only once (descriptor limit,
//! signals, heap) and for clients that are killed.
//!
//! The process is this test binary again. It runs one test.

use std::process::{Command, Stdio};
use std::sync::Once;

use super::{Lines, TIMEOUT, shared_machine};

/// Is set only in a process that [`own_process`] has started.
const MARK: &str = "READYLOOP_IT_OWN_PROCESS";

/// The command that runs the test `name` (`module::function`), after the shell words `prelude`.
pub(crate) fn own_process(name: &str, prelude: &str) -> Command {
    let binary = std::env::current_exe().expect("the test binary has a path");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{prelude} exec \"$0\" \"$@\"")).arg(binary);
    command.args(["--exact", name, "--include-ignored", "--nocapture", "--test-threads=1"]);
    command.env(MARK, "1").stdin(Stdio::null());
    command
}

/// Whether this process was started by [`own_process`].
pub(crate) fn is_own_process() -> bool {
    std::env::var_os(MARK).is_some()
}

/// In the first process, runs the calling test `name` again in a process of its own, checks that it passes
/// there, and returns true. In that process, returns false.
#[track_caller]
pub(crate) fn runs_in_own_process(name: &str, prelude: &str) -> bool {
    if is_own_process() {
        return false;
    }
    let _machine = shared_machine();
    let child = own_process(name, prelude).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("this binary starts again");
    let out = Lines::of(child.stdout.take().expect("stdout is a pipe"));
    let log = Lines::of(child.stderr.take().expect("stderr is a pipe"));
    let _ = out.wait_for_the_end(TIMEOUT) && log.wait_for_the_end(TIMEOUT);
    // Has no effect if the process has exited. If it hangs, the assertion below fails.
    let _ = child.kill();
    let _ = child.wait();
    let output = [out.all(), log.all()].concat().join("\n");
    assert!(output.contains("test result: ok. 1 passed"), "{name} in its own process:\n{output}");
    true
}

/// The limit on descriptors of this process, after raising the soft limit to the hard limit.
pub(crate) fn descriptor_limit() -> usize {
    static RAISE: Once = Once::new();
    RAISE.call_once(|| {
        rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit can be raised");
    });
    let (soft, _) = rlimit::getrlimit(rlimit::Resource::NOFILE).expect("the descriptor limit can be read");
    usize::try_from(soft).unwrap_or(usize::MAX)
}
