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
use std::error::Error;
use std::fmt::Display;

use crate::connection::{CloseReason, KIB, READ_LEN_MAX};
use crate::destination::Destination;
use crate::slab::Key;
use crate::watermark::Watermarks;

use super::{Context, Orders, Service};

/// Bytes of one peer that are passed on before it is paused until its partner's queue is low.
///
/// Each pause costs a turn, which is little compared with the system calls for 64 KiB.
const WINDOW_BYTES: usize = 64 * KIB;

/// Connects to one destination for each peer, and passes frames on in both directions.
///
/// The end of one direction is passed on as an end, and a reset or any other failure as a reset. If the
/// destination cannot be reached, the peer is reset.
#[derive(Clone, Debug)]
pub struct Proxy {
    to: Destination,
    /// The partner of each peer; `None` while the outbound connection is in progress.
    partners: HashMap<Key, Option<Key>>,
}

impl Proxy {
    /// Watermarks for the peers of a proxy.
    ///
    /// With these, a peer that was sent a whole window and one read more is still read, so that the
    /// two directions never wait for each other.
    pub const QUEUE: Watermarks = Watermarks::new(64 * KIB, 512 * KIB);

    /// A proxy to this destination.
    pub fn to(to: impl Into<Destination>) -> Self {
        Self { to: to.into(), partners: HashMap::new() }
    }

    fn partner(&self, key: Key) -> Option<Key> {
        self.partners.get(&key).copied().flatten()
    }
}

const _: () = assert!(Proxy::QUEUE.low() + WINDOW_BYTES + READ_LEN_MAX < Proxy::QUEUE.high());

impl Service for Proxy {
    /// Bytes of this peer that were passed on in the current window.
    type Peer = usize;
    type Message = ();

    fn on_open(&mut self, _passed: &mut usize, _address: &dyn Display, cx: &mut Context<'_, '_>) {
        let key = cx.key();
        self.partners.insert(key, None);
        // The partner may reply after this peer has ended its direction.
        cx.defer_reply();
        cx.pause();
        cx.orders().connect(self.to.clone(), key.to_bits());
    }

    fn on_connect(&mut self, _passed: &mut usize, ticket: u64, cx: &mut Context<'_, '_>) {
        let (key, client) = (cx.key(), Key::from_bits(ticket));
        let Some(partner) = self.partners.get_mut(&client) else {
            // The client was closed meanwhile.
            return cx.close();
        };
        *partner = Some(key);
        self.partners.insert(key, Some(client));
        cx.defer_reply();
        cx.orders().resume(client);
    }

    fn on_connect_failed(&mut self, ticket: u64, _error: &(dyn Error + 'static), orders: &mut Orders<'_>) {
        orders.reset(Key::from_bits(ticket));
    }

    fn on_frame(&mut self, passed: &mut usize, frame: &[u8], cx: &mut Context<'_, '_>) {
        let Some(partner) = self.partner(cx.key()) else { return };
        cx.orders().send_to(partner, &[frame]).expect("both peers have the same codec");
        *passed += frame.len();
        if *passed >= WINDOW_BYTES {
            *passed = 0;
            cx.pause();
            cx.orders().notify_writable(partner);
        }
    }

    fn on_writable(&mut self, _passed: &mut usize, cx: &mut Context<'_, '_>) {
        if let Some(partner) = self.partner(cx.key()) {
            cx.orders().resume(partner);
        }
    }

    fn on_end(&mut self, _passed: &mut usize, cx: &mut Context<'_, '_>) {
        if let Some(partner) = self.partner(cx.key()) {
            cx.orders().half_close(partner);
        }
    }

    fn on_close(&mut self, _passed: usize, key: Key, reason: CloseReason, orders: &mut Orders<'_>) {
        let Some(Some(partner)) = self.partners.remove(&key) else { return };
        let is_complete = matches!(reason, CloseReason::Finished | CloseReason::IdleTimeout | CloseReason::Drained);
        if is_complete {
            orders.finish(partner);
        } else {
            orders.reset(partner);
        }
    }
}
