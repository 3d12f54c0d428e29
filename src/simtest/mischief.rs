//! `Mischief`: an echo that now and then does what no service should.

use std::collections::VecDeque;
use std::fmt::Display;

use super::witness::Shared;
use crate::connection::CloseReason;
use crate::service::{Context, Orders, Service};
use crate::sim::Rng;
use crate::slab::Key;

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
    type Message = ();

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
            cx.defer_reply();
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

    fn on_message(&mut self, (): (), orders: &mut Orders<'_>) {
        self.pay(None, orders);
        if let Some(Deed::Panics) = self.deed() {
            panic_quietly();
        }
    }
}
