//! `Connector`: connections of ours that have not come about yet: who waits for one, whose is under
//! way, whose failed.
//!
//! A pure machine: it opens no stream and reads no clock. It says when the next connection may
//! begin, and which has taken too long; on whichever loop, whoever drives it does the rest.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use log::debug;

use crate::destination::Destination;
use crate::instant::Instant;
use crate::slab::Key;

/// How long to leave a Unix listener alone whose backlog is full: no fact tells of room in it.
pub(crate) const FULL_PAUSE: Duration = Duration::from_millis(10);

/// A connection that has not begun.
pub(crate) struct PendingConnect<P> {
    pub(crate) to: Destination,
    pub(crate) source: Option<IpAddr>,
    peer: P,
    /// Since when its time runs, if it does.
    since: Option<Instant>,
}

/// A connection under way.
pub(crate) struct Connecting<P> {
    key: Key,
    pub(crate) to: Destination,
    pub(crate) peer: P,
    since: Instant,
}

/// A connection that did not come about.
#[derive(Debug)]
pub struct ConnectFailure<P> {
    /// What was given for it when it was asked for.
    pub peer: P,
    /// Where it should have led.
    pub to: Destination,
    /// Why. `TimedOut` without a number of the system's: nothing came back within `connect_timeout`.
    pub error: io::Error,
}

/// All connections of one loop, or of one endpoint, that have not come about.
pub(crate) struct Connector<P> {
    /// In the order in which they were asked for.
    wanted: VecDeque<PendingConnect<P>>,
    /// In the order in which they began: the first is the first to be late.
    connecting: VecDeque<Connecting<P>>,
    failures: VecDeque<ConnectFailure<P>>,
    /// How many may be under way at once.
    connecting_max: usize,
    connect_timeout: Duration,
    /// None begins before this.
    rests_until: Instant,
    is_closed: bool,
}

impl<P> Connector<P> {
    pub(crate) const fn new(connecting_max: usize, connect_timeout: Duration) -> Self {
        Self {
            wanted: VecDeque::new(),
            connecting: VecDeque::new(),
            failures: VecDeque::new(),
            connecting_max,
            connect_timeout,
            rests_until: Instant::ORIGIN,
            is_closed: false,
        }
    }

    /// One more is wanted. Its time runs from `since` on, or else from when it is first tried.
    pub(crate) fn enqueue(&mut self, to: Destination, source: Option<IpAddr>, peer: P, since: Option<Instant>) {
        if self.is_closed {
            self.refuse(to, peer, closed());
        } else {
            self.wanted.push_back(PendingConnect { to, source, peer, since });
        }
    }

    /// One was wanted, and is not to be had.
    pub(crate) fn refuse(&mut self, to: Destination, peer: P, error: io::Error) {
        debug!("cannot connect to {to}: {error}");
        self.failures.push_back(ConnectFailure { peer, to, error });
    }

    /// Whether nobody is wanted, under way or still to be told of: as in nearly every turn of a server.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.connecting.is_empty() && self.failures.is_empty()
    }

    /// How many are wanted and have not begun.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted.len()
    }

    /// How many are under way.
    pub(crate) fn connecting(&self) -> usize {
        self.connecting.len()
    }

    /// When the next one may begin, or is late, whichever comes first.
    #[inline]
    pub(crate) fn next_work(&self) -> Instant {
        if self.is_idle() { Instant::NEVER } else { self.next_work_of_some() }
    }

    fn next_work_of_some(&self) -> Instant {
        let begin_at = if self.may_begin() { self.rests_until } else { Instant::NEVER };
        let began = self.connecting.front().map(|first| first.since);
        let since = [began, self.waiting_since()].into_iter().flatten().min();
        since.map_or(begin_at, |since| begin_at.min(since + self.connect_timeout))
    }

    /// Since when the time of the first of those runs that have not begun, if it does.
    fn waiting_since(&self) -> Option<Instant> {
        self.wanted.front().and_then(|first| first.since)
    }

    fn may_begin(&self) -> bool {
        !self.wanted.is_empty() && self.connecting.len() < self.connecting_max
    }

    fn is_late(&self, since: Instant, now: Instant) -> bool {
        since + self.connect_timeout <= now
    }

    /// The next one that is to begin now.
    pub(crate) fn poll_begin(&mut self, now: Instant) -> Option<PendingConnect<P>> {
        if self.may_begin() && self.rests_until <= now { self.wanted.pop_front() } else { None }
    }

    /// It has begun, under that key.
    pub(crate) fn handle_begun(&mut self, key: Key, wanted: PendingConnect<P>, now: Instant) {
        let PendingConnect { to, peer, since, .. } = wanted;
        self.connecting.push_back(Connecting { key, to, peer, since: since.unwrap_or(now) });
    }

    /// One that somebody else began is under way, under that key.
    pub(crate) fn adopt(&mut self, key: Key, to: Destination, peer: P, now: Instant) {
        self.connecting.push_back(Connecting { key, to, peer, since: now });
    }

    /// It could not begin. Where only a backlog was full it is tried again, before all others.
    pub(crate) fn handle_not_begun(&mut self, wanted: PendingConnect<P>, error: io::Error, now: Instant) {
        let since = wanted.since.unwrap_or(now);
        let is_full = error.kind() == io::ErrorKind::WouldBlock;
        if is_full && !self.is_late(since, now) {
            self.rests_until = now + FULL_PAUSE;
            self.wanted.push_front(PendingConnect { since: Some(since), ..wanted });
        } else {
            self.refuse(wanted.to, wanted.peer, if is_full { too_late() } else { error });
        }
    }

    /// Takes out one that is through. Those that begin first are mostly through first: the search
    /// ends near the front.
    pub(crate) fn take(&mut self, key: Key) -> Option<Connecting<P>> {
        let place = self.connecting.iter().position(|connecting| connecting.key == key)?;
        self.connecting.remove(place)
    }

    /// One under way has failed.
    pub(crate) fn handle_failure(&mut self, key: Key, error: io::Error) {
        if let Some(Connecting { to, peer, .. }) = self.take(key) {
            self.refuse(to, peer, error);
        }
    }

    /// The next one under way that has taken too long; it has failed by that, as have those that
    /// waited for too long before they could begin.
    pub(crate) fn poll_late(&mut self, now: Instant) -> Option<Key> {
        while self.waiting_since().is_some_and(|since| self.is_late(since, now)) {
            let PendingConnect { to, peer, .. } = self.wanted.pop_front()?;
            self.refuse(to, peer, too_late());
        }
        self.connecting.front().filter(|first| self.is_late(first.since, now))?;
        let Connecting { key, to, peer, .. } = self.connecting.pop_front()?;
        self.refuse(to, peer, too_late());
        Some(key)
    }

    /// The next failure that was not told yet.
    pub(crate) fn poll_failure(&mut self) -> Option<ConnectFailure<P>> {
        self.failures.pop_front()
    }

    /// Forgets who is wanted and who is under way, without a word; gives the keys of the latter.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = Key> + '_ {
        self.wanted.clear();
        self.connecting.drain(..).map(|connecting| connecting.key)
    }

    /// From now on none begins: who waits, or is still to be wanted, has failed.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        while let Some(PendingConnect { to, peer, .. }) = self.wanted.pop_front() {
            self.refuse(to, peer, closed());
        }
    }

    /// The next one under way, which has failed by being given up.
    pub(crate) fn poll_given_up(&mut self) -> Option<Key> {
        let Connecting { key, to, peer, .. } = self.connecting.pop_front()?;
        self.refuse(to, peer, closed());
        Some(key)
    }
}

fn closed() -> io::Error {
    io::Error::other("the loop ends")
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing came back in time")
}
