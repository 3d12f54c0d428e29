//! `Shutdown`: the stage of a shutdown, and when the next stage begins.
//!
//! It is a value without a clock and without peers. The event loop and the blocking designs carry out
//! what each stage means.
//!
//! ```text
//! Running ── shut down ──▶ NotReady ── shutdown_delay ──▶ LameDuck ── lame_duck_timeout ──▶ Draining
//! Draining ── half of drain_timeout ──▶ Finishing ── drain_timeout ──▶ Stopping
//! ```
//!
//! A stage with a time of zero is left out. A lame duck, a drain or a stop that is requested enters its stage
//! at once, unless a later one is reached already. A second request to shut down means a drain, and a drain
//! while draining or finishing means a stop.

use std::time::Duration;

use crate::admission::{Count, ServerLimits};
use crate::instant::Instant;

/// A stage of a shutdown. In every stage after `NotReady`, the loop ends when its last peer is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No shutdown has begun.
    #[default]
    Running,
    /// Connections are accepted and served as before, but the readiness probe of the administration endpoint
    /// fails. So a load balancer can take the server out before connections are refused.
    NotReady,
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
    pub const ALL: [Self; 6] =
        [Self::Running, Self::NotReady, Self::LameDuck, Self::Draining, Self::Finishing, Self::Stopping];

    /// Whether connections are accepted.
    pub const fn accepts(self) -> bool {
        match self {
            Self::Running | Self::NotReady => true,
            Self::LameDuck | Self::Draining | Self::Finishing | Self::Stopping => false,
        }
    }

    /// The stage in lower case with hyphens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::NotReady => "not-ready",
            Self::LameDuck => "lame-duck",
            Self::Draining => "draining",
            Self::Finishing => "finishing",
            Self::Stopping => "stopping",
        }
    }
}

impl Stage {
    /// The log line when a server enters the stage with this number of open connections.
    pub(crate) fn announcement(self, open: usize, limits: &ServerLimits) -> Option<String> {
        let open = Count(open as u64, "connection");
        match self {
            Self::Running | Self::Finishing => None,
            Self::NotReady => Some(format!("not ready: {open} open, accepting for {:?}", limits.shutdown_delay)),
            Self::LameDuck => Some(format!("lame duck: {open} open, waiting until they leave")),
            Self::Draining => Some(format!("draining: {open} open, timeout {:?}", limits.drain_timeout)),
            Self::Stopping => Some(format!("stopping: closing {open}")),
        }
    }
}

/// The shutdown of one server.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    stage: Stage,
    /// When the next stage begins; [`Instant::NEVER`] if only a request begins it.
    next_at: Instant,
    shutdown_delay: Duration,
    lame_duck_timeout: Duration,
    drain_timeout: Duration,
}

impl Shutdown {
    pub(crate) const fn new(limits: &ServerLimits) -> Self {
        let ServerLimits { shutdown_delay, lame_duck_timeout, drain_timeout, .. } = *limits;
        Self { stage: Stage::Running, next_at: Instant::NEVER, shutdown_delay, lame_duck_timeout, drain_timeout }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// When [`Self::advance`] enters the next stage.
    pub(crate) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// Begins a shutdown with all its stages. While one is under way, it means a drain, and then a stop.
    /// Returns the stage that this enters, if any.
    pub(crate) fn shut_down(&mut self, now: Instant) -> Option<Stage> {
        match self.stage {
            Stage::Running if self.shutdown_delay > Duration::ZERO => {
                self.enter(Stage::NotReady, now + self.shutdown_delay)
            }
            Stage::Running => self.end_accepting(now),
            Stage::NotReady | Stage::LameDuck | Stage::Draining | Stage::Finishing | Stage::Stopping => self.drain(now),
        }
    }

    /// Enters the first stage without new connections.
    fn end_accepting(&mut self, now: Instant) -> Option<Stage> {
        match self.lame_duck_timeout {
            Duration::ZERO => self.drain(now),
            timeout => self.lame_duck(timeout, now),
        }
    }

    /// Changes the times of the stages. A stage that is under way keeps its time.
    pub(crate) fn change_limits(&mut self, limits: &ServerLimits) {
        (self.shutdown_delay, self.lame_duck_timeout) = (limits.shutdown_delay, limits.lame_duck_timeout);
        if self.stage <= Stage::LameDuck {
            self.drain_timeout = limits.drain_timeout;
        }
    }

    /// Waits for peers to leave, for at most `timeout`. Returns the stage that this enters, if any.
    pub(crate) fn lame_duck(&mut self, timeout: Duration, now: Instant) -> Option<Stage> {
        match self.stage {
            Stage::Running | Stage::NotReady => self.enter(Stage::LameDuck, now + timeout),
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
            Stage::Running | Stage::NotReady | Stage::LameDuck => {
                self.enter(Stage::Draining, now + self.drain_timeout / 2)
            }
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
            Stage::NotReady => self.end_accepting(now),
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
        (with_times(Duration::ZERO, Duration::ZERO, 10 * SECOND), |seconds| Instant::ORIGIN + seconds * SECOND)
    }

    fn with_times(shutdown_delay: Duration, lame_duck_timeout: Duration, drain_timeout: Duration) -> Shutdown {
        let limits = ServerLimits { shutdown_delay, lame_duck_timeout, drain_timeout, ..ServerLimits::default() };
        Shutdown::new(&limits)
    }

    #[test]
    fn a_shutdown_has_all_stages_with_a_time_and_leaves_out_the_others() {
        let (_, at) = new();
        let stages = |delay: u32, lame_duck: u32| {
            let mut shutdown = with_times(delay * SECOND, lame_duck * SECOND, 10 * SECOND);
            let mut stages = vec![(0, shutdown.shut_down(at(0)).unwrap())];
            (1..=60).for_each(|second| stages.extend(shutdown.advance(at(second)).map(|stage| (second, stage))));
            stages
        };
        let (not_ready, lame_duck) = ((0, Stage::NotReady), (20, Stage::LameDuck));
        let end = [(50, Stage::Draining), (55, Stage::Finishing), (60, Stage::Stopping)];
        assert_eq!(stages(20, 30), [&[not_ready, lame_duck], &end[..]].concat());
        assert_eq!(stages(50, 0), [&[not_ready], &end[..]].concat());
        assert_eq!(stages(0, 50), [&[(0, Stage::LameDuck)], &end[..]].concat());
        assert_eq!(stages(0, 0), [(0, Stage::Draining), (5, Stage::Finishing), (10, Stage::Stopping)]);
    }

    #[test]
    fn a_second_request_to_shut_down_drains_and_a_third_one_stops() {
        let (_, at) = new();
        for begun in [Stage::NotReady, Stage::LameDuck] {
            let mut shutdown = with_times(SECOND, SECOND, SECOND);
            assert_eq!(shutdown.shut_down(at(0)), Some(Stage::NotReady));
            if begun == Stage::LameDuck {
                assert_eq!(shutdown.advance(at(1)), Some(begun));
            }
            assert_eq!(shutdown.shut_down(at(1)), Some(Stage::Draining));
            assert_eq!(shutdown.shut_down(at(1)), Some(Stage::Stopping));
            assert_eq!(shutdown.shut_down(at(1)), None);
        }
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
        let mut shutdown = with_times(Duration::MAX, Duration::MAX, Duration::MAX);
        shutdown.lame_duck(Duration::MAX, Instant::ORIGIN + SECOND);
        assert_eq!(shutdown.next_at(), Instant::NEVER);
        shutdown.drain(Instant::ORIGIN + SECOND);
        assert_eq!(shutdown.next_at(), Instant::NEVER);
    }
}
