//! Limits of the peers of an endpoint that change while they are open.
//!
//! Timers are armed again in slices, one in each turn, so that no turn takes longer because more peers are open.

use crate::connection::Limits;
use crate::net::{Layer, Net};
use crate::service::Service;

use super::{Endpoint, LoopState};

/// Most peers to which changed limits are applied in a turn. They are served in the same turn.
const LIMITS_SLICE: usize = 1280;

impl<S: Service, N: Net, W: Layer<N::Stream>> Endpoint<S, N, W> {
    /// Changes the limits of all peers. A change during another one begins with the first peer again.
    pub(super) fn change_limits(&mut self, limits: &Limits) {
        if limits != self.host.limits() {
            self.host.change_limits(limits.clone());
            self.limits_next_slot = Some(0);
        }
    }

    /// Applies changed limits to the next slice of the peers.
    ///
    /// Only an earlier deadline needs it. Whatever else depends on the limits reads them when it is used.
    pub(super) fn apply_limits(&mut self, state: &mut LoopState<N>) {
        if let Some(slot) = self.limits_next_slot {
            self.limits_next_slot =
                self.host.for_peers_from(slot, LIMITS_SLICE, &mut state.reserve, state.now, |_, _| {});
        }
    }
}
