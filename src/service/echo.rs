//! Echo (RFC 862): sends every frame back.

use super::{Context, Service};

/// Sends every frame back, optionally with a prefix.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    prefix: Vec<u8>,
}

impl Echo {
    /// Sends frames back unchanged.
    pub const fn new() -> Self {
        Self { prefix: Vec::new() }
    }

    /// Sends frames back with `prefix` before each.
    pub fn with_prefix(prefix: impl Into<Vec<u8>>) -> Self {
        Self { prefix: prefix.into() }
    }
}

impl Service for Echo {
    type Peer = ();
    type Message = ();

    #[inline]
    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, '_>) {
        if self.prefix.is_empty() {
            cx.send(frame);
        } else {
            cx.send_parts(&[&self.prefix, frame]);
        }
    }
}
