//! Places without processes.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUTS: Timeouts = Timeouts { ready: Duration::from_secs(10), end: Duration::from_secs(15) };

struct Scene {
    places: Places,
    now: Instant,
}

impl Scene {
    /// Two places with a process in each.
    fn serving() -> Self {
        let now = Instant::now();
        let mut scene = Self { places: Places::new(2, TIMEOUTS, now), now };
        assert_eq!(scene.actions(), [Action::Start(WorkerId(0), 0), Action::Start(WorkerId(1), 1)]);
        assert!(!scene.places.are_all_serving());
        scene.ready(0);
        scene.ready(1);
        assert!(scene.places.are_all_serving());
        scene
    }

    fn actions(&mut self) -> Vec<Action> {
        let actions: Vec<_> = std::iter::from_fn(|| self.places.poll_action(self.now)).take(100).collect();
        assert!(actions.len() < 100, "{actions:?}");
        actions
    }

    fn ready(&mut self, id: u64) {
        self.places.handle_ready(WorkerId(id), self.now);
    }

    fn ended(&mut self, id: u64) -> Option<Ended> {
        self.places.handle_ended(WorkerId(id), self.now)
    }
}

#[test]
fn a_crashed_process_is_started_again_after_a_growing_pause() {
    let mut scene = Scene::serving();
    let mut expected = BACKOFF_MIN;
    for id in 1..12 {
        assert_eq!(scene.ended(id), Some(Ended::Crashed(expected)), "{id}");
        assert_eq!((scene.actions(), scene.places.next_action_at()), (vec![], Some(scene.now + expected)));
        scene.now += expected;
        assert_eq!(scene.actions(), [Action::Start(WorkerId(id + 1), 1)]);
        scene.ready(id + 1);
        expected = (expected * 2).min(BACKOFF_MAX);
    }
    scene.now += STABLE_AFTER;
    assert_eq!(scene.ended(12), Some(Ended::Crashed(BACKOFF_MIN)), "it has served for long");
    assert_eq!(scene.ended(12), None);
}

#[test]
fn a_process_that_never_serves_is_an_error_at_the_start_only() {
    let now = Instant::now();
    let mut scene = Scene { places: Places::new(1, TIMEOUTS, now), now };
    scene.actions();
    assert_eq!(scene.ended(0), Some(Ended::NotStarted));
    let mut scene = Scene::serving();
    scene.ended(0);
    scene.now += BACKOFF_MIN;
    assert_eq!(scene.actions(), [Action::Start(WorkerId(2), 0)]);
    assert_eq!(scene.ended(2), Some(Ended::Crashed(2 * BACKOFF_MIN)));
}

#[test]
fn a_restart_drains_each_process_only_when_its_successor_serves() {
    let mut scene = Scene::serving();
    assert!(scene.places.restart());
    assert!(!scene.places.restart(), "one is under way");
    assert_eq!(scene.actions(), [Action::Start(WorkerId(2), 0)]);
    assert_eq!(scene.places.serving(0), Some(WorkerId(0)));
    scene.ready(2);
    assert_eq!(scene.actions(), [Action::HandOver(WorkerId(0)), Action::Start(WorkerId(3), 1)]);
    assert_eq!((scene.places.serving(0), scene.places.serving(1)), (Some(WorkerId(2)), Some(WorkerId(1))));
    assert_eq!(scene.ended(0), Some(Ended::Expected));
    scene.ready(3);
    assert_eq!(scene.actions(), [Action::HandOver(WorkerId(1))]);
    assert_eq!(scene.ended(1), Some(Ended::Expected));
    assert_eq!((scene.actions(), scene.places.next_action_at()), (vec![], None));
    assert!(scene.places.restart(), "it is over");
}

#[test]
fn a_successor_that_fails_or_hangs_leaves_the_old_process_serving() {
    let mut scene = Scene::serving();
    scene.places.restart();
    scene.actions();
    assert_eq!(scene.ended(2), Some(Ended::NotReplaced));
    assert_eq!((scene.actions(), scene.places.serving(0)), (vec![], Some(WorkerId(0))));
    scene.places.restart();
    assert_eq!(scene.actions(), [Action::Start(WorkerId(3), 0)]);
    assert_eq!(scene.places.next_action_at(), Some(scene.now + TIMEOUTS.ready));
    scene.now += TIMEOUTS.ready;
    assert_eq!(scene.actions(), [Action::Kill(WorkerId(3))]);
    scene.ready(3);
    assert_eq!(scene.ended(3), Some(Ended::NotReplaced));
    assert_eq!((scene.actions(), scene.places.are_all_serving()), (vec![], true));
}

#[test]
fn a_crash_of_the_old_process_in_a_restart_keeps_the_successor() {
    let mut scene = Scene::serving();
    scene.places.restart();
    scene.actions();
    assert_eq!(scene.ended(0), Some(Ended::Crashed(BACKOFF_MIN)));
    assert_eq!(scene.actions(), [], "the successor is starting");
    scene.ready(2);
    assert_eq!(scene.actions(), [Action::Start(WorkerId(3), 1)]);
    assert_eq!(scene.places.serving(0), Some(WorkerId(2)));
}

#[test]
fn at_the_end_all_processes_are_drained_and_hanging_ones_are_killed() {
    let mut scene = Scene::serving();
    scene.places.restart();
    scene.actions();
    scene.places.end();
    assert_eq!(scene.actions(), [0, 1, 2].map(|id| Action::Drain(WorkerId(id))));
    assert_eq!(scene.ended(0), Some(Ended::Expected));
    scene.now += TIMEOUTS.end - SECOND;
    assert_eq!(scene.actions(), []);
    assert_eq!(scene.ended(2), Some(Ended::Expected));
    scene.now += SECOND;
    assert_eq!(scene.actions(), [Action::Kill(WorkerId(1))]);
    assert!(!scene.places.is_done());
    assert_eq!(scene.ended(1), Some(Ended::Expected));
    assert!(scene.places.is_done() && !scene.places.restart());
    assert_eq!((scene.actions(), scene.places.next_action_at()), (vec![], None));
}
