//! Connections that have not come about yet: who waits for one, whose is under way, whose failed.
//!
//! A pure machine: it opens no stream and reads no clock. It says when the next connection may
//! begin, and which has taken too long.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use log::debug;

use crate::client::{ClientLimits, FULL_PAUSE};
use crate::instant::Instant;
use crate::net::Destination;
use crate::table::Key;

/// A connection that has not begun.
pub(super) struct Wanted<P> {
    pub(super) to: Destination,
    pub(super) source: Option<IpAddr>,
    peer: P,
    /// When it was first tried; its time runs from then on.
    since: Option<Instant>,
}

/// A connection under way.
pub(super) struct Connecting<P> {
    key: Key,
    pub(super) to: Destination,
    pub(super) peer: P,
    since: Instant,
}

/// A connection that did not come about.
#[derive(Debug)]
pub struct Failure<P> {
    /// What [`Client::connect`](super::Client::connect) was given for it.
    pub peer: P,
    /// Where it should have led.
    pub to: Destination,
    /// Why. `TimedOut` without a number of the system's: nothing came back within `connect_timeout`.
    pub error: io::Error,
}

/// All connections of a client that have not come about.
pub(super) struct Pending<P> {
    /// In the order in which they were asked for.
    wanted: VecDeque<Wanted<P>>,
    /// In the order in which they began: the first is the first to be late.
    connecting: VecDeque<Connecting<P>>,
    failures: VecDeque<Failure<P>>,
    /// None begins before this.
    rests_until: Instant,
}

impl<P> Pending<P> {
    pub(super) const fn new() -> Self {
        Self {
            wanted: VecDeque::new(),
            connecting: VecDeque::new(),
            failures: VecDeque::new(),
            rests_until: Instant::ORIGIN,
        }
    }

    /// One more is wanted.
    pub(super) fn want(&mut self, to: Destination, source: Option<IpAddr>, peer: P) {
        self.wanted.push_back(Wanted { to, source, peer, since: None });
    }

    /// Whether none is wanted. Those under way are the host's to count.
    pub(super) fn wants_none(&self) -> bool {
        self.wanted.is_empty()
    }

    /// How many are under way.
    pub(super) fn connecting(&self) -> usize {
        self.connecting.len()
    }

    /// When the next one may begin, or is late, whichever comes first.
    pub(super) fn next_work(&self, limits: &ClientLimits) -> Instant {
        let begin_at = if self.may_begin(limits) { self.rests_until } else { Instant::NEVER };
        let late_at = self.connecting.front().map_or(Instant::NEVER, |first| first.since + limits.connect_timeout);
        begin_at.min(late_at)
    }

    fn may_begin(&self, limits: &ClientLimits) -> bool {
        !self.wanted.is_empty() && self.connecting.len() < limits.connecting_max
    }

    /// The next one that is to begin now.
    pub(super) fn poll_begin(&mut self, limits: &ClientLimits, now: Instant) -> Option<Wanted<P>> {
        if self.may_begin(limits) && self.rests_until <= now { self.wanted.pop_front() } else { None }
    }

    /// It has begun, under that key.
    pub(super) fn handle_begun(&mut self, key: Key, wanted: Wanted<P>, now: Instant) {
        let Wanted { to, peer, since, .. } = wanted;
        self.connecting.push_back(Connecting { key, to, peer, since: since.unwrap_or(now) });
    }

    /// One that somebody else began is under way, under that key.
    pub(super) fn adopt(&mut self, key: Key, to: Destination, peer: P, now: Instant) {
        self.connecting.push_back(Connecting { key, to, peer, since: now });
    }

    /// It could not begin. Where only a backlog was full it is tried again, before all others.
    pub(super) fn handle_not_begun(
        &mut self,
        wanted: Wanted<P>,
        error: io::Error,
        limits: &ClientLimits,
        now: Instant,
    ) {
        let since = wanted.since.unwrap_or(now);
        let is_full = error.kind() == io::ErrorKind::WouldBlock;
        if is_full && now < since + limits.connect_timeout {
            self.rests_until = now + FULL_PAUSE;
            self.wanted.push_front(Wanted { since: Some(since), ..wanted });
        } else {
            self.fail(wanted.peer, wanted.to, if is_full { too_late() } else { error });
        }
    }

    /// Takes out one that is through. Those that begin first are mostly through first: the search
    /// ends near the front.
    pub(super) fn take(&mut self, key: Key) -> Option<Connecting<P>> {
        let place = self.connecting.iter().position(|connecting| connecting.key == key)?;
        self.connecting.remove(place)
    }

    /// One under way has failed.
    pub(super) fn handle_failure(&mut self, key: Key, error: io::Error) {
        if let Some(Connecting { to, peer, .. }) = self.take(key) {
            self.fail(peer, to, error);
        }
    }

    /// The next one under way that has taken too long; it has failed by that.
    pub(super) fn poll_late(&mut self, limits: &ClientLimits, now: Instant) -> Option<Key> {
        self.connecting.front().filter(|first| first.since + limits.connect_timeout <= now)?;
        let Connecting { key, to, peer, .. } = self.connecting.pop_front()?;
        self.fail(peer, to, too_late());
        Some(key)
    }

    fn fail(&mut self, peer: P, to: Destination, error: io::Error) {
        debug!("cannot connect to {to}: {error}");
        self.failures.push_back(Failure { peer, to, error });
    }

    /// The next failure that was not told yet.
    pub(super) fn poll_failure(&mut self) -> Option<Failure<P>> {
        self.failures.pop_front()
    }

    /// Forgets who is wanted and who is under way; gives the keys of the latter.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Key> + '_ {
        self.wanted.clear();
        self.connecting.drain(..).map(|connecting| connecting.key)
    }
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing came back in time")
}
