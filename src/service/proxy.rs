//! Proxy: pairs each peer with an outbound connection and passes frames on in both directions.
//!
//! It stores nothing: each frame is either in one peer's output queue or still with the other peer.
//! When one side reads slowly, reading of the other side is paused. The kernel buffers on that side
//! fill up, and its far end has to wait, as it would without a proxy.
//!
//! ```text
//! peer ── frame ──▶ send_to ──▶ output queue ──▶ partner       and back in the same way
//!   ▲                                │
//!   └── resume ◀── on_writable ◀─────┘ requested after each window; the peer is paused until then
//! ```

use std::collections::HashMap;
use std::marker::PhantomData;

use crate::codec::ByteCodec;
use crate::connection::{CloseReason, KIB, READ_LEN_MAX};
use crate::destination::Destination;
use crate::slab::Key;
use crate::watermark::Watermarks;

use super::{ConnectFailure, Context, Orders, OutboxFull, PeerInfo, Service};

/// Bytes of one peer that are passed on before it is paused until its partner's queue is low.
///
/// Each pause costs a turn, which is little compared with the system calls for 64 KiB.
const WINDOW_BYTES: usize = 64 * KIB;

/// Watermarks for the peers of a [`Relay`].
///
/// With these, a peer that was sent a whole window and one read more is still read, so that the two
/// directions never wait for each other.
pub const PROXY_QUEUE: Watermarks = Watermarks::new(64 * KIB, 512 * KIB);

const _: () = assert!(PROXY_QUEUE.low() + WINDOW_BYTES + READ_LEN_MAX < PROXY_QUEUE.high());

/// Pairs of peers that pass their frames on to each other.
///
/// A [`Proxy`] pairs each peer at once. A service that pairs its peers later, such as one for SOCKS, has a
/// relay of its own and calls it in its callbacks. It also calls [`Context::keep_open`] for both peers.
#[derive(Clone, Debug, Default)]
pub struct Relay {
    peers: HashMap<Key, PairedPeer>,
}

/// One peer of a pair.
#[derive(Clone, Copy, Debug, Default)]
struct PairedPeer {
    /// `None` while the outbound connection is in progress.
    partner: Option<Key>,
    /// Bytes of this peer that were passed on in the current window.
    passed: usize,
}

impl Relay {
    /// Adds a peer that has no partner yet.
    pub fn insert(&mut self, peer: Key) {
        self.peers.insert(peer, PairedPeer::default());
    }

    /// Pairs a peer with the connection that was opened for it. Returns `false` if the peer is gone.
    pub fn pair(&mut self, peer: Key, partner: Key) -> bool {
        let Some(paired) = self.peers.get_mut(&peer) else { return false };
        paired.partner = Some(partner);
        self.peers.insert(partner, PairedPeer { partner: Some(peer), passed: 0 });
        true
    }

    fn partner(&self, peer: Key) -> Option<Key> {
        self.peers.get(&peer).and_then(|paired| paired.partner)
    }

    /// Passes a frame on to the partner. After a window, pauses the peer until the partner's queue is low.
    pub fn handle_frame<S: Service>(&mut self, frame: &[u8], cx: &mut Context<'_, S>) {
        let Some(paired) = self.peers.get_mut(&cx.key()) else { return };
        let Some(partner) = paired.partner else { return };
        if let Err(OutboxFull) = cx.orders().send_to(partner, &[frame]) {
            return cx.close();
        }
        paired.passed += frame.len();
        if paired.passed >= WINDOW_BYTES {
            paired.passed = 0;
            cx.pause();
            cx.orders().notify_writable(partner);
        }
    }

    /// Resumes the partner of a peer that can be written to.
    pub fn handle_writable<S: Service>(&self, cx: &mut Context<'_, S>) {
        if let Some(partner) = self.partner(cx.key()) {
            cx.orders().resume(partner);
        }
    }

    /// Passes the end of a peer's direction on.
    pub fn handle_end<S: Service>(&self, cx: &mut Context<'_, S>) {
        if let Some(partner) = self.partner(cx.key()) {
            cx.orders().half_close(partner);
        }
    }

    /// Finishes the partner of a closed peer, or resets it after a failure.
    pub fn handle_close<S: Service>(&mut self, peer: Key, reason: CloseReason, orders: &mut Orders<'_, S>) {
        let Some(PairedPeer { partner: Some(partner), .. }) = self.peers.remove(&peer) else { return };
        let is_complete = matches!(reason, CloseReason::Finished | CloseReason::IdleTimeout | CloseReason::Drained);
        if is_complete {
            orders.finish(partner);
        } else {
            orders.reset(partner);
        }
    }
}

/// Connects to one destination for each peer, and passes frames on in both directions.
///
/// The end of one direction is passed on as an end, and a reset or any other failure as a reset. If the
/// destination cannot be reached, the peer is reset.
#[derive(Clone, Debug)]
pub struct Proxy<C> {
    to: Destination,
    relay: Relay,
    codec: PhantomData<fn() -> C>,
}

impl<C> Proxy<C> {
    /// A proxy to this destination.
    pub fn to(to: impl Into<Destination>) -> Self {
        Self { to: to.into(), relay: Relay::default(), codec: PhantomData }
    }
}

impl<C: ByteCodec> Service for Proxy<C> {
    type Codec = C;
    /// The client of an outbound connection.
    type Peer = Option<Key>;
    type Message = ();

    fn on_open(&mut self, client: &mut Option<Key>, _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        let key = cx.key();
        // The partner may reply after this peer has ended its direction.
        cx.keep_open();
        match *client {
            Some(client) if self.relay.pair(client, key) => cx.orders().resume(client),
            // The client was closed meanwhile.
            Some(_) => cx.close(),
            None => {
                self.relay.insert(key);
                cx.pause();
                cx.orders().connect(self.to.clone(), Some(key));
            }
        }
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<Option<Key>>, orders: &mut Orders<'_, Self>) {
        if let Some(client) = failure.peer {
            orders.reset(client);
        }
    }

    fn on_frame(&mut self, _: &mut Option<Key>, frame: &[u8], cx: &mut Context<'_, Self>) {
        self.relay.handle_frame(frame, cx);
    }

    fn on_writable(&mut self, _: &mut Option<Key>, cx: &mut Context<'_, Self>) {
        self.relay.handle_writable(cx);
    }

    fn on_end(&mut self, _: &mut Option<Key>, cx: &mut Context<'_, Self>) {
        self.relay.handle_end(cx);
    }

    fn on_close(&mut self, _: Option<Key>, key: Key, reason: CloseReason, orders: &mut Orders<'_, Self>) {
        self.relay.handle_close(key, reason, orders);
    }
}
