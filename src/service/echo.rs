//! Echo (RFC 862): sends back every frame.
//!
//! It looks at no byte and keeps nothing.

use super::{Context, Service};

/// Sends every frame back, with a prefix if one was given.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    prefix: Vec<u8>,
}

impl Echo {
    /// Sends back just what came.
    pub const fn new() -> Self {
        Self { prefix: Vec::new() }
    }

    /// Puts `prefix` at the start of every frame it sends.
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
