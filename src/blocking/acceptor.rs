//! `Acceptor`: one listener of a server with blocking threads.
//!
//! It accepts connections while the limits and the executor allow it, and makes a job of each. It
//! does not serve them.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use log::{debug, warn};

use crate::admission::{AcceptError, AcceptRetry, AdmissionRefusal, EndpointPurpose, LogThrottle, repeated_suffix};
use crate::instant::Instant;
use crate::net::blocking::TimeoutStream;
use crate::net::{Address, Listener, Net, PeerAddress, Reactor};

use super::driver::AdmittedPeer;
use super::executor::{Executor, Job};
use super::shared::SharedState;

/// The most connections accepted in one turn, so that signals are handled between turns.
const ACCEPTS_PER_TURN_MAX: usize = 256;

/// The most connections that a drain accepts, so that new connections cannot prolong it without end.
/// Usual backlogs are much shorter.
const DRAIN_ACCEPTS_MAX: usize = 1 << 16;

/// One listener, and the job that serves each of its connections.
pub(super) struct Acceptor {
    address: Address,
    /// `None` once the server is shutting down.
    listener: Option<Listener>,
    job_for: Box<dyn Fn(AdmittedPeer) -> Job>,
    shared: Arc<SharedState>,
    /// Whether an accept may succeed. mio reports each arrival only once.
    is_acceptable: bool,
    accept_retry: AcceptRetry,
    accept_log: LogThrottle,
}

/// What the accept loop lends to an acceptor for one call.
pub(super) struct AcceptContext<'a> {
    pub(super) reactor: &'a mut Reactor,
    pub(super) executor: &'a mut dyn Executor,
    pub(super) now: Instant,
}

impl Acceptor {
    pub(super) fn new(
        address: Address,
        listener: Listener,
        shared: Arc<SharedState>,
        job_for: Box<dyn Fn(AdmittedPeer) -> Job>,
    ) -> Self {
        Self {
            address,
            listener: Some(listener),
            job_for,
            shared,
            is_acceptable: false,
            accept_retry: AcceptRetry::new(),
            accept_log: LogThrottle::default(),
        }
    }

    /// The poll reported connections in the backlog.
    pub(super) fn handle_ready(&mut self) {
        self.is_acceptable = true;
    }

    fn wants_accept(&self, cx: &AcceptContext<'_>) -> bool {
        self.is_acceptable
            && self.listener.is_some()
            && cx.executor.has_capacity()
            && self.shared.counters().admission.may_accept(EndpointPurpose::Service)
    }

    /// Accepts as many connections as limits, threads and the bound of one turn allow.
    pub(super) fn accept(&mut self, cx: &mut AcceptContext<'_>) {
        if self.is_paused(cx) {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            if !self.wants_accept(cx) || self.accept_one(cx).is_break() {
                break;
            }
        }
    }

    /// Accepts every connection in the backlog, then closes the listener.
    pub(super) fn drain(&mut self, cx: &mut AcceptContext<'_>) {
        for _ in 0..DRAIN_ACCEPTS_MAX {
            if self.accept_one(cx).is_break() {
                break;
            }
        }
        self.close();
    }

    /// Closes the listener.
    pub(super) fn close(&mut self) {
        self.listener = None;
    }

    /// The instant at which [`Self::accept`] has something to do without another event.
    pub(super) fn next_accept_at(&self, cx: &AcceptContext<'_>) -> Instant {
        match self.accept_retry.until() {
            _ if !self.wants_accept(cx) => Instant::NEVER,
            Some(until) if self.is_paused(cx) => until,
            Some(_) | None => Instant::ORIGIN,
        }
    }

    fn is_paused(&self, cx: &AcceptContext<'_>) -> bool {
        self.accept_retry.is_paused(cx.now, self.shared.counters().closes)
    }

    /// Accepts one connection; breaks when no further accept is to follow in this turn.
    fn accept_one(&mut self, cx: &mut AcceptContext<'_>) -> ControlFlow<()> {
        let Some(listener) = &mut self.listener else { return ControlFlow::Break(()) };
        match cx.reactor.accept(listener) {
            Ok((stream, address)) => self.admit(stream, address, cx),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_acceptable = false;
                ControlFlow::Break(())
            }
            Err(error) => self.handle_accept_error(&error, cx.now),
        }
    }

    fn admit(
        &mut self,
        stream: <Reactor as Net>::Stream,
        address: PeerAddress,
        cx: &mut AcceptContext<'_>,
    ) -> ControlFlow<()> {
        let peer = match TimeoutStream::new(stream, self.shared.clock) {
            Ok(stream) => AdmittedPeer::new(stream, address),
            Err(error) => return self.handle_accept_error(&error, cx.now),
        };
        let group = address.group();
        let mut counters = self.shared.counters();
        if let Err(refusal) = counters.admission.admit(group) {
            match refusal {
                AdmissionRefusal::Full => counters.totals.refused_full += 1,
                AdmissionRefusal::AddressFull => counters.totals.refused_address += 1,
            }
            debug!("refused {address}: {refusal}");
            return ControlFlow::Continue(());
        }
        drop(counters);
        if let Err(error) = cx.executor.execute((self.job_for)(peer)) {
            let mut counters = self.shared.counters();
            counters.admission.release(group);
            counters.totals.refused_full += 1;
            drop(counters);
            self.log_failure(&format!("refused {address}, no thread for it: {error}"), cx.now);
            self.pause(cx.now);
            return ControlFlow::Break(());
        }
        self.accept_retry.succeeded();
        ControlFlow::Continue(())
    }

    fn handle_accept_error(&mut self, error: &io::Error, now: Instant) -> ControlFlow<()> {
        self.shared.counters().totals.accept_errors += 1;
        self.log_failure(&format!("cannot accept on {}: {error}", self.address), now);
        match AcceptError::of(error) {
            AcceptError::Connection => ControlFlow::Continue(()),
            AcceptError::System => {
                self.pause(now);
                ControlFlow::Break(())
            }
        }
    }

    /// Pauses accepting after a failure.
    fn pause(&mut self, now: Instant) {
        let closes = self.shared.counters().closes;
        self.accept_retry.failed(now, closes);
    }

    fn log_failure(&mut self, failure: &str, now: Instant) {
        if let Some(repeated) = self.accept_log.permit(now) {
            warn!("{failure}{}", repeated_suffix(repeated));
        }
    }
}
