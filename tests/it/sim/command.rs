//! `readyloop sim`: what it prints, and what its exit status says.

use crate::support::Serve;

#[test]
fn a_sweep_tells_what_struck_and_how_fast_it_was() {
    let ended = Serve::command("sim --seeds 3..23").run();
    assert_eq!((ended.code, ended.log.len()), (Some(0), 0), "{:?}", ended.log);
    assert!(ended.out.iter().any(|line| line.trim_start().starts_with("read interrupted")), "{:?}", ended.out);
    assert!(ended.out.iter().any(|line| line.starts_with("20 seeds, ")), "{:?}", ended.out);
}

#[test]
fn a_story_tells_the_same_run_each_time() {
    let tell = || Serve::command("sim --seed 7 --story").run();
    let (first, second) = (tell(), tell());
    assert_eq!((first.code, &first.out), (Some(0), &second.out));
    for part in ["turn 1: it is ", " connects", "we accept peer 0", "the service hears that peer 0 is gone"] {
        assert!(first.out.iter().any(|line| line.contains(part)), "no `{part}`");
    }
}

#[test]
fn a_story_is_of_one_seed() {
    let ended = Serve::command("sim --story").run();
    assert_eq!(ended.code, Some(2), "{:?}", ended.log);
    assert_eq!(ended.log.len(), 2, "{:?}", ended.log);
}
