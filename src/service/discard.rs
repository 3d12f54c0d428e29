//! Discard (RFC 863): reads all input and sends nothing.

use std::marker::PhantomData;

use super::{Context, Service};
use crate::codec::Codec;

/// Discards every frame.
#[derive(Clone, Copy, Debug)]
pub struct Discard<C> {
    codec: PhantomData<fn() -> C>,
}

impl<C> Discard<C> {
    /// Discards frames of any framing.
    pub const fn new() -> Self {
        Self { codec: PhantomData }
    }
}

impl<C> Default for Discard<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Codec> Service for Discard<C> {
    type Codec = C;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), _frame: C::Frame<'_>, _cx: &mut Context<'_, Self>) {}
}
