//! `Injector`: draws the faults of all calls, and holds the events that are still to be reported.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::plan::{FaultKind, FaultPlan, InjectedFaults};
use crate::instant::Instant;
use crate::net::{Event, Readiness, Token};
use crate::sim::{ACCEPT_OUTAGE_ERRORS, BREAKS, Rng};

/// The most bytes of a short read or write.
const SHORT_LEN_MAX: usize = 16;

/// The longest time without a descriptor.
const EMFILE_MAX: Duration = Duration::from_secs(5);

/// How many tokens are remembered for spurious events.
const TOKENS_MAX: usize = 64;

/// The injector that the network and all its sockets share.
#[derive(Clone, Debug)]
pub(super) struct SharedInjector(Arc<Mutex<Injector>>);

impl SharedInjector {
    pub(super) fn new(plan: FaultPlan) -> Self {
        let (rng, injected) = (Rng::new(plan.seed()), InjectedFaults::default());
        let (held, tokens) = (HeldEvents::default(), Vec::new());
        Self(Arc::new(Mutex::new(Injector { plan, rng, injected, held, tokens, outage: None })))
    }

    /// All users are on the thread of the loop, so it never waits.
    pub(super) fn lock(&self) -> MutexGuard<'_, Injector> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Draws faults, counts them, and holds events.
#[derive(Debug)]
pub(super) struct Injector {
    plan: FaultPlan,
    pub(super) rng: Rng,
    injected: InjectedFaults,
    held: HeldEvents,
    /// Tokens of spurious events. Their sources may be closed already.
    tokens: Vec<Token>,
    /// Until when every accept fails, and with which errno.
    outage: Option<(Instant, i32)>,
}

impl Injector {
    pub(super) fn injected(&self) -> &InjectedFaults {
        &self.injected
    }

    /// Decides whether a fault of this kind occurs in this call, and counts it.
    pub(super) fn inject(&mut self, kind: FaultKind) -> bool {
        let occurs = self.is_drawn(kind);
        if occurs {
            self.injected.count(kind);
        }
        occurs
    }

    /// Decides whether a fault of this kind is tried. The caller counts it if it has an effect.
    pub(super) fn is_drawn(&mut self, kind: FaultKind) -> bool {
        self.rng.chance(self.plan.probability(kind))
    }

    pub(super) fn count(&mut self, kind: FaultKind) {
        self.injected.count(kind);
    }

    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        self.rng.pick(items)
    }

    /// The errno with which a call finds its connection broken.
    pub(super) fn break_connection(&mut self) -> Option<i32> {
        const KINDS: [FaultKind; BREAKS.len()] = [FaultKind::Reset, FaultKind::BrokenPipe, FaultKind::TimedOut];
        let (_, (_, errno)) = KINDS.into_iter().zip(BREAKS).find(|(kind, _)| self.inject(*kind))?;
        Some(errno)
    }

    /// The most bytes that a call may move: fewer than `len` if it is cut short.
    pub(super) fn call_len(&mut self, kind: FaultKind, len: usize) -> usize {
        if len > 1 && self.is_drawn(kind) { self.rng.up_to(SHORT_LEN_MAX.min(len - 1)) } else { len }
    }

    /// The errno of an accept during an outage, which may begin with this accept.
    pub(super) fn accept_outage(&mut self, now: Instant) -> Option<i32> {
        self.outage = self.outage.filter(|(until, _)| now < *until);
        if self.outage.is_none() && self.inject(FaultKind::Emfile) {
            self.outage = Some((now + self.rng.span(EMFILE_MAX), self.rng.pick(&ACCEPT_OUTAGE_ERRORS)));
        }
        self.outage.map(|(_, errno)| errno)
    }

    /// Remembers the token of a new source.
    pub(super) fn add_token(&mut self, token: Token) {
        if self.tokens.len() < TOKENS_MAX {
            self.tokens.push(token);
        } else {
            let index = self.rng.below(TOKENS_MAX);
            self.tokens[index] = token;
        }
    }

    /// Makes the next poll report this readiness. Without it, no event would follow a false `WouldBlock`.
    pub(super) fn report_in_next_poll(&mut self, readiness: Readiness) {
        self.held.add(Instant::ORIGIN, readiness);
    }

    /// When the next held event is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.held.by_time.first().map(|(at, _)| *at)
    }

    /// Changes the events that a poll has added after `first`, at the time `now`.
    pub(super) fn change_events(&mut self, events: &mut Vec<Event>, first: usize, now: Instant) {
        let has_events = events.len() > first;
        for event in events.split_off(first) {
            match event {
                Event::Ready(readiness) => match self.held_until(readiness.token, now) {
                    Some(at) => self.held.add(at, readiness),
                    None => events.push(event),
                },
                Event::Control(_) => events.push(event),
            }
        }
        self.held.take_due(now, events);
        // More events for a poll without any would keep an idle loop awake.
        if !has_events {
            return;
        }
        if let Some(&Event::Ready(readiness)) = events[first..].last()
            && self.inject(FaultKind::Duplicate)
        {
            events.push(Event::Ready(readiness));
        }
        if !self.tokens.is_empty() && self.inject(FaultKind::Spurious) {
            let token = self.rng.pick(&self.tokens);
            events.push(Event::Ready(Readiness { token, readable: true, writable: true, read_closed: false }));
        }
    }

    /// Until when an event of this source must wait. It joins an event that waits already.
    fn held_until(&mut self, token: Token, now: Instant) -> Option<Instant> {
        match self.held.by_token.get(&token) {
            Some((at, _)) => Some(*at),
            None => self.inject(FaultKind::Delay).then(|| now + self.rng.span(self.plan.delay_max())),
        }
    }
}

/// Events that are to be reported later, at most one for each source.
#[derive(Debug, Default)]
struct HeldEvents {
    by_token: HashMap<Token, (Instant, Readiness)>,
    by_time: BTreeSet<(Instant, Token)>,
}

impl HeldEvents {
    /// Adds an event, or adds its readiness to an event that is held already. The earlier time counts.
    fn add(&mut self, at: Instant, readiness: Readiness) {
        let token = readiness.token;
        match self.by_token.entry(token) {
            Entry::Vacant(entry) => {
                entry.insert((at, readiness));
                self.by_time.insert((at, token));
            }
            Entry::Occupied(mut entry) => {
                let (held_until, held) = entry.get_mut();
                held.readable |= readiness.readable;
                held.writable |= readiness.writable;
                held.read_closed |= readiness.read_closed;
                if at < *held_until {
                    self.by_time.remove(&(*held_until, token));
                    self.by_time.insert((at, token));
                    *held_until = at;
                }
            }
        }
    }

    fn take_due(&mut self, now: Instant, events: &mut Vec<Event>) {
        while let Some(&(at, token)) = self.by_time.first()
            && at <= now
        {
            self.by_time.pop_first();
            events.extend(self.by_token.remove(&token).map(|(_, readiness)| Event::Ready(readiness)));
        }
    }
}
