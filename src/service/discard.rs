//! Discard (RFC 863): reads all input and sends nothing.

use super::{Context, Service};

/// Discards every frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Service for Discard {
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), _frame: &[u8], _cx: &mut Context<'_, '_>) {}
}
