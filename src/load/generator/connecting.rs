//! When the connections of a run are opened, and what happens when a connect fails.

use std::time::Duration;

use crate::client::ConnectFailure;
use crate::instant::Instant;
use crate::load::error_kind::ErrorKind;
use crate::load::exchange::{Exchange, Purpose};
use crate::load::plan::ConnectionReuse;
use crate::load::progress::Phase;
use crate::load::workload::SendMode;
use crate::net::Net;

use super::{Generator, connecting_max};

/// Pause after a failed connect of a new connection per request. It bounds the CPU time and the
/// connect rate when the server is gone.
const FAILURE_PAUSE: Duration = Duration::from_millis(1);

impl<N: Net + 'static> Generator<N> {
    /// Begins one connect if one is due. It begins only one per turn, so that the measured time of a
    /// connect does not contain the start of others.
    pub(super) fn begin_connect(&mut self, now: Instant) {
        if self.next_connect() > now {
            return;
        }
        let (begun, slots) = (self.connects_begun, self.plan.connections as u64);
        let serial = self.member.share.number_in_run(begun);
        let is_persistent = self.plan.reuse == ConnectionReuse::Persistent;
        let exchange = match self.phase {
            Phase::Connecting if is_persistent && begun < slots => {
                Exchange::new(Purpose::Requesting, begun as usize, serial, self.plan.message_len, now)
            }
            Phase::Connecting => Exchange::new(Purpose::Idle, 0, serial, self.plan.message_len, now),
            Phase::Sending | Phase::Waiting(_) => {
                let Some(planned) = self.take_next_request(now) else { return };
                let workload = self.client.service_mut();
                let Some(slot) = workload.free_slots.pop() else { return };
                workload.begin_request(slot, serial, planned)
            }
            Phase::Ended(_) => return,
        };
        self.connects_begun += 1;
        self.client.connect(self.server.clone(), self.plan.source(serial), exchange);
    }

    /// When the next connect may begin; [`Instant::NEVER`] if none is needed.
    pub(super) fn next_connect(&self) -> Instant {
        let workload = self.workload();
        let is_needed = match self.phase {
            Phase::Connecting => self.connects_begun < self.connections_to_open(),
            Phase::Sending | Phase::Waiting(_) => {
                !workload.free_slots.is_empty() && self.next_request_at() != Instant::NEVER
            }
            Phase::Ended(_) => false,
        };
        if !is_needed || self.client.connecting() >= connecting_max(&self.member) {
            return Instant::NEVER;
        }
        let paced =
            self.connects.map_or(self.retry_at, |connects| connects.planned(self.connects_begun).max(self.retry_at));
        if self.phase == Phase::Connecting { paced } else { paced.max(self.next_request_at()) }
    }

    /// Number of connections that are opened before the first request.
    pub(super) fn connections_to_open(&self) -> u64 {
        let requesting = if self.plan.reuse == ConnectionReuse::Persistent { self.plan.connections } else { 0 };
        (requesting + self.plan.idle) as u64
    }

    /// When the next request with its own connection may begin.
    fn next_request_at(&self) -> Instant {
        match self.workload().send_mode {
            SendMode::ClosedLoop { remaining } if remaining > 0 => Instant::ORIGIN,
            SendMode::OpenLoop { schedule, end, .. } if self.next_planned < end => schedule.planned(self.next_planned),
            SendMode::ClosedLoop { .. } | SendMode::OpenLoop { .. } | SendMode::Stopped => Instant::NEVER,
        }
    }

    /// Takes the next request with its own connection, if it may begin at `now`. Returns its planned time.
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
        let is_per_request = self.plan.reuse == ConnectionReuse::PerRequest && exchange.purpose == Purpose::Requesting;
        if is_per_request {
            self.retry_at = self.client.now() + FAILURE_PAUSE;
        }
        let kind = ErrorKind::of_io(&error);
        let workload = self.client.service_mut();
        workload.failed += 1;
        workload.fail_requests(&mut exchange, kind, || format!("{to}: {error}"));
        if kind == ErrorKind::Tls {
            workload.tls_error.get_or_insert(error);
        }
        if is_per_request {
            workload.free_slots.push(exchange.slot);
        } else if kind == ErrorKind::ConnectTimedOut && self.phase == Phase::Connecting {
            self.abandon_pending_connects();
        }
    }

    /// Skips the connects that have not begun, and counts them as timed out, if few connects succeed.
    ///
    /// It is called when a connect has timed out. If at least twice as many connects are in progress as
    /// succeeded recently, the remaining ones would time out as well, batch after batch.
    fn abandon_pending_connects(&mut self) {
        if self.client.connecting() < self.workload().recent_connects.count_at(self.client.now()) * 2 {
            return;
        }
        let remaining = self.connections_to_open() - self.connects_begun;
        self.connects_begun += remaining;
        let workload = self.client.service_mut();
        workload.failed += remaining;
        for _ in 0..remaining {
            workload
                .counters
                .count_error(ErrorKind::ConnectTimedOut, || "skipped, because connects kept timing out".to_owned());
        }
    }
}
