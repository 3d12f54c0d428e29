//! `MisbehavingService`: an echo that at random does what no service should do.

use std::collections::VecDeque;

use super::log::SharedLog;
use super::outcome::Misdeed;
use crate::codec::Framing;
use crate::connection::CloseReason;
use crate::service::{Context, Orders, PeerInfo, ReplyToken, Service};
use crate::sim::Rng;
use crate::slab::Key;

/// An echo that at random does what no service should do.
///
/// Each peer still receives its own frames in order, up to where it is cut off.
pub(super) struct MisbehavingService {
    /// The index of its endpoint.
    endpoint: usize,
    rng: Rng,
    probability: f64,
    log: SharedLog,
    known: Vec<Key>,
    /// The deferred replies, oldest first.
    deferred: VecDeque<(ReplyToken, Vec<u8>)>,
    /// A reply that the framing cannot carry. It is empty if the framing carries everything.
    bad_reply: &'static [u8],
}

impl MisbehavingService {
    pub(super) fn new(endpoint: usize, rng: Rng, probability: f64, bad_reply: &'static [u8], log: SharedLog) -> Self {
        Self { endpoint, rng, probability, log, known: Vec::new(), deferred: VecDeque::new(), bad_reply }
    }

    /// Draws whether to misbehave, and how.
    fn draw_misdeed(&mut self) -> Option<Misdeed> {
        let (misdeed, _) = self.rng.chance(self.probability).then(|| self.rng.pick(&Misdeed::ALL))?;
        self.log.lock().misdeeds[misdeed as usize] += 1;
        Some(misdeed)
    }

    /// Sends all deferred replies.
    fn send_deferred(&mut self, orders: &mut Orders<'_, Self>) {
        for (token, frame) in self.deferred.drain(..) {
            orders.answer(token, &[&frame]).expect("a few frames are within the bound");
        }
    }

    fn misbehave(&mut self, misdeed: Misdeed, cx: &mut Context<'_, Self>) {
        if let Misdeed::Panics = misdeed {
            self.log.lock().panicked.push((self.endpoint, cx.key()));
        }
        let sibling = self.rng.pick(&self.known);
        match misdeed {
            Misdeed::FinishesSelf => cx.finish(),
            Misdeed::ClosesSelf => cx.close(),
            Misdeed::FinishesSibling => cx.orders().finish(sibling),
            Misdeed::ClosesSibling => cx.orders().close(sibling),
            Misdeed::ClosesAll => cx.orders().close_all(),
            Misdeed::Panics => panic_quietly(),
            Misdeed::DefersReply => {}
            Misdeed::RepliesBadly if self.bad_reply.is_empty() => {}
            Misdeed::RepliesBadly => cx.send(self.bad_reply),
        }
    }
}

/// Panics without a message on standard error.
fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("intended panic"))
}

impl Service for MisbehavingService {
    type Codec = Framing;
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, _peer: &mut (), _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.known.push(cx.key());
        // Only rarely, else few peers would be left to serve.
        if self.rng.chance(0.1)
            && let Some(misdeed) = self.draw_misdeed()
        {
            self.misbehave(misdeed, cx);
        }
    }

    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, Self>) {
        let key = cx.key();
        let misdeed = self.draw_misdeed();
        if self.deferred.iter().any(|(token, _)| token.key() == key) {
            self.log.lock().violation = Some(format!("a frame of {key} before its deferred reply"));
        }
        if let Some(Misdeed::DefersReply) = misdeed {
            self.deferred.push_back((cx.defer_reply(), frame.to_vec()));
        } else {
            cx.send(frame);
        }
        if self.rng.chance(0.1) {
            self.send_deferred(&mut cx.orders());
        }
        if let Some(misdeed) = misdeed {
            self.misbehave(misdeed, cx);
        }
    }

    fn on_end(&mut self, _peer: &mut (), cx: &mut Context<'_, Self>) {
        if let Some(misdeed) = self.draw_misdeed() {
            self.misbehave(misdeed, cx);
        }
    }

    fn on_close(&mut self, (): (), key: Key, _reason: CloseReason, orders: &mut Orders<'_, Self>) {
        self.deferred.retain(|(token, _)| token.key() != key);
        match self.draw_misdeed() {
            Some(Misdeed::Panics) => panic_quietly(),
            Some(Misdeed::ClosesSibling) => orders.close(self.rng.pick(&self.known)),
            Some(Misdeed::FinishesSibling) => orders.finish(self.rng.pick(&self.known)),
            Some(Misdeed::ClosesAll) => orders.close_all(),
            Some(Misdeed::FinishesSelf | Misdeed::ClosesSelf | Misdeed::DefersReply | Misdeed::RepliesBadly) | None => {
                self.send_deferred(orders);
            }
        }
    }

    fn on_message(&mut self, (): (), orders: &mut Orders<'_, Self>) {
        self.send_deferred(orders);
        if let Some(Misdeed::Panics) = self.draw_misdeed() {
            panic_quietly();
        }
    }
}
