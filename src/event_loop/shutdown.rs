//! `Shutdown`: the stage of a shutdown, and when the next stage begins.
//!
//! It is a value without a clock and without peers. The event loop and the blocking designs carry out
//! what each stage means.
//!
//! ```text
//! Running ── drain ──▶ Draining ── half of drain_timeout ──▶ Finishing ── drain_timeout ──▶ Stopping
//!    └── lame duck ──▶ LameDuck ── its timeout, or drain ──▶ Draining
//! a stop in any stage, and a drain while draining or finishing ────────────────────────────▶ Stopping
//! ```

use std::time::Duration;

use crate::instant::Instant;

/// A stage of a shutdown. In every stage after `Running`, the loop ends when its last peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No shutdown has begun.
    Running,
    /// No connection is accepted. The peers are served until they leave.
    LameDuck,
    /// Input that peers have sent is served, then each peer is finished.
    Draining,
    /// Queued output is written. Further input is discarded.
    Finishing,
    /// Every peer is closed.
    Stopping,
}

impl Stage {
    /// Every stage in declaration order: `ALL[stage as usize] == stage`.
    pub const ALL: [Self; 5] = [Self::Running, Self::LameDuck, Self::Draining, Self::Finishing, Self::Stopping];

    /// The stage in lower case with hyphens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::LameDuck => "lame-duck",
            Self::Draining => "draining",
            Self::Finishing => "finishing",
            Self::Stopping => "stopping",
        }
    }
}

/// The shutdown of one server.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    stage: Stage,
    /// When the next stage begins; [`Instant::NEVER`] if only a request begins it.
    next_at: Instant,
    drain_timeout: Duration,
}

impl Shutdown {
    pub(crate) const fn new(drain_timeout: Duration) -> Self {
        Self { stage: Stage::Running, next_at: Instant::NEVER, drain_timeout }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// When [`Self::advance`] enters the next stage.
    pub(crate) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// Changes the drain timeout. It has no effect on a drain that is under way.
    pub(crate) fn change_drain_timeout(&mut self, drain_timeout: Duration) {
        if self.stage <= Stage::LameDuck {
            self.drain_timeout = drain_timeout;
        }
    }

    /// Waits for peers to leave, for at most `timeout`. Returns the stage that this enters, if any.
    pub(crate) fn lame_duck(&mut self, timeout: Duration, now: Instant) -> Option<Stage> {
        match self.stage {
            Stage::Running => self.enter(Stage::LameDuck, now + timeout),
            Stage::LameDuck => {
                self.next_at = now + timeout;
                None
            }
            Stage::Draining | Stage::Finishing | Stage::Stopping => None,
        }
    }

    /// Begins a drain. While one is under way, it begins a stop.
    pub(crate) fn drain(&mut self, now: Instant) -> Option<Stage> {
        match self.stage {
            Stage::Running | Stage::LameDuck => self.enter(Stage::Draining, now + self.drain_timeout / 2),
            Stage::Draining | Stage::Finishing => self.stop(),
            Stage::Stopping => None,
        }
    }

    pub(crate) fn stop(&mut self) -> Option<Stage> {
        if self.stage == Stage::Stopping { None } else { self.enter(Stage::Stopping, Instant::NEVER) }
    }

    /// Enters the next stage if its time has come.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Stage> {
        if now < self.next_at {
            return None;
        }
        match self.stage {
            Stage::LameDuck => self.drain(now),
            Stage::Draining => {
                let rest = self.drain_timeout - self.drain_timeout / 2;
                self.enter(Stage::Finishing, self.next_at + rest)
            }
            Stage::Finishing => self.stop(),
            Stage::Running | Stage::Stopping => None,
        }
    }

    fn enter(&mut self, stage: Stage, next_at: Instant) -> Option<Stage> {
        (self.stage, self.next_at) = (stage, next_at);
        Some(stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A shutdown with a drain timeout of 10 seconds, and the times as seconds.
    fn new() -> (Shutdown, impl Fn(u32) -> Instant) {
        (Shutdown::new(10 * SECOND), |seconds| Instant::ORIGIN + seconds * SECOND)
    }

    #[test]
    fn a_drain_finishes_peers_after_half_of_its_timeout_and_stops_at_its_end() {
        let (mut shutdown, at) = new();
        assert_eq!(shutdown.advance(at(99)), None, "without a request there is no shutdown");
        assert_eq!(shutdown.drain(at(100)), Some(Stage::Draining));
        assert_eq!((shutdown.advance(at(104)), shutdown.next_at()), (None, at(105)));
        assert_eq!(shutdown.advance(at(108)), Some(Stage::Finishing));
        assert_eq!((shutdown.advance(at(109)), shutdown.next_at()), (None, at(110)), "a late turn delays no stage");
        assert_eq!(shutdown.advance(at(110)), Some(Stage::Stopping));
        assert_eq!((shutdown.advance(Instant::NEVER), shutdown.stage()), (None, Stage::Stopping));
    }

    #[test]
    fn a_lame_duck_drains_at_its_deadline_which_a_second_request_moves() {
        let (mut shutdown, at) = new();
        assert_eq!(shutdown.lame_duck(60 * SECOND, at(0)), Some(Stage::LameDuck));
        assert_eq!(shutdown.lame_duck(30 * SECOND, at(10)), None);
        assert_eq!(shutdown.advance(at(39)), None);
        assert_eq!(shutdown.advance(at(40)), Some(Stage::Draining));
        assert_eq!(shutdown.next_at(), at(45));
        assert_eq!(shutdown.lame_duck(SECOND, at(41)), None, "a drain does not go back");
        assert_eq!(shutdown.stage(), Stage::Draining);
    }

    #[test]
    fn a_second_drain_is_a_stop_and_a_stop_is_final() {
        let (mut shutdown, at) = new();
        assert_eq!(shutdown.lame_duck(SECOND, at(0)), Some(Stage::LameDuck));
        assert_eq!(shutdown.drain(at(0)), Some(Stage::Draining), "the first drain");
        assert_eq!(shutdown.drain(at(0)), Some(Stage::Stopping), "the second drain");
        assert_eq!((shutdown.drain(at(0)), shutdown.stop(), shutdown.lame_duck(SECOND, at(0))), (None, None, None));
    }

    #[test]
    fn the_longest_timeouts_do_not_overflow() {
        let mut shutdown = Shutdown::new(Duration::MAX);
        shutdown.lame_duck(Duration::MAX, Instant::ORIGIN + SECOND);
        assert_eq!(shutdown.next_at(), Instant::NEVER);
        shutdown.drain(Instant::ORIGIN + SECOND);
        assert_eq!(shutdown.next_at(), Instant::NEVER);
    }
}
