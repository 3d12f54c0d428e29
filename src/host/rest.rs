//! Peers at rest, which an observer of all peers skips.
//!
//! Most peers are at rest before and after they are served, whatever happened meanwhile. Finding that out costs
//! far less than comparing their states.

use std::mem;

use crate::service::Service;
use crate::slab::Key;

use super::Host;
use super::lifetime::Lifetime;

impl<S: Service, L> Host<S, L> {
    /// Whether an open peer may have changed since the last call. One that was at rest and is at rest again has not.
    ///
    /// At rest, only the idle timeout runs.
    pub fn may_have_changed(&mut self, key: Key) -> bool {
        let Some(peer) = self.peers.get_mut(key).filter(|peer| !peer.is_pending()) else { return false };
        let is_at_rest = peer.connection.is_idle(&self.codec) && peer.lifetime == Lifetime::ENDLESS;
        let was_at_rest = mem::replace(&mut peer.was_at_rest, is_at_rest);
        !was_at_rest || !is_at_rest
    }
}
