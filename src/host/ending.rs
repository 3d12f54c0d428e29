//! How peers leave a host: reaped one by one, or changed all together in slices.

use std::io;

use crate::buffer::Reserve;
use crate::connection::{CloseReason, Resources};
use crate::instant::Instant;
use crate::service::Service;
use crate::slab::Key;

use super::{Host, Peer, PeerGuard, Presence};

impl<S: Service, L> Host<S, L> {
    /// Frees at most `count_max` closed peers, and notifies the service of each once.
    ///
    /// `on_close` gets the link of each peer and how its stream is to be closed. It returns the error of the
    /// layer, if the layer failed.
    #[inline]
    pub fn reap_closed(
        &mut self,
        count_max: usize,
        reserve: &mut Reserve,
        now: Instant,
        mut on_close: impl FnMut(Key, L, CloseReason, CloseMode) -> Option<io::Error>,
    ) {
        for _ in 0..count_max {
            if self.is_outbox_full() {
                break;
            }
            let Some(key) = self.closed.pop() else { break };
            let Some(peer) = self.peers.remove(key) else { continue };
            self.timers.disarm(key);
            self.outbox.timers.stop(key);
            let Peer { link, mut connection, state, presence, .. } = peer;
            let reason = connection.closed().expect("only closed peers are listed");
            let close_mode = if connection.wants_reset() { CloseMode::Reset } else { CloseMode::Graceful };
            self.counters.resets += u64::from(close_mode == CloseMode::Reset);
            self.counters.count_closed(reason);
            connection.release(reserve, &mut self.counters.ledger);
            let layer_error = on_close(key, link, reason, close_mode);
            if presence == Presence::Open {
                self.call_service(now, |service, orders| {
                    if let Some(error) = layer_error {
                        service.on_layer_error(key, error);
                    }
                    service.on_close(state, key, reason, orders);
                });
            }
        }
    }

    /// Whether closed peers wait to be reaped.
    pub fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Calls `change` on open peers from slot `first` on, and marks them. It visits at most `slots_max` slots.
    ///
    /// Returns the slot at which the next call continues, or `None` when it has visited all.
    pub fn for_peers_from(
        &mut self,
        first: usize,
        slots_max: usize,
        reserve: &mut Reserve,
        now: Instant,
        mut change: impl FnMut(&mut Peer<S, L>, &mut Resources<'_, S::Codec>),
    ) -> Option<usize> {
        let slots = self.peers.slots();
        let end = slots.min(first.saturating_add(slots_max));
        for slot in first..end {
            let Some(key) = self.peers.key_at(slot) else { continue };
            let Some(PeerGuard { peer, mut resources, .. }) = self.peer_guard(key, reserve, now) else { continue };
            change(peer, &mut resources);
            self.reschedule(key);
            self.mark(key);
        }
        (end < slots).then_some(end)
    }
}

/// How the stream of a closed peer is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseMode {
    /// All queued bytes were written.
    Graceful,
    /// Queued bytes were dropped, and a reset reports that to the peer.
    Reset,
}
