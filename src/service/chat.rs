//! Chat: what one peer says, all the others hear.
//!
//! It knows no names and keeps no history; who comes late has missed it.

use super::{Context, Service};

/// Sends every frame to all peers but its sender.
#[derive(Clone, Debug, Default)]
pub struct Chat {
    prefix: Vec<u8>,
}

impl Chat {
    /// Passes on just what came.
    pub const fn new() -> Self {
        Self { prefix: Vec::new() }
    }

    /// Puts `prefix` at the start of every frame it passes on.
    pub fn with_prefix(prefix: impl Into<Vec<u8>>) -> Self {
        Self { prefix: prefix.into() }
    }
}

impl Service for Chat {
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, '_>) {
        if cx.orders().send_to_others(&[&self.prefix, frame]).is_err() {
            cx.finish();
        }
    }
}
