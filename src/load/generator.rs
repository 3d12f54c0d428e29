//! `Generator`: drives the connections of a run, turn by turn.
//!
//! A turn begins connects, sends planned requests, and handles answers. `connecting` decides when a
//! connect begins; `phases` decides when a run ends.

mod connecting;
mod phases;

use std::io;
use std::time::Duration;

use crate::admission::ServerLimits;
use crate::client::Client;
use crate::connection::{ENVELOPE_LEN_MAX, Ledger, Limits};
use crate::event_loop::Dial;
use crate::instant::Instant;
use crate::net::{Destination, Net, PortSearch, Reactor};
use crate::watermark::Watermarks;

use super::load_run::LoadRun;
use super::member::Member;
use super::outcome::RunOutcome;
use super::plan::{ConnectionReuse, Plan};
use super::progress::{Phase, RunProgress};
use super::record::{Connections, RunEnd};
use super::schedule::nanos;
use super::window::Window;
use super::workload::{ClockFn, SendMode, Workload};

/// Maximum number of connects in progress on all threads, which is the backlog of many listeners. Each thread may
/// have at least one.
const CONNECTING_MAX: u64 = 128;

/// Maximum number of connections that send unprompted in one turn, and their bytes. A turn sends all it
/// queues, so a request leaves soon after its send time, and few connections need memory for a queue.
const SLICE: usize = 128;
const SLICE_BYTES: usize = 1024 * 1024;

/// The connections of one thread in a run.
pub(super) struct Generator<N: Net> {
    plan: Plan,
    server: Destination,
    client: Client<N, Workload>,
    phase: Phase,
    /// Planned time of the next connect, if their rate is limited.
    connect_planned: Instant,
    connects_begun: u64,
    /// The earliest time of the next connect, after a failed one.
    retry_at: Instant,
    began_at: Instant,
    opened_at: Instant,
    window: Window,
    /// Number of the next planned request. In a closed loop, the next connection that sends its first one.
    next_planned: u64,
    expiry_checked_at: Instant,
    /// Byte counters at the start and at the end of the measured time.
    ledger: (Ledger, Ledger),
    member: Member,
}

impl Generator<Reactor> {
    /// A run over real sockets, with the TLS of `dial` if it has any.
    pub(super) fn new(reactor: Reactor, dial: Dial, server: Destination, plan: Plan, member: Member) -> Self {
        let clock = reactor.clock();
        Self::over(reactor, Box::new(move || clock.now()), dial, server, plan, member)
    }
}

impl<N: Net + 'static> Generator<N> {
    /// A run over any `Net`; `clock` is the clock of that `Net`.
    pub(super) fn over(
        net: N,
        clock: ClockFn,
        mut dial: Dial,
        server: Destination,
        plan: Plan,
        member: Member,
    ) -> Self {
        let now = net.now();
        let workload = Workload::new(&plan, member.share, clock);
        dial.limits = peer_limits(&plan);
        dial.socket.ports = PortSearch::All;
        let limits = ServerLimits {
            connect_timeout: plan.timeout,
            connecting_max: connecting_max(&member),
            // The plan bounds the queued bytes.
            queue_total_max: usize::MAX,
            ..ServerLimits::default()
        };
        let client = Client::new(net, dial, plan.framing, workload, limits);
        member.register(client.handle());
        Self {
            server,
            client,
            phase: Phase::Connecting,
            connect_planned: now + connect_spacing(&plan, member.share.number_in_run(0)),
            connects_begun: 0,
            retry_at: Instant::ORIGIN,
            began_at: now,
            opened_at: now,
            window: Window::unset(),
            next_planned: 0,
            expiry_checked_at: now,
            ledger: (Ledger::default(), Ledger::default()),
            member,
            plan,
        }
    }

    /// Sends requests that no answer triggers: planned ones, as far as the pipeline of their connection
    /// permits, and the first ones of a closed loop. One turn sends at most a slice of the due requests.
    fn send_unprompted(&mut self, now: Instant) {
        let slots = self.plan.connections;
        let bytes = self.plan.pipeline.saturating_mul(self.plan.lengths().max);
        for _ in 0..(SLICE_BYTES / bytes).clamp(1, SLICE) {
            if self.next_unprompted() > now {
                return;
            }
            let slot = (self.next_planned % slots as u64) as usize;
            if let Some(key) = self.workload().key(slot) {
                self.client.call(key, |workload, exchange, cx| workload.advance(exchange, workload.now(), cx));
            }
            self.next_planned += 1;
        }
    }

    /// When the next request on an open connection may be sent without an answer before it.
    fn next_unprompted(&self) -> Instant {
        match self.workload().send_mode {
            _ if self.plan.reuse == ConnectionReuse::PerRequest => Instant::NEVER,
            SendMode::ClosedLoop { .. } if self.next_planned < self.connections_at_start() as u64 => Instant::ORIGIN,
            SendMode::OpenLoop { schedule, end, .. } if self.next_planned < end => schedule.planned(self.next_planned),
            SendMode::OpenLoop { .. } | SendMode::Stopped | SendMode::ClosedLoop { .. } => Instant::NEVER,
        }
    }

    /// Latest end of the sleep in this turn.
    fn next_deadline(&self) -> Instant {
        let phase = match self.phase {
            Phase::Connecting => Instant::NEVER,
            Phase::Sending if self.workload().now() < self.window.begin => self.window.begin,
            Phase::Sending => self.window.end,
            Phase::Waiting(until) => until,
            Phase::Ended(_) => Instant::NEVER,
        };
        let expiry_check = self.expiry_checked_at + self.plan.expiry_interval();
        let ramp = self.next_ramp_change().map_or(Instant::NEVER, |(_, at)| at);
        self.next_unprompted().min(self.next_connect()).min(ramp).min(phase).min(expiry_check)
    }

    /// Closes each connection if its oldest request has no answer in time.
    fn expire_requests(&mut self, now: Instant) {
        if now < self.expiry_checked_at + self.plan.expiry_interval() {
            return;
        }
        self.expiry_checked_at = now;
        let timeout_ns = nanos(self.plan.timeout);
        let Some(since) = now.as_nanos().checked_sub(timeout_ns) else { return };
        for key in self.workload().sent_by(Instant::from_nanos(since)) {
            self.client.call(key, |workload, exchange, cx| workload.expire(exchange, cx));
        }
    }

    /// Number of connections that carry requests before the measured time.
    fn connections_at_start(&self) -> usize {
        self.plan.connections_at_start(self.member.share)
    }

    fn workload(&self) -> &Workload {
        self.client.service()
    }
}

impl<N: Net + 'static> LoadRun for Generator<N> {
    fn turn(&mut self) -> io::Result<Option<RunEnd>> {
        let now = self.workload().now();
        self.advance_ramp(now);
        self.begin_connects(now);
        self.send_unprompted(now);
        // Directly before the sleep, so that no change that ends a phase is slept over.
        self.advance(now);
        if let Phase::Ended(ending) = self.phase {
            return Ok(Some(ending));
        }
        self.client.turn(Some(self.next_deadline()))?;
        while let Some(failure) = self.client.service_mut().failures.pop_front() {
            self.handle_failure(failure);
        }
        while let Some(control_event) = self.client.poll_control_event() {
            self.handle_control_event(control_event);
        }
        let now = self.workload().now();
        let workload = self.client.service_mut();
        workload.counters.advance(now, workload.in_use());
        self.expire_requests(now);
        Ok(match self.phase {
            Phase::Ended(ending) => Some(ending),
            Phase::Connecting | Phase::Sending | Phase::Waiting(_) => None,
        })
    }

    fn interrupt(&mut self) {
        let now = self.workload().now();
        self.end(now, RunEnd::Interrupted);
    }

    fn progress(&self) -> RunProgress {
        let workload = self.workload();
        RunProgress {
            open: workload.open,
            measured: workload.now().min(self.window.end).since(self.window.begin),
            answered: workload.counters.answered_in_window(),
            errors: workload.counters.error_count(),
        }
    }

    fn member(&self) -> &Member {
        &self.member
    }

    fn into_outcome(mut self) -> RunOutcome {
        self.interrupt();
        let ending = match self.phase {
            Phase::Ended(ending) => ending,
            Phase::Connecting | Phase::Sending | Phase::Waiting(_) => RunEnd::Interrupted,
        };
        let cost = self.member.wait_for_all();
        let (before, after) = self.ledger;
        let workload = self.client.into_service();
        RunOutcome {
            ending,
            planned_count: self.window.planned_count(),
            connections: Connections {
                opened: workload.opened,
                failed: workload.failed,
                broken: workload.broken,
                silent: workload.silent,
                open_max: workload.open_max as u64,
                opening_ns: nanos(self.opened_at.since(self.began_at)),
                latency: workload.counters.connect.latencies(),
            },
            sent_bytes: after.bytes_written.saturating_sub(before.bytes_written),
            received_bytes: after.bytes_read.saturating_sub(before.bytes_read),
            counters: workload.counters,
            tls_error: workload.tls_error,
            costs: vec![cost],
        }
    }
}

/// Maximum number of connects in progress on one thread.
fn connecting_max(member: &Member) -> usize {
    member.share.part(CONNECTING_MAX).max(1) as usize
}

/// Time of connect `number` of the run from the start, if their rate is limited.
fn connect_spacing(plan: &Plan, number: u64) -> Duration {
    let seconds = plan.connect_rate.map_or(0.0, |rate| number as f64 / rate);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Limits of each peer. The generator checks its timeouts itself, and every peer must always be read:
/// if reading paused while the server does not read either, both would wait for each other.
fn peer_limits(plan: &Plan) -> Limits {
    let frame_len = plan.lengths().max + ENVELOPE_LEN_MAX;
    let queue_max = plan.pipeline.saturating_mul(frame_len);
    let never = Duration::MAX;
    Limits {
        queue: Watermarks::new(queue_max / 2, queue_max),
        frame_len_max: frame_len,
        handshake_timeout: never,
        idle_timeout: never,
        frame_timeout: never,
        write_timeout: never,
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests;
