//! `PeerState`: the state of one simulated peer.
//!
//! What a peer does with it is in `peer_actions`, and the handle for tests is in `peer`.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::behavior::{Behavior, PeerEnding};
use crate::instant::Instant;
use crate::net::Address;

/// The progress of a peer's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerStage {
    /// The peer is not in a backlog yet.
    Connecting,
    /// The peer holds the other end of this wire.
    Connected(usize),
    /// The server connected to the peer by this wire, and the peer has not answered yet.
    Answering(usize),
    /// The server connected to the peer, and the peer never answers.
    Silent,
    /// There is no listener at the address.
    Refused,
}

#[derive(Debug)]
pub(super) struct PeerState {
    /// The destination of the connect: a listener of the server, or this peer's own address.
    pub(super) address: Address,
    pub(super) source: SocketAddr,
    pub(super) behavior: Behavior,
    pub(super) stage: PeerStage,
    /// Bytes that are still to be sent.
    pub(super) outbox: VecDeque<u8>,
    pub(super) written: u64,
    /// Bytes that were received and not taken by the test.
    pub(super) inbox: Vec<u8>,
    pub(super) received: u64,
    /// Bytes that the server has read from this peer and written to it.
    pub(super) moved: u64,
    /// The server's FIN was read.
    pub(super) has_seen_end: bool,
    /// The error that a call returned.
    pub(super) error: Option<i32>,
    /// An injected fault destroyed the connection.
    pub(super) is_hit_by_fault: bool,
    /// The server closed with unread input.
    pub(super) is_reset_by_close: bool,
    pub(super) next_act: Instant,
}

impl PeerState {
    pub(super) fn new(address: Address, source: SocketAddr, behavior: Behavior) -> Self {
        Self {
            address,
            source,
            behavior,
            stage: PeerStage::Connecting,
            outbox: VecDeque::new(),
            written: 0,
            inbox: Vec::new(),
            received: 0,
            moved: 0,
            has_seen_end: false,
            error: None,
            is_hit_by_fault: false,
            is_reset_by_close: false,
            next_act: Instant::ORIGIN,
        }
    }

    /// The number of bytes that the peer may write before its ending is due.
    pub(super) const fn left_to_write(&self) -> u64 {
        match self.behavior.ending {
            PeerEnding::FollowsServer | PeerEnding::Finishes | PeerEnding::Stays => u64::MAX,
            PeerEnding::FinishesAt(at) | PeerEnding::ResetsAt(at) | PeerEnding::ClosesAt(at) => {
                at.saturating_sub(self.written)
            }
        }
    }

    /// Whether the peer ends now. `has_finished` says that its FIN is already sent.
    pub(super) fn is_ending_due(&self, has_finished: bool) -> bool {
        match self.behavior.ending {
            PeerEnding::FollowsServer => !has_finished && self.has_seen_end && self.outbox.is_empty(),
            PeerEnding::Finishes => !has_finished && self.outbox.is_empty(),
            PeerEnding::Stays => false,
            PeerEnding::FinishesAt(_) => !has_finished && self.left_to_write() == 0,
            PeerEnding::ResetsAt(_) | PeerEnding::ClosesAt(_) => self.left_to_write() == 0,
        }
    }
}
