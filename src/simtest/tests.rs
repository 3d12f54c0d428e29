//! Trials tried: the house keeps what must hold, and a service that does not is caught.

use super::*;
use crate::codec::Lines;
use crate::service::Context;

#[test]
fn the_first_worlds_keep_what_must_hold() {
    let sum = Trial::house().sweep(0..400, |_| {});
    assert!(sum.failures.is_empty(), "{}", sum.failures[0]);
    assert_eq!(sum.runs, 400);
}

/// Answers each line with itself, but the second of a peer as it likes.
struct Fickle(fn(&mut Context<'_, '_>));

impl Service for Fickle {
    type Peer = u32;
    type Message = ();

    fn on_frame(&mut self, count: &mut u32, line: &[u8], cx: &mut Context<'_, '_>) {
        *count += 1;
        if *count == 2 { (self.0)(cx) } else { cx.send(line) }
    }
}

/// What a fickle service is asked, and what a right one would answer.
struct Fickleness(fn(&mut Context<'_, '_>));

impl Play for Fickleness {
    type Service = Fickle;
    type Codec = Lines;

    fn service(&self) -> Fickle {
        Fickle(self.0)
    }

    fn codec(&self) -> Lines {
        Lines::new()
    }

    fn script(&self, _rng: &mut Rng) -> Script {
        let text = b"one\ntwo\nthree\n".to_vec();
        Script { sent: text.clone(), heard: text }
    }
}

/// The first failure within a few seeds, and its story.
#[track_caller]
fn check(second: fn(&mut Context<'_, '_>), message: &str, story: &str) {
    let play = Fickleness(second);
    let trial = Trial::of(&play);
    let failure = (0..100).find_map(|seed| trial.run(seed).err()).expect("nobody caught it");
    assert!(failure.message.contains(message), "{failure}");
    let tale = trial.tell(failure.seed);
    assert_eq!(tale.outcome, Err(failure), "it fails again in the same way");
    assert!(tale.story.contains(story), "{}", tale.story);
}

#[test]
fn a_wrong_answer_is_caught() {
    check(|cx| cx.send(b"2"), "heard \"", "the service gets a frame of peer");
}

#[test]
fn a_missing_answer_is_caught() {
    check(|_| {}, "heard \"", "\"two\"");
}

#[test]
fn an_early_end_is_caught() {
    check(|cx| cx.finish(), "heard only part of its answer", "\"two\"");
}

#[test]
fn a_panic_is_caught_and_told() {
    check(|_| panic!("at two"), "closed for panicked", "the service panics: at two");
}

#[test]
fn a_right_service_passes() {
    let play = Fickleness(|cx| cx.send(b"two"));
    assert_eq!(Trial::of(&play).sweep(0..100, |_| {}).failures, []);
}
