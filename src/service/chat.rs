//! Chat: passes each frame on to all other peers.
//!
//! It has no names and keeps no history.

use super::{Context, Service};

/// Sends every frame to all peers except its sender.
#[derive(Clone, Debug, Default)]
pub struct Chat {
    prefix: Vec<u8>,
}

impl Chat {
    /// Passes frames on unchanged.
    pub const fn new() -> Self {
        Self { prefix: Vec::new() }
    }

    /// Passes frames on with `prefix` before each.
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
