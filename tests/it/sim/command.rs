//! `readyloop sim`: its output and its exit status.

use crate::support::Serve;

#[test]
fn a_sweep_prints_the_counts_and_its_speed() {
    let ended = Serve::command("sim --seeds 3..23").run();
    assert_eq!((ended.code, ended.log.len()), (Some(0), 0), "{:?}", ended.log);
    assert!(ended.out.iter().any(|line| line.trim_start().starts_with("read interrupted")), "{:?}", ended.out);
    assert!(ended.out.iter().any(|line| line.starts_with("20 seeds, ")), "{:?}", ended.out);
}

#[test]
fn a_story_is_the_same_each_time_and_needs_one_seed() {
    let story = || Serve::command("sim --seed 8 --story").run();
    let (first, second) = (story(), story());
    assert_eq!((first.code, &first.out), (Some(0), &second.out));
    for part in ["turn 1, at ", " connects", "the server accepts peer 0", "callback on_close: peer 0"] {
        assert!(first.out.iter().any(|line| line.contains(part)), "no `{part}`");
    }
    let ended = Serve::command("sim --story").run();
    assert_eq!((ended.code, ended.log.len()), (Some(2), 2), "{:?}", ended.log);
}
