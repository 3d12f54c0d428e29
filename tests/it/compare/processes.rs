//! No process of a comparison outlives it.

use std::fs;

use super::{binary, compare, is_running, run, with_peer};
use crate::support::{ScratchPath, TIMEOUT, exclusive_machine, wait_until};

/// A server beside a process that has left its session. Each start adds a line to a file.
struct ForkingPeer {
    starts: ScratchPath,
    background: ScratchPath,
    ready: ScratchPath,
}

impl ForkingPeer {
    fn new() -> Self {
        let (starts, background) = (ScratchPath::with_text("starts", ""), ScratchPath::with_text("background", ""));
        Self { starts, background, ready: ScratchPath::new("ready") }
    }

    fn text(&self) -> String {
        let [starts, background, ready] = [&self.starts, &self.background, &self.ready].map(ScratchPath::text);
        let fork = format!("setsid tail -f {background} >/dev/null 2>&1 &");
        let serve = format!("{} serve -l 127.0.0.1:0 --ready-file {ready}", binary());
        format!("forking={fork} echo >> {starts}; {serve}; echo")
    }

    /// Waits for this number of starts. The first start is a check, and each other one is a trial.
    #[track_caller]
    fn wait_for_starts(&self, count: usize) {
        let starts = || fs::read_to_string(self.starts.text()).expect("the file exists").lines().count();
        wait_until(4 * TIMEOUT, "the trial has begun", || starts() >= count);
    }

    #[track_caller]
    fn is_gone(&self) {
        let is_running = || [&self.background, &self.ready].iter().any(|path| is_running(path.text()));
        wait_until(TIMEOUT, "no process is left", || !is_running());
    }
}

#[test]
fn a_peer_that_forks_is_ended_with_its_background_processes() {
    let peer = ForkingPeer::new();
    let ended = run(with_peer(compare("-c 2 --rounds 1 --designs reactor"), &peer.text()));
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    assert!(ended.out.join("\n").contains("forking"), "{}", ended.out.join("\n"));
    peer.is_gone();
}

#[test]
fn no_process_is_left_after_any_signal() {
    // A comparison takes both cores, and the tests beside it would wait for it.
    let _machine = exclusive_machine();
    for signal in ["HUP", "INT", "TERM", "KILL"] {
        let peer = ForkingPeer::new();
        // The tests may run under nohup(1), which makes a comparison ignore SIGHUP.
        let command = compare("-c 2 --rounds 1000 --designs reactor").under("env --default-signal=HUP");
        let running = with_peer(command, &peer.text()).spawn();
        peer.wait_for_starts(2);
        running.signal(signal);
        let ended = running.wait(2 * TIMEOUT);
        assert_eq!(ended.code.is_none(), signal == "KILL", "SIG{signal}: {}", ended.log_text());
        peer.is_gone();
    }
}

#[test]
fn a_comparison_under_nohup_goes_on_after_a_hangup() {
    let _machine = exclusive_machine();
    let peer = ForkingPeer::new();
    let command = with_peer(compare("-c 2 --rounds 1000 --designs reactor"), &peer.text()).under("nohup");
    let running = command.spawn();
    peer.wait_for_starts(2);
    running.signal("HUP");
    peer.wait_for_starts(4);
    running.signal("TERM");
    assert_eq!(running.wait(2 * TIMEOUT).code, Some(0));
    peer.is_gone();
}

#[test]
fn a_command_that_only_starts_a_daemon_does_not_start() {
    let peer = ForkingPeer::new();
    let background = peer.background.text();
    let daemon = format!("daemon=setsid tail -f {background} >/dev/null 2>&1 & exit 3");
    super::does_not_start(&daemon, &["daemon does not start", "exit status 3"]);
    peer.is_gone();
}
