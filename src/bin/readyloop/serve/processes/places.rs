//! `Places`: which process serves in which place, and what to start or end next.
//!
//! It is a value without processes and without a clock. The supervisor carries out its actions.
//!
//! ```text
//!            start            ready              restart: the next one is ready
//!   empty ──────────▶ starting ─────▶ serving ─────────────────────────────────▶ ending ──▶ gone
//!     ▲                   │              │
//!     └──── backoff ──────┴──── ended ───┘
//! ```

use std::fmt;
use std::time::{Duration, Instant};

/// How long an empty place waits after the first crash. It doubles with every crash in a row.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// The longest wait of an empty place.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// A process that has served for this long has not crashed in a row with the one before.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Identifies one process of the supervisor. It is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WorkerId(u64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the supervisor has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a process in a place.
    Start(WorkerId, usize),
    /// End a process that has a successor.
    HandOver(WorkerId),
    /// Drain a process.
    Drain(WorkerId),
    /// Kill a process that does not end.
    Kill(WorkerId),
}

/// What the end of a process means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was drained.
    Expected,
    /// The place is empty for this long.
    Crashed(Duration),
    /// No process of the place has served yet, so the server cannot start.
    NotStarted,
    /// The restart is given up; the process that serves goes on.
    NotReplaced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WorkerState {
    /// It must be ready at this time.
    Starting(Instant),
    Serving(Instant),
    /// It must have ended at this time.
    Ending(Instant),
    /// It was killed.
    Killed,
}

#[derive(Clone, Copy, Debug)]
struct Worker {
    id: WorkerId,
    place: usize,
    state: WorkerState,
}

/// A place for one process that serves.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// When an empty place gets its next process.
    start_at: Instant,
    next_backoff: Duration,
    has_served: bool,
}

/// How long a process may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// From its start until it is ready.
    pub(super) ready: Duration,
    /// From the request to drain until it has ended.
    pub(super) end: Duration,
}

/// All places with their processes.
#[derive(Debug)]
pub(super) struct Places {
    places: Vec<Place>,
    workers: Vec<Worker>,
    timeouts: Timeouts,
    /// The place in which the process is being replaced. Those before it are done.
    restart: Option<usize>,
    is_ending: bool,
    next_id: u64,
}

impl Places {
    /// As many empty places as `count`.
    pub(super) fn new(count: usize, timeouts: Timeouts, now: Instant) -> Self {
        let place = Place { start_at: now, next_backoff: BACKOFF_MIN, has_served: false };
        Self { places: vec![place; count], workers: Vec::new(), timeouts, restart: None, is_ending: false, next_id: 0 }
    }

    /// The next action, if one is due. Call it until it returns `None`.
    pub(super) fn poll_action(&mut self, now: Instant) -> Option<Action> {
        self.poll_kill(now).or_else(|| self.poll_end(now)).or_else(|| self.poll_start(now))
    }

    fn poll_kill(&mut self, now: Instant) -> Option<Action> {
        let is_late = |worker: &&mut Worker| match worker.state {
            WorkerState::Starting(until) | WorkerState::Ending(until) => until <= now,
            WorkerState::Serving(_) | WorkerState::Killed => false,
        };
        let worker = self.workers.iter_mut().find(is_late)?;
        worker.state = WorkerState::Killed;
        Some(Action::Kill(worker.id))
    }

    fn poll_end(&mut self, now: Instant) -> Option<Action> {
        let (end, is_ending) = (now + self.timeouts.end, self.is_ending);
        let newest = |place| self.workers.iter().rfind(|worker| worker.place == place && worker.is_serving());
        let is_unwanted = |worker: &Worker| match worker.state {
            WorkerState::Starting(_) => is_ending,
            WorkerState::Serving(_) => is_ending || newest(worker.place).is_some_and(|newest| newest.id != worker.id),
            WorkerState::Ending(_) | WorkerState::Killed => false,
        };
        let index = self.workers.iter().position(is_unwanted)?;
        self.workers[index].state = WorkerState::Ending(end);
        let id = self.workers[index].id;
        Some(if is_ending { Action::Drain(id) } else { Action::HandOver(id) })
    }

    fn poll_start(&mut self, now: Instant) -> Option<Action> {
        if self.is_ending {
            return None;
        }
        let is_empty = |place: usize| !self.workers.iter().any(|worker| worker.place == place && worker.is_alive());
        let must_wait =
            self.workers.iter().any(|worker| matches!(worker.state, WorkerState::Starting(_) | WorkerState::Killed));
        let to_fill = (0..self.places.len()).find(|place| is_empty(*place) && self.places[*place].start_at <= now);
        let place = to_fill.or_else(|| self.restart.filter(|place| !must_wait && !is_empty(*place)))?;
        let id = WorkerId(self.next_id);
        self.next_id += 1;
        let state = WorkerState::Starting(now + self.timeouts.ready);
        self.workers.push(Worker { id, place, state });
        Some(Action::Start(id, place))
    }

    /// When [`Self::poll_action`] has the next action without any other call. `None` if never.
    pub(super) fn next_action_at(&self) -> Option<Instant> {
        let late = self.workers.iter().filter_map(|worker| match worker.state {
            WorkerState::Starting(until) | WorkerState::Ending(until) => Some(until),
            WorkerState::Serving(_) | WorkerState::Killed => None,
        });
        let is_empty = |place: usize| !self.workers.iter().any(|worker| worker.place == place && worker.is_alive());
        let starts = self.places.iter().enumerate().filter(|(place, _)| !self.is_ending && is_empty(*place));
        late.chain(starts.map(|(_, place)| place.start_at)).min()
    }

    /// The process reports that it serves.
    pub(super) fn handle_ready(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.id == id) else { return };
        if !matches!(worker.state, WorkerState::Starting(_)) {
            return;
        }
        worker.state = WorkerState::Serving(now);
        self.places[worker.place].has_served = true;
        if self.restart == Some(worker.place) {
            self.restart = Some(worker.place + 1).filter(|next| *next < self.places.len());
        }
    }

    /// The process is gone. Returns what that means; `None` if it is not known.
    pub(super) fn handle_ended(&mut self, id: WorkerId, now: Instant) -> Option<Ended> {
        let index = self.workers.iter().position(|worker| worker.id == id)?;
        let Worker { place, state, .. } = self.workers.remove(index);
        if self.is_ending {
            return Some(Ended::Expected);
        }
        let serves_still = self.workers.iter().any(|worker| worker.place == place && worker.is_serving());
        let was_stable = match state {
            WorkerState::Ending(_) => return Some(Ended::Expected),
            // A killed process was starting, or it was ending and has a successor.
            WorkerState::Starting(_) | WorkerState::Killed if serves_still => {
                let was_replacing = self.restart == Some(place);
                self.restart = self.restart.filter(|restart| *restart != place);
                return Some(if was_replacing { Ended::NotReplaced } else { Ended::Expected });
            }
            WorkerState::Serving(_) if serves_still => return Some(Ended::Expected),
            WorkerState::Serving(since) => now.saturating_duration_since(since) >= STABLE_AFTER,
            WorkerState::Starting(_) | WorkerState::Killed => false,
        };
        let place = &mut self.places[place];
        if !place.has_served {
            return Some(Ended::NotStarted);
        }
        let backoff = if was_stable { BACKOFF_MIN } else { place.next_backoff };
        place.next_backoff = (backoff * 2).min(BACKOFF_MAX);
        place.start_at = now + backoff;
        Some(Ended::Crashed(backoff))
    }

    /// Replaces the process in each place, one place after another. Returns `false` if that is under way.
    pub(super) fn restart(&mut self) -> bool {
        let begins = self.restart.is_none() && !self.is_ending;
        if begins {
            self.restart = Some(0);
        }
        begins
    }

    /// Drains every process and starts no other.
    pub(super) fn end(&mut self) {
        (self.is_ending, self.restart) = (true, None);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Whether every place has a process that serves.
    pub(super) fn are_all_serving(&self) -> bool {
        self.serving_count() == self.places.len()
    }

    /// Whether the end has come: no process is left.
    pub(super) fn is_done(&self) -> bool {
        self.is_ending && self.workers.is_empty()
    }

    /// The number of the place of a process, from 1. `None` if the process is not known.
    pub(super) fn number(&self, id: WorkerId) -> Option<usize> {
        self.workers.iter().find(|worker| worker.id == id).map(|worker| worker.place + 1)
    }

    /// Whether a restart of all processes is under way.
    pub(super) fn is_restarting(&self) -> bool {
        self.restart.is_some()
    }

    /// The number of places with a process that serves.
    pub(super) fn serving_count(&self) -> usize {
        (0..self.places.len()).filter(|place| self.serving(*place).is_some()).count()
    }

    /// The process that serves in a place, the newest one.
    pub(super) fn serving(&self, place: usize) -> Option<WorkerId> {
        let newest = self.workers.iter().rfind(|worker| worker.place == place && worker.is_serving());
        newest.map(|worker| worker.id)
    }

    /// The number of places.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

impl Worker {
    fn is_serving(&self) -> bool {
        matches!(self.state, WorkerState::Serving(_))
    }

    /// Whether it serves or will serve.
    fn is_alive(&self) -> bool {
        matches!(self.state, WorkerState::Serving(_) | WorkerState::Starting(_))
    }
}

#[cfg(test)]
mod tests;
