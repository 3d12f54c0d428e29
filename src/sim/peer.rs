//! `SimPeer`: a test's handle to one simulated peer.

use std::fmt;

use super::behavior::{Behavior, PeerEnding};
use super::peer_state::{PeerStage, PeerState};
use super::state::SharedWorld;
use super::wire::{Side, Wire};

/// A handle to a simulated peer, which controls it and reports what it received.
///
/// The peer acts while the server polls. Dropping the handle changes nothing.
#[derive(Clone)]
pub struct SimPeer {
    pub(super) world: SharedWorld,
    pub(super) number: usize,
}

impl fmt::Debug for SimPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimPeer").field("number", &self.number).finish_non_exhaustive()
    }
}

impl SimPeer {
    fn with<R>(&self, access: impl FnOnce(&mut PeerState) -> R) -> R {
        access(&mut self.world.lock().peers[self.number])
    }

    /// The number of the peer in its world. Numbers count from 0 in order of creation.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// Appends bytes to what the peer sends.
    pub fn send(&self, bytes: &[u8]) {
        self.with(|peer| peer.outbox.extend(bytes));
    }

    /// Makes the peer send its FIN as soon as everything is sent.
    pub fn finish(&self) {
        self.with(|peer| peer.behavior.ending = PeerEnding::Finishes);
    }

    /// Makes the peer reset the connection at once.
    pub fn reset(&self) {
        self.with(|peer| peer.behavior.ending = PeerEnding::ResetsAt(0));
    }

    /// Makes the peer close the connection at once with close(2), so that it neither sends nor reads.
    pub fn close(&self) {
        self.with(|peer| peer.behavior.ending = PeerEnding::ClosesAt(0));
    }

    /// Makes the peer stop reading, so that the server's output stays in the kernel buffers.
    pub fn stop_reading(&self) {
        self.with(|peer| peer.behavior.read_len_max = 0);
    }

    /// Makes the peer read everything as soon as it arrives.
    pub fn resume_reading(&self) {
        self.with(|peer| peer.behavior.read_len_max = usize::MAX);
    }

    /// Replaces the behavior of the peer.
    pub fn change_behavior(&self, behavior: Behavior) {
        self.with(|peer| peer.behavior = behavior);
    }

    /// The current behavior of the peer.
    pub fn behavior(&self) -> Behavior {
        self.with(|peer| peer.behavior.clone())
    }

    /// Takes the bytes that the peer received since the last call.
    pub fn received(&self) -> Vec<u8> {
        self.with(|peer| std::mem::take(&mut peer.inbox))
    }

    /// The number of bytes that the peer received in total.
    pub fn received_len(&self) -> u64 {
        self.with(|peer| peer.received)
    }

    /// The number of bytes that the peer wrote to its kernel in total.
    pub fn sent_len(&self) -> u64 {
        self.with(|peer| peer.written)
    }

    /// The number of bytes that the server has read from the peer and written to it.
    pub fn moved_len(&self) -> u64 {
        self.with(|peer| peer.moved)
    }

    /// Whether the connect was refused because the address has no listener.
    pub fn is_refused(&self) -> bool {
        self.with(|peer| peer.stage == PeerStage::Refused)
    }

    /// Whether the peer read everything up to the server's FIN, without an error.
    pub fn is_ended(&self) -> bool {
        self.with(|peer| peer.has_seen_end)
    }

    /// Whether a call of the peer returned an error, in most cases a reset.
    pub fn is_broken(&self) -> bool {
        self.with(|peer| peer.error.is_some())
    }

    /// Whether an injected fault, not the server, broke the connection.
    pub fn is_hit_by_fault(&self) -> bool {
        self.with(|peer| peer.is_hit_by_fault)
    }

    /// Whether the server closed the connection before it had read all input.
    ///
    /// Such a close resets the connection and destroys what this peer had not read yet.
    pub fn is_reset_by_close(&self) -> bool {
        self.with(|peer| peer.is_reset_by_close)
    }

    /// Whether the peer holds a connection that is neither closed nor reset.
    pub fn is_connected(&self) -> bool {
        self.has_wire(|wire| wire.is_open(Side::Peer))
    }

    /// Whether the peer has sent its FIN, or has reset or closed the connection.
    pub fn has_stopped_sending(&self) -> bool {
        self.has_wire(|wire| wire.is_closed(Side::Peer) || wire.has_finished(Side::Peer))
    }

    /// Whether the peer has a wire that satisfies `condition`.
    fn has_wire(&self, condition: impl FnOnce(&Wire) -> bool) -> bool {
        let state = self.world.lock();
        match state.peers[self.number].stage {
            PeerStage::Connected(wire) => condition(&state.wires[wire].wire),
            PeerStage::Connecting | PeerStage::Answering(_) | PeerStage::Silent | PeerStage::Refused => false,
        }
    }
}
