//! `sim --story`, `--html` and `--trace`: the flags, the page in a browser, and the format of the trace.

mod page;
mod trace;

use crate::support::{ScratchPath, Serve};

/// Runs a scenario and returns the file that `flag` has written.
#[track_caller]
fn written(run: &str, flag: &str) -> String {
    let file = ScratchPath::new(flag);
    let ended = Serve::command(&format!("sim {run} --{flag}")).arg(file.text()).run();
    assert_eq!((ended.code, ended.log.len()), (Some(0), 0), "{:?}", ended.log);
    std::fs::read_to_string(file.text()).expect("it was written")
}

/// Asserts that these arguments are refused before a run, with this error.
#[track_caller]
fn check_refused(args: &str, error: &str) {
    let ended = Serve::command(&format!("sim {args}")).run();
    assert_eq!((ended.code, ended.out.len()), (Some(2), 0), "{args}: {:?}", ended.log);
    assert!(ended.log[0].contains(error), "{args}: {:?}", ended.log);
}

#[test]
fn an_output_of_one_run_needs_a_run() {
    check_refused("--story", "--story is about one run, and none is named");
    check_refused("--html run.html", "--html is about one run, and none is named");
    check_refused("--trace run.json", "--trace is about one run, and none is named");
    check_refused("--story reset --seed 3", "--story names a scenario, and --seed 3 another run");
    check_refused("--seed 3 --peer 1", "--story");
    check_refused("--story nonsense", "nonsense");
    check_refused("--seed 3 --html no/such/folder/run.html", "cannot write --html");
    check_refused("--seed 3 --html same --trace same", "is the path of another output");
}

#[test]
fn a_story_of_one_peer_leaves_out_the_others() {
    let ended = Serve::command("sim --story starvation --peer 1").run();
    let text = ended.out.join("\n");
    assert_eq!(ended.code, Some(0), "{:?}", ended.log);
    assert!(text.contains("callback on_frame: peer 1, \"ping\"") && !text.contains("peer 0 writes"), "{text}");
    assert_eq!(Serve::command("sim --story starvation --peer 99").run().code, Some(1), "there is no such peer");
    // A pipe gets no colors.
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_seed_has_a_page_without_its_story() {
    let file = ScratchPath::new("html");
    let ended = Serve::command("sim --seed 7 --html").arg(file.text()).run();
    assert_eq!((ended.code, ended.out.len()), (Some(0), 1), "{:?}", ended.out);
    assert!(std::fs::read_to_string(file.text()).expect("it was written").contains("Seed 7"));
}
