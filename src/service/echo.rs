//! Echo (RFC 862): sends every frame back.

use std::marker::PhantomData;

use super::{Context, Service};
use crate::codec::ByteCodec;

/// Sends every frame back, optionally with a prefix.
#[derive(Clone, Debug)]
pub struct Echo<C> {
    prefix: Vec<u8>,
    codec: PhantomData<fn() -> C>,
}

impl<C> Echo<C> {
    /// Sends frames back unchanged.
    pub const fn new() -> Self {
        Self { prefix: Vec::new(), codec: PhantomData }
    }

    /// Sends frames back with `prefix` before each.
    pub fn with_prefix(prefix: impl Into<Vec<u8>>) -> Self {
        Self { prefix: prefix.into(), codec: PhantomData }
    }
}

impl<C> Default for Echo<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: ByteCodec> Service for Echo<C> {
    type Codec = C;
    type Peer = ();
    type Message = ();

    #[inline]
    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, Self>) {
        if self.prefix.is_empty() {
            cx.send(frame);
        } else {
            cx.send_parts(&[&self.prefix, frame]);
        }
    }
}
