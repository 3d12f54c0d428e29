//! Tests of the simulation tests: the built-in services pass, and a wrong service fails.

use super::*;
use crate::codec::Lines;
use crate::service::{Context, Service};
use crate::sim::Rng;

#[test]
fn the_first_seeds_violate_no_invariant() {
    let summary = SimTest::built_in().sweep(0..400, |_| {});
    assert!(summary.failures.is_empty(), "{}", summary.failures[0]);
    assert_eq!(summary.runs, 400);
}

/// Echoes lines, except for the second line of each peer.
struct WrongAtSecond(fn(&mut Context<'_, WrongAtSecond>));

impl Service for WrongAtSecond {
    type Codec = Lines;
    type Peer = u32;
    type Message = ();

    fn on_frame(&mut self, count: &mut u32, line: &[u8], cx: &mut Context<'_, Self>) {
        *count += 1;
        if *count == 2 { (self.0)(cx) } else { cx.send(line) }
    }
}

/// A test subject that expects an echo of three lines.
struct EchoTest(fn(&mut Context<'_, WrongAtSecond>));

impl TestSubject for EchoTest {
    type Service = WrongAtSecond;

    fn service(&self) -> WrongAtSecond {
        WrongAtSecond(self.0)
    }

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn scenario(&self, _rng: &mut Rng) -> Scenario {
        let text = b"one\ntwo\nthree\n".to_vec();
        Scenario { sent: text.clone(), expected: text }
    }
}

/// Checks the message and the story of the first failure.
#[track_caller]
fn check(second: fn(&mut Context<'_, WrongAtSecond>), message: &str, text: &str) {
    let subject = EchoTest(second);
    let test = SimTest::of(&subject);
    let failure = (0..100).find_map(|seed| test.run(seed).err()).expect("a failure");
    assert!(failure.message.contains(message), "{failure}");
    let story = test.story(failure.seed);
    assert_eq!(story.outcome, Err(failure), "the same seed fails in the same way");
    let story = story.log.story().to_string();
    assert!(story.contains(text), "{story}");
}

#[test]
fn a_wrong_answer_is_caught() {
    check(|cx| cx.send(b"2"), "received \"", "callback on_frame: peer");
}

#[test]
fn a_missing_answer_is_caught() {
    check(|_| {}, "received \"", "\"two\"");
}

#[test]
fn an_early_end_is_caught() {
    check(|cx| cx.finish(), "received only part of its answer", "\"two\"");
}

#[test]
fn a_panic_is_caught_and_in_the_story() {
    check(|_| panic!("at two"), "closed for panicked", "the service panics: at two");
}

#[test]
fn a_correct_service_passes() {
    let subject = EchoTest(|cx| cx.send(b"two"));
    assert_eq!(SimTest::of(&subject).sweep(0..100, |_| {}).failures, []);
}
