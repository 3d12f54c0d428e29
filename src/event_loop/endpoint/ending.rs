//! How the peers of an endpoint end: one by one, or all of them in a shutdown.
//!
//! Whatever concerns all peers is done in slices, one in each turn, so that no turn takes longer because
//! more peers are open.

use log::{debug, error};

use crate::admission::repeated_suffix;
use crate::connection::{CloseReason, Resources};
use crate::host::{CloseMode, Peer};
use crate::net::{Layer, Link, Net, Stream};
use crate::service::Service;
use crate::slab::Key;

use super::accepting::BACKLOG_MAX;
use super::{Endpoint, LoopState, Stage};

/// Most peers that a stage of the shutdown is applied to in a turn. They are served in the same turn.
const STAGE_SLICE: usize = 1280;

/// Most peers reaped in a turn, since closing a stream takes longer than serving a message.
const REAP_SLICE: usize = 1024;

/// The shutdown of one endpoint.
pub(super) struct Ending {
    pub(super) stage: Stage,
    /// The slot from which on the stage must still be applied; `None` if it is applied to all peers.
    next_slot: Option<usize>,
    /// How many connections of the backlog may still be accepted.
    pub(super) backlog_left: usize,
}

impl Default for Ending {
    fn default() -> Self {
        Self { stage: Stage::Running, next_slot: None, backlog_left: BACKLOG_MAX }
    }
}

impl<S: Service, N: Net, W: Layer<N::Stream>> Endpoint<S, N, W> {
    /// Enters a stage. Its effect on connections that are not open yet begins here.
    pub(super) fn enter(&mut self, stage: Stage, state: &mut LoopState<N>) {
        self.ending.stage = stage;
        self.ending.next_slot = (stage > Stage::LameDuck).then_some(0);
        match stage {
            // The listener is closed once its backlog is accepted.
            Stage::Running | Stage::NotReady | Stage::LameDuck => {}
            Stage::Draining => self.host.handle_drain(state.now),
            Stage::Finishing | Stage::Stopping => {
                self.listener = None;
                self.connector.close();
            }
        }
    }

    /// Whether the stage must still be applied to some peers.
    pub(super) fn wants_stage(&self) -> bool {
        self.ending.next_slot.is_some() || self.listener.is_some() && !self.ending.stage.accepts()
    }

    /// Applies the stage to the next slice of the peers.
    pub(super) fn advance(&mut self, state: &mut LoopState<N>) {
        let Some(slot) = self.ending.next_slot else { return };
        if let Some(reason) = close_reason(self.ending.stage)
            && self.close_pending(reason, state)
        {
            return;
        }
        let stage = self.ending.stage;
        if stage == Stage::Finishing && (self.connector.has_failures() || self.host.has_orders()) {
            // The service may still answer the peers that wait for a failed connect.
            return;
        }
        self.ending.next_slot =
            self.host.for_peers_from(slot, STAGE_SLICE, &mut state.reserve, state.now, |peer, resources| {
                apply_stage(stage, peer, resources);
            });
    }

    /// Closes handshakes and connects in progress, as many as one turn may. Returns whether some are left.
    fn close_pending(&mut self, reason: CloseReason, state: &mut LoopState<N>) -> bool {
        for _ in 0..REAP_SLICE {
            if !self.close_oldest_handshake(reason, state) && !self.abort_connect(state) {
                return false;
            }
        }
        true
    }

    /// Applies the stage to a peer that was opened after the stage began.
    pub(super) fn apply_stage_to(&mut self, key: Key, state: &mut LoopState<N>) {
        if self.ending.stage > Stage::LameDuck
            && let Some(mut peer_guard) = self.host.peer_guard(key, &mut state.reserve, state.now)
        {
            apply_stage(self.ending.stage, peer_guard.peer, &mut peer_guard.resources);
        }
    }

    /// Frees closed peers, as many as one turn may. It is the last step, because an event of the same poll
    /// may still name a slot that was freed and used again.
    pub(super) fn reap(&mut self, state: &mut LoopState<N>) {
        let LoopState { reserve, now, admission, closes, transitions, .. } = state;
        let Self { index, host, layer, peer_log, panic_log, address, .. } = self;
        host.reap_closed(REAP_SLICE, reserve, *now, |key, link, reason, close_mode| {
            peer_log.closed(key, reason, *now);
            if reason == CloseReason::Panicked
                && let Some(suppressed) = panic_log.permit(*now)
            {
                let place = address.as_ref().map_or_else(String::new, |address| format!(" on {address}"));
                error!("the service{place} panicked; its peer is closed{}", repeated_suffix(suppressed));
            }
            if let Some(transitions) = transitions {
                transitions.forget(*index, key);
            }
            admission.release(link.group());
            *closes += 1;
            let mut stream = link.into_stream();
            let failure = layer.failure(&stream);
            if close_mode == CloseMode::Reset
                && let Err(error) = stream.reset_on_drop()
            {
                debug!("cannot reset {key}: {error}");
            }
            failure
        });
    }
}

/// The close reason of connections that are not open yet when a stage begins; `None` if they go on.
fn close_reason(stage: Stage) -> Option<CloseReason> {
    match stage {
        Stage::Running | Stage::NotReady | Stage::LameDuck | Stage::Draining => None,
        Stage::Finishing => Some(CloseReason::Drained),
        Stage::Stopping => Some(CloseReason::Stopped),
    }
}

fn apply_stage<S: Service, T: Stream>(
    stage: Stage,
    peer: &mut Peer<S, Link<T>>,
    resources: &mut Resources<'_, S::Codec>,
) {
    match stage {
        Stage::Running | Stage::NotReady | Stage::LameDuck => {}
        Stage::Draining => {
            peer.connection.handle_drain();
            // Data that the peer sent before the drain may not be reported, or may still be on its way.
            peer.link.read_on();
        }
        Stage::Finishing => peer.connection.handle_drain_timeout(resources),
        Stage::Stopping => peer.connection.handle_error(CloseReason::Stopped),
    }
}
