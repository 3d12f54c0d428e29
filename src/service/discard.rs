//! Discard (RFC 863): takes everything, says nothing.

use super::{Context, Service};

/// Throws every frame away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Service for Discard {
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), _frame: &[u8], _cx: &mut Context<'_, '_>) {}
}
