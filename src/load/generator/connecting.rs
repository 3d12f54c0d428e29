//! Which connection of a run begins when, and what becomes of one that does not come about.
//!
//! It decides from what the plan asks for and from what is under way; it serves none of them.

use std::time::Duration;

use crate::client::{ClientLimits, ConnectFailure};
use crate::connection::{ENVELOPE_LEN_MAX, Limits};
use crate::instant::Instant;
use crate::load::failure::kind_of;
use crate::load::flow::{Flow, Role};
use crate::load::plan::{Life, Plan};
use crate::load::record::ErrorKind;
use crate::load::workload::Asking;
use crate::net::{Layer, Net};
use crate::watermark::Watermarks;

use super::{Generator, Phase};

/// Connections under way at once, at most: the backlog of many a listener.
const CONNECTING_MAX: usize = 128;

/// How long no connection is begun after one for a request has failed: a server that is gone is
/// asked a thousand times a second, not as often as a core can.
const FAILURE_PAUSE: Duration = Duration::from_millis(1);

impl<N: Net, W: Layer<N::Stream>> Generator<N, W> {
    /// Begins one connection if one is due. No more than one a turn: so it begins at once, and
    /// the time that it takes is its own.
    pub(super) fn begin_connections(&mut self, now: Instant) {
        if self.next_connect() > now {
            return;
        }
        let (serial, seats) = (self.begun, self.plan.connections as u64);
        let keeps = self.plan.life == Life::Kept;
        let flow = match self.phase {
            Phase::Opening if keeps && serial < seats => {
                Flow::new(Role::Asks, serial as usize, serial, self.plan.message_len, now)
            }
            Phase::Opening => Flow::new(Role::Idle, 0, serial, self.plan.message_len, now),
            Phase::Asking | Phase::Waiting(_) => {
                let Some(planned) = self.next_call(now) else { return };
                let callers = self.client.service_mut();
                let Some(seat) = callers.free.pop() else { return };
                callers.begin_call(seat, serial, planned)
            }
            Phase::Over(_) => return,
        };
        self.begun += 1;
        self.client.connect(self.to.clone(), self.plan.source(serial), flow);
    }

    /// When the next connection may begin, if one is wanted.
    pub(super) fn next_connect(&self) -> Instant {
        let callers = self.callers();
        let is_wanted = match self.phase {
            Phase::Opening => self.begun < self.to_open(),
            Phase::Asking | Phase::Waiting(_) => !callers.free.is_empty() && self.next_call_at() != Instant::NEVER,
            Phase::Over(_) => false,
        };
        if !is_wanted || self.client.connecting() >= CONNECTING_MAX {
            return Instant::NEVER;
        }
        let paced =
            self.connects.map_or(self.rests_until, |connects| connects.planned(self.begun).max(self.rests_until));
        if self.phase == Phase::Opening { paced } else { paced.max(self.next_call_at()) }
    }

    /// How many connections are there before anything is asked.
    pub(super) fn to_open(&self) -> u64 {
        let asking = if self.plan.life == Life::Kept { self.plan.connections } else { 0 };
        (asking + self.plan.idle) as u64
    }

    /// When the next connection for one request may begin.
    fn next_call_at(&self) -> Instant {
        match self.callers().asking {
            Asking::Loop { left } if left > 0 => Instant::ORIGIN,
            Asking::Planned { schedule, last, .. } if self.next_planned < last => schedule.planned(self.next_planned),
            Asking::Loop { .. } | Asking::Planned { .. } | Asking::Nothing => Instant::NEVER,
        }
    }

    /// For when it is planned, if it may begin now.
    fn next_call(&mut self, now: Instant) -> Option<Instant> {
        match self.callers().asking {
            Asking::Nothing => None,
            Asking::Loop { .. } => self.client.service_mut().next_in_loop(now),
            Asking::Planned { .. } => {
                let planned = self.next_call_at();
                self.next_planned += u64::from(planned <= now);
                (planned <= now).then_some(planned)
            }
        }
    }

    pub(super) fn handle_failure(&mut self, failure: ConnectFailure<Flow>) {
        let ConnectFailure { peer: mut flow, to, error } = failure;
        let is_churn = self.plan.life == Life::Churn && flow.role == Role::Asks;
        if is_churn {
            self.rests_until = self.client.now() + FAILURE_PAUSE;
        }
        let kind = kind_of(&error);
        let callers = self.client.service_mut();
        callers.failed += 1;
        callers.lose(&mut flow, kind, || format!("{to}: {error}"));
        if is_churn {
            callers.free.push(flow.seat);
        } else if kind == ErrorKind::ConnectTimedOut && self.phase == Phase::Opening {
            self.begin_no_more_in_vain();
        }
    }

    /// Where one has waited in vain and so few come in that those under way will not all, the rest
    /// would wait as long, one lot behind another: they are not begun and count as if they had been.
    fn begin_no_more_in_vain(&mut self) {
        if self.client.connecting() < self.callers().arrivals.lately(self.client.now()) * 2 {
            return;
        }
        let left = self.to_open() - self.begun;
        self.begun += left;
        let callers = self.client.service_mut();
        callers.failed += left;
        for _ in 0..left {
            callers.counters.count_error(ErrorKind::ConnectTimedOut, || "hardly any came about any more".to_owned());
        }
    }
}

/// The limits of a client that keeps its own time, and whose peers must always be read: were it to
/// pause one that does not read, both would wait for each other.
pub(super) fn limits(plan: &Plan) -> ClientLimits {
    let frame_len = plan.message_len + ENVELOPE_LEN_MAX;
    let queue_max = plan.pipeline.saturating_mul(frame_len);
    let never = Duration::MAX;
    let peer = Limits {
        queue: Watermarks::new(queue_max / 2, queue_max),
        frame_len_max: frame_len,
        handshake_timeout: never,
        idle_timeout: never,
        frame_timeout: never,
        write_timeout: never,
        ..Limits::default()
    };
    ClientLimits {
        peer,
        connect_timeout: plan.timeout,
        connecting_max: CONNECTING_MAX,
        // What may be queued is bounded by the plan.
        queue_total_max: usize::MAX,
    }
}
