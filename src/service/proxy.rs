//! Proxy: couples each peer with one of our own at another address, and passes on what either says.
//!
//! It stores nothing: a frame is in the one's queue or still with the other. Whoever takes less
//! than the other says stops the reading of that one, so both kernels' buffers fill up, and the
//! far end waits as it would without a proxy between.
//!
//! ```text
//! who came ── frame ──▶ send_to ──▶ queue ──▶ who answers       and the same way back
//!     ▲                               │
//!     └── resume ◀── on_writable ◀────────┘ asked for after each window, paused until then
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Display;

use crate::connection::{CloseReason, KIB, READ_LEN_MAX};
use crate::destination::Destination;
use crate::slab::Key;
use crate::watermark::Watermarks;

use super::{Context, Orders, Service};

/// How much of the one is passed on before the other is asked whether it has room for more.
///
/// 64 KiB: to ask costs a turn, which is little beside what the kernel takes for as many bytes.
const WINDOW_BYTES: usize = 64 * KIB;

/// Connects to one address for each peer that comes, and passes on frames in both directions.
///
/// An end of either direction is passed on as an end, a reset as a reset; so is whatever else cuts
/// one side off. Who comes when nobody answers is reset.
#[derive(Clone, Debug)]
pub struct Proxy {
    to: Destination,
    /// With whom each peer is coupled; with nobody, while that one is being connected to.
    others: HashMap<Key, Option<Key>>,
}

impl Proxy {
    /// Where reading a peer of a proxy should pause and resume, so that the two directions do not
    /// wait for each other: who has been sent a whole window and one read is read all the same.
    pub const QUEUE: Watermarks = Watermarks::new(64 * KIB, 512 * KIB);

    /// Passes on to that address.
    pub fn to(to: impl Into<Destination>) -> Self {
        Self { to: to.into(), others: HashMap::new() }
    }

    fn other(&self, key: Key) -> Option<Key> {
        self.others.get(&key).copied().flatten()
    }
}

const _: () = assert!(Proxy::QUEUE.low() + WINDOW_BYTES + READ_LEN_MAX < Proxy::QUEUE.high());

impl Service for Proxy {
    /// How many bytes of this peer were passed on since the other was last asked for room.
    type Peer = usize;
    type Message = ();

    fn on_open(&mut self, _passed: &mut usize, _who: &dyn Display, cx: &mut Context<'_, '_>) {
        let key = cx.key();
        self.others.insert(key, None);
        // Its own end must not be the end of all: until the other ends, there may be answers.
        cx.defer_reply();
        cx.pause();
        cx.orders().connect(self.to.clone(), key.to_bits());
    }

    fn on_connect(&mut self, _passed: &mut usize, ticket: u64, cx: &mut Context<'_, '_>) {
        let (key, newcomer) = (cx.key(), Key::from_bits(ticket));
        let Some(other) = self.others.get_mut(&newcomer) else {
            // It did not wait.
            return cx.close();
        };
        *other = Some(key);
        self.others.insert(key, Some(newcomer));
        cx.defer_reply();
        cx.orders().resume(newcomer);
    }

    fn on_connect_failed(&mut self, ticket: u64, _error: &(dyn Error + 'static), orders: &mut Orders<'_>) {
        orders.reset(Key::from_bits(ticket));
    }

    fn on_frame(&mut self, passed: &mut usize, frame: &[u8], cx: &mut Context<'_, '_>) {
        let Some(other) = self.other(cx.key()) else { return };
        cx.orders().send_to(other, &[frame]).expect("it came in the same framing");
        *passed += frame.len();
        if *passed >= WINDOW_BYTES {
            *passed = 0;
            cx.pause();
            cx.orders().notify_writable(other);
        }
    }

    fn on_writable(&mut self, _passed: &mut usize, cx: &mut Context<'_, '_>) {
        if let Some(other) = self.other(cx.key()) {
            cx.orders().resume(other);
        }
    }

    fn on_end(&mut self, _passed: &mut usize, cx: &mut Context<'_, '_>) {
        if let Some(other) = self.other(cx.key()) {
            cx.orders().half_close(other);
        }
    }

    fn on_close(&mut self, _passed: usize, key: Key, reason: CloseReason, orders: &mut Orders<'_>) {
        let Some(Some(other)) = self.others.remove(&key) else { return };
        let is_whole = matches!(reason, CloseReason::Finished | CloseReason::IdleTimeout | CloseReason::Drained);
        if is_whole {
            orders.finish(other);
        } else {
            orders.reset(other);
        }
    }
}
