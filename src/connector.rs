//! `Connector`: outbound connections that are queued, in progress or failed.
//!
//! It is a state machine that opens no stream and reads no clock. It decides which connection starts
//! next and which one has timed out; the event loop that drives it does the rest.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use log::debug;

use crate::destination::Destination;
use crate::instant::Instant;
use crate::service::ConnectFailure;
use crate::slab::Key;

/// The pause after a connect that found the backlog of a Unix listener full. The kernel reports no
/// event when the backlog has space again.
pub(crate) const FULL_PAUSE: Duration = Duration::from_millis(10);

/// A connection that has not started.
pub(crate) struct PendingConnect<P> {
    pub(crate) to: Destination,
    pub(crate) source: Option<IpAddr>,
    peer: P,
    /// The start of its timeout; `None` until the first attempt.
    since: Option<Instant>,
}

/// A connection in progress.
pub(crate) struct Connecting<P> {
    key: Key,
    pub(crate) to: Destination,
    pub(crate) peer: P,
    since: Instant,
}

/// The outbound connections of one event loop or endpoint until they are established.
pub(crate) struct Connector<P> {
    /// In the order of their requests.
    pending: VecDeque<PendingConnect<P>>,
    /// In the order in which they started, which is the order in which they time out.
    connecting: VecDeque<Connecting<P>>,
    failures: VecDeque<ConnectFailure<P>>,
    connecting_max: usize,
    connect_timeout: Duration,
    /// No connection starts before this time.
    paused_until: Instant,
    is_closed: bool,
}

impl<P> Connector<P> {
    pub(crate) const fn new(connecting_max: usize, connect_timeout: Duration) -> Self {
        Self {
            pending: VecDeque::new(),
            connecting: VecDeque::new(),
            failures: VecDeque::new(),
            connecting_max,
            connect_timeout,
            paused_until: Instant::ORIGIN,
            is_closed: false,
        }
    }

    /// Changes the bounds, also for connections in progress.
    pub(crate) fn change_limits(&mut self, connecting_max: usize, connect_timeout: Duration) {
        (self.connecting_max, self.connect_timeout) = (connecting_max, connect_timeout);
    }

    /// Queues a connection. Its timeout starts at `since`, or else at the first attempt.
    pub(crate) fn enqueue(&mut self, to: Destination, source: Option<IpAddr>, peer: P, since: Option<Instant>) {
        if self.is_closed {
            self.refuse(to, peer, closed());
        } else {
            self.pending.push_back(PendingConnect { to, source, peer, since });
        }
    }

    /// Reports a failure for a connection that is not queued.
    pub(crate) fn refuse(&mut self, to: Destination, peer: P, error: io::Error) {
        debug!("cannot connect to {to}: {error}");
        self.failures.push_back(ConnectFailure { peer, to, error });
    }

    /// The number of queued connections.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// How long a connection may take.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// The number of connections in progress.
    pub(crate) fn connecting(&self) -> usize {
        self.connecting.len()
    }

    /// The time at which the next connection may start or times out, whichever is earlier.
    pub(crate) fn next_work(&self) -> Instant {
        let start_at = if self.may_start() { self.paused_until } else { Instant::NEVER };
        let connecting_since = self.connecting.front().map(|first| first.since);
        let since = [connecting_since, self.pending_since()].into_iter().flatten().min();
        since.map_or(start_at, |since| start_at.min(since + self.connect_timeout))
    }

    /// The start of the timeout of the first queued connection.
    fn pending_since(&self) -> Option<Instant> {
        self.pending.front().and_then(|first| first.since)
    }

    fn may_start(&self) -> bool {
        !self.pending.is_empty() && self.connecting.len() < self.connecting_max
    }

    fn has_timed_out(&self, since: Instant, now: Instant) -> bool {
        since + self.connect_timeout <= now
    }

    /// The next connection to start now.
    pub(crate) fn poll_start(&mut self, now: Instant) -> Option<PendingConnect<P>> {
        if self.may_start() && self.paused_until <= now { self.pending.pop_front() } else { None }
    }

    /// A connection has started, under this key.
    pub(crate) fn handle_started(&mut self, key: Key, pending: PendingConnect<P>, now: Instant) {
        let PendingConnect { to, peer, since, .. } = pending;
        self.connecting.push_back(Connecting { key, to, peer, since: since.unwrap_or(now) });
    }

    /// Takes over a connection that was started elsewhere.
    pub(crate) fn adopt(&mut self, key: Key, to: Destination, peer: P, now: Instant) {
        self.connecting.push_back(Connecting { key, to, peer, since: now });
    }

    /// A connection could not start. If only a backlog was full, it is tried again before all others.
    pub(crate) fn handle_start_failed(&mut self, pending: PendingConnect<P>, error: io::Error, now: Instant) {
        let since = pending.since.unwrap_or(now);
        let is_full = error.kind() == io::ErrorKind::WouldBlock;
        if is_full && !self.has_timed_out(since, now) {
            self.paused_until = now + FULL_PAUSE;
            self.pending.push_front(PendingConnect { since: Some(since), ..pending });
        } else {
            self.refuse(pending.to, pending.peer, if is_full { timed_out() } else { error });
        }
    }

    /// Removes a connection that is established. Connections mostly complete in the order in which
    /// they start, so the search ends near the front.
    pub(crate) fn take(&mut self, key: Key) -> Option<Connecting<P>> {
        let index = self.connecting.iter().position(|connecting| connecting.key == key)?;
        self.connecting.remove(index)
    }

    /// A connection in progress has failed.
    pub(crate) fn handle_failure(&mut self, key: Key, error: io::Error) {
        if let Some(Connecting { to, peer, .. }) = self.take(key) {
            self.refuse(to, peer, error);
        }
    }

    /// The next connection in progress that has timed out. Queued ones that have timed out fail as well.
    pub(crate) fn poll_timed_out(&mut self, now: Instant) -> Option<Key> {
        while self.pending_since().is_some_and(|since| self.has_timed_out(since, now)) {
            let PendingConnect { to, peer, .. } = self.pending.pop_front()?;
            self.refuse(to, peer, timed_out());
        }
        self.connecting.front().filter(|first| self.has_timed_out(first.since, now))?;
        let Connecting { key, to, peer, .. } = self.connecting.pop_front()?;
        self.refuse(to, peer, timed_out());
        Some(key)
    }

    /// The next failure to report.
    pub(crate) fn poll_failure(&mut self) -> Option<ConnectFailure<P>> {
        self.failures.pop_front()
    }

    /// Whether failures wait to be reported.
    pub(crate) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Whether no connection is queued, in progress or failed.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.connecting.is_empty() && self.failures.is_empty()
    }

    /// Fails queued connections, and all that are queued later.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        while let Some(PendingConnect { to, peer, .. }) = self.pending.pop_front() {
            self.refuse(to, peer, closed());
        }
    }

    /// Fails the next connection in progress and returns its key.
    pub(crate) fn poll_aborted(&mut self) -> Option<Key> {
        let Connecting { key, to, peer, .. } = self.connecting.pop_front()?;
        self.refuse(to, peer, closed());
        Some(key)
    }
}

fn closed() -> io::Error {
    io::Error::other("the event loop is shutting down")
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer within the connect timeout")
}
