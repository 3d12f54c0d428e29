//! When the connections of a run are opened, and what happens when a connect fails.

use std::time::Duration;

use crate::client::ConnectFailure;
use crate::instant::Instant;
use crate::load::counters::Request;
use crate::load::error_kind::ErrorKind;
use crate::load::exchange::{Exchange, Purpose};
use crate::load::plan::ConnectionReuse;
use crate::load::progress::Phase;
use crate::load::workload::SendMode;
use crate::net::Net;

use super::{Generator, SLICE, connect_spacing, connecting_max};

/// Pause after a failed connect, if connections are replaced. It bounds the CPU time and the
/// connect rate when the server is gone.
const FAILURE_PAUSE: Duration = Duration::from_millis(1);

/// Connects that are later than this are not caught up, so that their rate stays limited after a time without any.
const CATCH_UP_MAX: Duration = Duration::from_millis(100);

impl<N: Net + 'static> Generator<N> {
    /// Begins connects that are due. It begins only one per turn, so that the measured time of a connect
    /// does not contain the start of others. A ramp and replaced connections may need more, because the
    /// requests of other connections can make a turn long.
    pub(super) fn begin_connects(&mut self, now: Instant) {
        let is_one = self.phase == Phase::Connecting || self.plan.reuse == ConnectionReuse::PerRequest;
        for _ in 0..if is_one { 1 } else { SLICE } {
            if self.next_connect() > now {
                return;
            }
            self.begin_connect(now);
        }
    }

    fn begin_connect(&mut self, now: Instant) {
        let begun = self.connects_begun;
        let serial = self.member.share.number_in_run(begun);
        let exchange = match self.phase {
            Phase::Connecting if begun < self.first_connections() => {
                self.workload().requesting(begun as usize, begun, serial)
            }
            Phase::Connecting => Exchange::idle(serial, now),
            Phase::Sending | Phase::Waiting(_) => {
                let request = if self.plan.reuse == ConnectionReuse::PerRequest {
                    let Some(planned) = self.take_next_request(now) else { return };
                    Some(Request { planned, sent_at: now })
                } else {
                    None
                };
                let workload = self.client.service_mut();
                let Some((slot, next)) = workload.free_slots.pop_front() else { return };
                let mut exchange = workload.requesting(slot, next, serial);
                request.into_iter().for_each(|request| workload.begin_request(&mut exchange, request));
                exchange
            }
            Phase::Ended(_) => return,
        };
        self.connects_begun += 1;
        let is_late = CATCH_UP_MAX < now.since(self.connect_planned);
        let interval = connect_spacing(&self.plan, self.plan.threads as u64);
        self.connect_planned = if is_late { now } else { self.connect_planned } + interval;
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
        let paced = self.connect_planned.max(self.retry_at);
        if self.phase == Phase::Connecting { paced } else { paced.max(self.next_request_at()) }
    }

    /// Number of connections that are opened before the first request.
    pub(super) fn connections_to_open(&self) -> u64 {
        self.first_connections() + self.plan.idle as u64
    }

    /// Number of these connections that carry requests.
    fn first_connections(&self) -> u64 {
        if self.plan.reuse == ConnectionReuse::PerRequest { 0 } else { self.connections_at_start() as u64 }
    }

    /// When the next request that needs a new connection may begin.
    fn next_request_at(&self) -> Instant {
        match self.workload().send_mode {
            SendMode::ClosedLoop { remaining } if remaining > 0 => Instant::ORIGIN,
            // A free slot has planned requests.
            SendMode::OpenLoop { .. } if self.plan.reuse != ConnectionReuse::PerRequest => Instant::ORIGIN,
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

    /// Opens and closes the connections that the ramp opens and closes until `now`.
    pub(super) fn advance_ramp(&mut self, now: Instant) {
        while let Some((slot, at)) = self.next_ramp_change()
            && at <= now
        {
            let workload = self.client.service_mut();
            if workload.slots_in_use <= slot {
                workload.slots_in_use += 1;
                workload.free_slots.push_back((slot, slot as u64));
            } else {
                workload.slots_in_use -= 1;
                workload.free_slots.retain(|(free, _)| *free != slot);
                if let Some(key) = workload.key(slot) {
                    self.client.call(key, |workload, exchange, cx| workload.retire(exchange, cx));
                }
            }
        }
    }

    /// The slot in which the ramp opens or closes the next connection, and when.
    pub(super) fn next_ramp_change(&self) -> Option<(usize, Instant)> {
        let ramp = self.plan.ramp.filter(|_| self.phase == Phase::Sending)?;
        let (share, in_use) = (self.member.share, self.workload().slots_in_use);
        let is_over = in_use == share.part(ramp.to as u64) as usize;
        let slot = if ramp.is_rising() { in_use } else { in_use.saturating_sub(1) };
        let at = self.window.begin + ramp.offset_of(share.number_in_run(slot as u64));
        (!is_over).then_some((slot, at))
    }

    pub(super) fn handle_failure(&mut self, failure: ConnectFailure<Exchange>) {
        let ConnectFailure { peer: mut exchange, to, error } = failure;
        if self.plan.reuse != ConnectionReuse::Persistent {
            self.retry_at = self.client.now() + FAILURE_PAUSE;
        }
        let kind = ErrorKind::of_io(&error);
        let workload = self.client.service_mut();
        workload.failed += 1;
        workload.fail_requests(&mut exchange, kind, || format!("{to}: {error}"));
        if kind == ErrorKind::Tls {
            workload.tls_error.get_or_insert(error);
        }
        if exchange.purpose == Purpose::Requesting {
            workload.free_slot(&exchange);
        }
        if kind == ErrorKind::ConnectTimedOut && self.phase == Phase::Connecting {
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
        let now = self.client.now();
        let workload = self.client.service_mut();
        workload.failed += remaining;
        for _ in 0..remaining {
            workload.counters.count_error(now, ErrorKind::ConnectTimedOut, || {
                "skipped, because connects kept timing out".to_owned()
            });
        }
    }
}
