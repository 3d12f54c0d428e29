//! Services for the simulated world: a witness around any service, and one that misbehaves.
//!
//! What they saw and did is in the [`Log`], which the test reads between two turns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use readyloop::sim::Rng;
use readyloop::{CloseReason, Context, Key, Orders, Service};

/// A peer of one endpoint.
pub(super) type Name = (usize, Key);

/// Declares what services do and counts how often.
macro_rules! deeds {
    ($($deed:ident = $name:literal;)*) => {
        /// Something a service does that serves nobody.
        #[derive(Clone, Copy, Debug)]
        pub(super) enum Deed { $($deed,)* }

        impl Deed {
            pub(super) const NAMES: [&str; [$($name),*].len()] = [$($name),*];
            const ALL: [Self; [$($name),*].len()] = [$(Self::$deed),*];
        }
    };
}

deeds! {
    FinishesSelf = "service finishes its peer";
    ClosesSelf = "service closes its peer";
    FinishesSibling = "service finishes another";
    ClosesSibling = "service closes another";
    ClosesAll = "service closes all";
    Panics = "service panics";
    Promises = "service promises";
    RepliesBadly = "service sends a bad reply";
}

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

    fn callback(&self, name: Name) {
        let mut log = self.lock();
        log.callbacks += 1;
        if !log.open.contains_key(&name) {
            log.broken = Some(format!("a callback for {name:?}, who is not open"));
        }
    }
}

/// Writes down what happens to a service.
pub(super) struct Witness<S> {
    pub(super) room: usize,
    pub(super) log: Shared,
    pub(super) inner: S,
}

impl<S: Service> Service for Witness<S> {
    type Peer = S::Peer;
    type Post = S::Post;

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
        self.inner.on_open(peer, who, cx);
    }

    fn on_frame(&mut self, peer: &mut S::Peer, frame: &[u8], cx: &mut Context<'_, '_>) {
        let name = (self.room, cx.key());
        self.log.callback(name);
        {
            let mut log = self.log.lock();
            *log.frames.entry(name).or_default() += 1;
            if log.ended.contains(&name) {
                log.broken = Some(format!("a frame of {name:?}, which has ended"));
            }
        }
        self.inner.on_frame(peer, frame, cx);
    }

    fn on_room(&mut self, peer: &mut S::Peer, cx: &mut Context<'_, '_>) {
        self.log.callback((self.room, cx.key()));
        self.inner.on_room(peer, cx);
    }

    fn on_end(&mut self, peer: &mut S::Peer, cx: &mut Context<'_, '_>) {
        let name = (self.room, cx.key());
        self.log.callback(name);
        {
            let mut log = self.log.lock();
            if !log.ended.insert(name) {
                log.broken = Some(format!("{name:?} ended twice"));
            }
        }
        self.inner.on_end(peer, cx);
    }

    fn on_close(&mut self, peer: S::Peer, key: Key, reason: CloseReason, orders: &mut Orders<'_>) {
        let name = (self.room, key);
        self.log.callback(name);
        {
            let mut log = self.log.lock();
            log.frames.remove(&name);
            let is_end_told = log.ended.remove(&name);
            if let Some(port) = log.open.remove(&name) {
                log.closed.push(Closed { name, port, reason, is_end_told });
            }
        }
        self.inner.on_close(peer, key, reason, orders);
    }

    fn on_post(&mut self, post: S::Post, orders: &mut Orders<'_>) {
        self.log.lock().callbacks += 1;
        self.inner.on_post(post, orders);
    }
}

/// An echo that now and then does what no service should.
///
/// Whatever it does, each peer hears its own frames back, in their order, up to where it is cut off.
pub(super) struct Mischief {
    room: usize,
    rng: Rng,
    probability: f64,
    log: Shared,
    known: Vec<Key>,
    /// Answers that were promised, oldest first.
    owed: VecDeque<(Key, Vec<u8>)>,
    /// Something that the framing cannot carry.
    bad_reply: &'static [u8],
}

impl Mischief {
    pub(super) fn new(room: usize, rng: Rng, probability: f64, bad_reply: &'static [u8], log: Shared) -> Self {
        Self { room, rng, probability, log, known: Vec::new(), owed: VecDeque::new(), bad_reply }
    }

    /// Sometimes, and then which one.
    fn deed(&mut self) -> Option<Deed> {
        let deed = self.rng.chance(self.probability).then(|| self.rng.pick(&Deed::ALL))?;
        self.log.lock().deeds[deed as usize] += 1;
        Some(deed)
    }

    /// Answers all that is owed, but to `but`, whose later frames may be answered already.
    fn pay(&mut self, but: Option<Key>, orders: &mut Orders<'_>) {
        let (kept, paid): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.owed).into_iter().partition(|(key, _)| Some(*key) == but);
        self.owed = kept;
        for (key, frame) in paid {
            orders.answer(key, &[&frame]).expect("it came in the same framing");
        }
    }

    fn misbehave(&mut self, deed: Deed, cx: &mut Context<'_, '_>) {
        if let Deed::Panics = deed {
            self.log.lock().panicked.push((self.room, cx.key()));
        }
        let sibling = self.rng.pick(&self.known);
        match deed {
            Deed::FinishesSelf => cx.finish(),
            Deed::ClosesSelf => cx.close(),
            Deed::FinishesSibling => cx.orders().finish(sibling),
            Deed::ClosesSibling => cx.orders().close(sibling),
            Deed::ClosesAll => cx.orders().close_all(),
            Deed::Panics => panic_quietly(),
            Deed::Promises => {}
            Deed::RepliesBadly if self.bad_reply.is_empty() => {}
            Deed::RepliesBadly => cx.send(self.bad_reply),
        }
    }
}

/// As a panic, without its message on standard error.
fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("mischief"))
}

impl Service for Mischief {
    type Peer = ();
    type Post = ();

    fn on_open(&mut self, _peer: &mut (), _who: &dyn Display, cx: &mut Context<'_, '_>) {
        self.known.push(cx.key());
        // Greeting everybody with a deed would leave nobody to serve.
        if self.rng.chance(0.1)
            && let Some(deed) = self.deed()
        {
            self.misbehave(deed, cx);
        }
    }

    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, '_>) {
        let key = cx.key();
        let deed = self.deed();
        let is_owed = self.owed.iter().any(|(owed, _)| *owed == key);
        if is_owed || matches!(deed, Some(Deed::Promises)) {
            cx.promise();
            self.owed.push_back((key, frame.to_vec()));
        } else {
            cx.send(frame);
        }
        if self.rng.chance(0.1) {
            self.pay(Some(key), &mut cx.orders());
        }
        if let Some(deed) = deed {
            self.misbehave(deed, cx);
        }
    }

    fn on_end(&mut self, _peer: &mut (), cx: &mut Context<'_, '_>) {
        if let Some(deed) = self.deed() {
            self.misbehave(deed, cx);
        }
    }

    fn on_close(&mut self, (): (), key: Key, _reason: CloseReason, orders: &mut Orders<'_>) {
        self.owed.retain(|(owed, _)| *owed != key);
        match self.deed() {
            Some(Deed::Panics) => panic_quietly(),
            Some(Deed::ClosesSibling) => orders.close(self.rng.pick(&self.known)),
            Some(Deed::FinishesSibling) => orders.finish(self.rng.pick(&self.known)),
            Some(Deed::ClosesAll) => orders.close_all(),
            Some(Deed::FinishesSelf | Deed::ClosesSelf | Deed::Promises | Deed::RepliesBadly) | None => {
                self.pay(None, orders);
            }
        }
    }

    fn on_post(&mut self, (): (), orders: &mut Orders<'_>) {
        self.pay(None, orders);
        if let Some(Deed::Panics) = self.deed() {
            panic_quietly();
        }
    }
}
