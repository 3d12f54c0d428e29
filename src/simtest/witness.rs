//! `Witness`: around any service, it writes down what happens to it.
//!
//! What it saw is in the [`Log`], which the watch reads between two turns, and in the story.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::message_of;
use super::mischief::Deed;
use super::scene::PORT_FIRST;
use crate::connection::CloseReason;
use crate::service::{Context, Orders, Service};
use crate::sim::World;
use crate::slab::Key;

/// A peer of one endpoint.
pub(super) type Name = (usize, Key);

/// What all services of a run saw and did.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Who is open, and from which port.
    pub(super) open: BTreeMap<Name, u16>,
    /// How many frames came from whom.
    pub(super) frames: BTreeMap<Name, u64>,
    /// Who of them has ended its direction, as far as services were told.
    ended: BTreeSet<Name>,
    /// Who was closed since the test last looked.
    pub(super) closed: Vec<Closed>,
    pub(super) opened: u64,
    pub(super) callbacks: u64,
    pub(super) deeds: [u64; Deed::NAMES.len()],
    /// For whom a callback panicked since the last turn; nobody of them may be here any more.
    pub(super) panicked: Vec<Name>,
    /// A promise to services that was broken.
    pub(super) broken: Option<String>,
}

/// A close as a service was told of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) name: Name,
    pub(super) port: u16,
    pub(super) reason: CloseReason,
    /// The service had been told before that the peer ended its direction.
    pub(super) is_end_told: bool,
}

/// The log as everybody holds it.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<Log>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A callback about somebody who must be open: from which port.
    fn callback(&self, name: Name) -> Option<u16> {
        let mut log = self.lock();
        log.callbacks += 1;
        let port = log.open.get(&name).copied();
        if port.is_none() {
            log.broken = Some(format!("a callback for {name:?}, who is not open"));
        }
        port
    }
}

/// A peer as the story calls it: by its number in the world.
struct Who(Option<u16>);

impl Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(port) => write!(f, "peer {}", port - PORT_FIRST),
            None => f.write_str("somebody who is not here"),
        }
    }
}

/// Writes down what happens to a service.
pub(super) struct Witness<S> {
    pub(super) room: usize,
    pub(super) world: World,
    pub(super) log: Shared,
    pub(super) inner: S,
}

/// A frame as the story shows it: what it says where that is short, else its length.
struct Glimpse<'a>(&'a [u8]);

impl Display for Glimpse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LEN_MAX: usize = 40;
        match self.0 {
            short if short.len() <= LEN_MAX => write!(f, "\"{}\"", short.escape_ascii()),
            long => write!(f, "{} bytes", long.len()),
        }
    }
}

impl<S: Service> Witness<S> {
    /// Lets the service do its part, and tells of a panic before it goes on.
    fn watch(&mut self, work: impl FnOnce(&mut S)) {
        let inner = &mut self.inner;
        // Who catches it in the end decides what is still used.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(inner))) {
            self.world.note(format_args!("  the service panics: {}", message_of(panic.as_ref())));
            resume_unwind(panic);
        }
    }
}

impl<S: Service> Service for Witness<S> {
    type Peer = S::Peer;
    type Message = S::Message;

    fn on_open(&mut self, peer: &mut S::Peer, who: &dyn Display, cx: &mut Context<'_, '_>) {
        let name = (self.room, cx.key());
        let port = who.to_string().rsplit(':').next().and_then(|port| port.parse().ok()).expect("ip:port");
        {
            let mut log = self.log.lock();
            log.callbacks += 1;
            log.opened += 1;
            if log.open.insert(name, port).is_some() {
                log.broken = Some(format!("{name:?} was opened twice"));
            }
        }
        self.world.note(format_args!(
            "  the service hears that {} has come, in slot {}",
            Who(Some(port)),
            name.1.slot()
        ));
        self.watch(|inner| inner.on_open(peer, who, cx));
    }

    fn on_connect(&mut self, _peer: &mut S::Peer, ticket: u64, _cx: &mut Context<'_, '_>) {
        self.log.lock().broken = Some(format!("order {ticket} led to somebody, and in a trial nobody answers"));
    }

    fn on_connect_failed(&mut self, ticket: u64, error: &(dyn Error + 'static), orders: &mut Orders<'_>) {
        self.log.lock().callbacks += 1;
        self.world.note(format_args!("  the service hears that its order {ticket} to connect has failed: {error}"));
        self.watch(|inner| inner.on_connect_failed(ticket, error, orders));
    }

    fn on_frame(&mut self, peer: &mut S::Peer, frame: &[u8], cx: &mut Context<'_, '_>) {
        let name = (self.room, cx.key());
        let port = self.log.callback(name);
        self.world.note(format_args!("  the service gets a frame of {}, {}", Who(port), Glimpse(frame)));
        {
            let mut log = self.log.lock();
            *log.frames.entry(name).or_default() += 1;
            if log.ended.contains(&name) {
                log.broken = Some(format!("a frame of {name:?}, which has ended"));
            }
        }
        self.watch(|inner| inner.on_frame(peer, frame, cx));
    }

    fn on_writable(&mut self, peer: &mut S::Peer, cx: &mut Context<'_, '_>) {
        let port = self.log.callback((self.room, cx.key()));
        self.world.note(format_args!("  the service hears that there is room again for {}", Who(port)));
        self.watch(|inner| inner.on_writable(peer, cx));
    }

    fn on_end(&mut self, peer: &mut S::Peer, cx: &mut Context<'_, '_>) {
        let name = (self.room, cx.key());
        let port = self.log.callback(name);
        self.world.note(format_args!("  the service hears that {} has said its last word", Who(port)));
        {
            let mut log = self.log.lock();
            if !log.ended.insert(name) {
                log.broken = Some(format!("{name:?} ended twice"));
            }
        }
        self.watch(|inner| inner.on_end(peer, cx));
    }

    fn on_close(&mut self, peer: S::Peer, key: Key, reason: CloseReason, orders: &mut Orders<'_>) {
        let name = (self.room, key);
        let port = self.log.callback(name);
        self.world.note(format_args!("  the service hears that {} is gone: {reason}", Who(port)));
        {
            let mut log = self.log.lock();
            log.frames.remove(&name);
            let is_end_told = log.ended.remove(&name);
            if let Some(port) = log.open.remove(&name) {
                log.closed.push(Closed { name, port, reason, is_end_told });
            }
        }
        self.watch(|inner| inner.on_close(peer, key, reason, orders));
    }

    fn on_message(&mut self, post: S::Message, orders: &mut Orders<'_>) {
        self.log.lock().callbacks += 1;
        self.world.note(format_args!("  the service gets a post of another thread"));
        self.watch(|inner| inner.on_message(post, orders));
    }
}
