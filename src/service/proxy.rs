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

use super::{ConnectFailure, Context, Orders, OutboxFull, PeerInfo, Role, Service};

/// Bytes of one peer that are passed on before it is paused until its partner's queue is low.
///
/// Each pause costs a turn, which is little compared with the system calls for 64 KiB.
const WINDOW_BYTES: usize = 64 * KIB;

/// Connects to one destination for each peer, and passes frames on in both directions.
///
/// The end of one direction is passed on as an end, and a reset or any other failure as a reset. If the
/// destination cannot be reached, the peer is reset.
#[derive(Clone, Debug)]
pub struct Proxy<C> {
    to: Destination,
    /// The partner of each peer; `None` while the outbound connection is in progress.
    partners: HashMap<Key, Option<Key>>,
    codec: PhantomData<fn() -> C>,
}

/// What a proxy keeps for each peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proxied {
    /// The client of an outbound connection.
    client: Option<Key>,
    /// Bytes of this peer that were passed on in the current window.
    passed: usize,
}

/// Watermarks for the peers of a [`Proxy`].
///
/// With these, a peer that was sent a whole window and one read more is still read, so that the two
/// directions never wait for each other.
pub const PROXY_QUEUE: Watermarks = Watermarks::new(64 * KIB, 512 * KIB);

const _: () = assert!(PROXY_QUEUE.low() + WINDOW_BYTES + READ_LEN_MAX < PROXY_QUEUE.high());

impl<C> Proxy<C> {
    /// A proxy to this destination.
    pub fn to(to: impl Into<Destination>) -> Self {
        Self { to: to.into(), partners: HashMap::new(), codec: PhantomData }
    }

    fn partner(&self, key: Key) -> Option<Key> {
        self.partners.get(&key).copied().flatten()
    }
}

impl<C: ByteCodec> Service for Proxy<C> {
    type Codec = C;
    type Peer = Proxied;
    type Message = ();

    fn on_open(&mut self, peer: &mut Proxied, info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        let key = cx.key();
        // The partner may reply after this peer has ended its direction.
        cx.keep_open();
        match (info.role(), peer.client) {
            (Role::Connected, Some(client)) => match self.partners.get_mut(&client) {
                Some(partner) => {
                    *partner = Some(key);
                    self.partners.insert(key, Some(client));
                    cx.orders().resume(client);
                }
                // The client was closed meanwhile.
                None => cx.close(),
            },
            (Role::Accepted | Role::Connected, _) => {
                self.partners.insert(key, None);
                cx.pause();
                cx.orders().connect(self.to.clone(), Proxied { client: Some(key), passed: 0 });
            }
        }
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<Proxied>, orders: &mut Orders<'_, Self>) {
        if let Some(client) = failure.peer.client {
            orders.reset(client);
        }
    }

    fn on_frame(&mut self, peer: &mut Proxied, frame: &[u8], cx: &mut Context<'_, Self>) {
        let Some(partner) = self.partner(cx.key()) else { return };
        if let Err(OutboxFull) = cx.orders().send_to(partner, &[frame]) {
            return cx.close();
        }
        peer.passed += frame.len();
        if peer.passed >= WINDOW_BYTES {
            peer.passed = 0;
            cx.pause();
            cx.orders().notify_writable(partner);
        }
    }

    fn on_writable(&mut self, _peer: &mut Proxied, cx: &mut Context<'_, Self>) {
        if let Some(partner) = self.partner(cx.key()) {
            cx.orders().resume(partner);
        }
    }

    fn on_end(&mut self, _peer: &mut Proxied, cx: &mut Context<'_, Self>) {
        if let Some(partner) = self.partner(cx.key()) {
            cx.orders().half_close(partner);
        }
    }

    fn on_close(&mut self, _peer: Proxied, key: Key, reason: CloseReason, orders: &mut Orders<'_, Self>) {
        let Some(Some(partner)) = self.partners.remove(&key) else { return };
        let is_complete = matches!(reason, CloseReason::Finished | CloseReason::IdleTimeout | CloseReason::Drained);
        if is_complete {
            orders.finish(partner);
        } else {
            orders.reset(partner);
        }
    }
}
