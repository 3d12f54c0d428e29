//! Chat: passes each frame on to all other peers.
//!
//! It has no names and keeps no history.

use std::marker::PhantomData;

use super::{Context, Service};
use crate::codec::ByteCodec;

/// Sends every frame to all peers except its sender.
#[derive(Clone, Debug)]
pub struct Chat<C> {
    prefix: Vec<u8>,
    codec: PhantomData<fn() -> C>,
}

impl<C> Chat<C> {
    /// Passes frames on unchanged.
    pub const fn new() -> Self {
        Self { prefix: Vec::new(), codec: PhantomData }
    }

    /// Passes frames on with `prefix` before each.
    pub fn with_prefix(prefix: impl Into<Vec<u8>>) -> Self {
        Self { prefix: prefix.into(), codec: PhantomData }
    }
}

impl<C> Default for Chat<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: ByteCodec> Service for Chat<C> {
    type Codec = C;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, Self>) {
        if cx.orders().send_to_others(&[&self.prefix, frame]).is_err() {
            cx.finish();
        }
    }
}
