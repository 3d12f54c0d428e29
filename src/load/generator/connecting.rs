//! Which connection of a run begins when, and what becomes of one that does not come about.
//!
//! It decides from what the plan asks for and from what is under way; it serves none of them.

use std::time::Duration;

use crate::client::{ClientLimits, ConnectFailure};
use crate::connection::{ENVELOPE_LEN_MAX, Limits};
use crate::instant::Instant;
use crate::load::exchange::{Exchange, Role};
use crate::load::failure::kind_of;
use crate::load::plan::{ConnectionReuse, Plan};
use crate::load::record::ErrorKind;
use crate::load::workload::SendMode;
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
    pub(super) fn begin_connect(&mut self, now: Instant) {
        if self.next_connect() > now {
            return;
        }
        let (serial, slots) = (self.connects_begun, self.plan.connections as u64);
        let keeps = self.plan.reuse == ConnectionReuse::Persistent;
        let exchange = match self.phase {
            Phase::Connecting if keeps && serial < slots => {
                Exchange::new(Role::Requesting, serial as usize, serial, self.plan.message_len, now)
            }
            Phase::Connecting => Exchange::new(Role::Idle, 0, serial, self.plan.message_len, now),
            Phase::Sending | Phase::Waiting(_) => {
                let Some(planned) = self.take_next_request(now) else { return };
                let workload = self.client.service_mut();
                let Some(slot) = workload.free_slots.pop() else { return };
                workload.begin_request(slot, serial, planned)
            }
            Phase::Ended(_) => return,
        };
        self.connects_begun += 1;
        self.client.connect(self.to.clone(), self.plan.source(serial), exchange);
    }

    /// When the next connection may begin, if one is wanted.
    pub(super) fn next_connect(&self) -> Instant {
        let workload = self.workload();
        let is_wanted = match self.phase {
            Phase::Connecting => self.connects_begun < self.connections_to_open(),
            Phase::Sending | Phase::Waiting(_) => {
                !workload.free_slots.is_empty() && self.next_request_at() != Instant::NEVER
            }
            Phase::Ended(_) => false,
        };
        if !is_wanted || self.client.connecting() >= CONNECTING_MAX {
            return Instant::NEVER;
        }
        let paced =
            self.connects.map_or(self.retry_at, |connects| connects.planned(self.connects_begun).max(self.retry_at));
        if self.phase == Phase::Connecting { paced } else { paced.max(self.next_request_at()) }
    }

    /// How many connections are there before anything is asked.
    pub(super) fn connections_to_open(&self) -> u64 {
        let send_mode = if self.plan.reuse == ConnectionReuse::Persistent { self.plan.connections } else { 0 };
        (send_mode + self.plan.idle) as u64
    }

    /// When the next connection for one request may begin.
    fn next_request_at(&self) -> Instant {
        match self.workload().send_mode {
            SendMode::ClosedLoop { remaining } if remaining > 0 => Instant::ORIGIN,
            SendMode::OpenLoop { schedule, end, .. } if self.next_planned < end => schedule.planned(self.next_planned),
            SendMode::ClosedLoop { .. } | SendMode::OpenLoop { .. } | SendMode::Stopped => Instant::NEVER,
        }
    }

    /// For when it is planned, if it may begin now.
    fn take_next_request(&mut self, now: Instant) -> Option<Instant> {
        match self.workload().send_mode {
            SendMode::Stopped => None,
            SendMode::ClosedLoop { .. } => self.client.service_mut().next_in_closed_loop(now),
            SendMode::OpenLoop { .. } => {
                let planned = self.next_request_at();
                self.next_planned += u64::from(planned <= now);
                (planned <= now).then_some(planned)
            }
        }
    }

    pub(super) fn handle_failure(&mut self, failure: ConnectFailure<Exchange>) {
        let ConnectFailure { peer: mut exchange, to, error } = failure;
        let is_churn = self.plan.reuse == ConnectionReuse::PerRequest && exchange.role == Role::Requesting;
        if is_churn {
            self.retry_at = self.client.now() + FAILURE_PAUSE;
        }
        let kind = kind_of(&error);
        let workload = self.client.service_mut();
        workload.failed += 1;
        workload.fail_requests(&mut exchange, kind, || format!("{to}: {error}"));
        if is_churn {
            workload.free_slots.push(exchange.slot);
        } else if kind == ErrorKind::ConnectTimedOut && self.phase == Phase::Connecting {
            self.abandon_pending_connects();
        }
    }

    /// Where one has waited in vain and so few come in that those under way will not all, the rest
    /// would wait as long, one lot behind another: they are not begun and count as if they had been.
    fn abandon_pending_connects(&mut self) {
        if self.client.connecting() < self.workload().recent_connects.count_at(self.client.now()) * 2 {
            return;
        }
        let remaining = self.connections_to_open() - self.connects_begun;
        self.connects_begun += remaining;
        let workload = self.client.service_mut();
        workload.failed += remaining;
        for _ in 0..remaining {
            workload.counters.count_error(ErrorKind::ConnectTimedOut, || "hardly any came about any more".to_owned());
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
