//! [`Inspector`]: reads the state of an event loop, from any thread or service.
//!
//! An inquiry is a closure that the loop calls on its own thread, while it serves no peer. A turn carries out at
//! most one inquiry, and [`LoopView::peers`] visits a bounded number of peers. So a program that lists
//! 100,000 peers asks for one slice after the other, and no turn takes noticeably longer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;

use log::error;

use crate::admission::{EndpointPurpose, Totals};
use crate::connection::Limits;
use crate::instant::Instant;
use crate::net::{Address, Handle, Net, SendError, Sender};
use crate::slab::Key;

use super::EventLoop;
use super::measurements::Measurements;
use super::shutdown::Stage;
use super::snapshot::PeerSnapshot;
use super::transitions::Transition;

/// Most peers that one call of [`LoopView::peers`] visits.
const PEERS_MAX: usize = 128;

type Inquiry = Box<dyn FnOnce(&dyn LoopView) + Send>;

/// Sends inquiries to an event loop, from any thread.
#[derive(Clone, Debug)]
pub struct Inspector {
    sender: Sender<Inquiry>,
}

impl Inspector {
    /// Calls `inquiry` on the thread of the loop, soon. Returns at once.
    ///
    /// All peers wait while it runs. It is dropped without a call if the loop ends first.
    ///
    /// # Errors
    /// 1,024 inquiries are waiting already, or the loop has ended.
    pub fn inspect(&self, inquiry: impl FnOnce(&dyn LoopView) + Send + 'static) -> Result<(), SendError<()>> {
        self.sender.send(Box::new(inquiry)).map_err(|error| match error {
            SendError::Full(_) => SendError::Full(()),
            SendError::Gone(_) => SendError::Gone(()),
        })
    }
}

/// The state of an event loop, for an inquiry.
pub trait LoopView {
    /// Everything counted so far. Administration endpoints are not included.
    fn totals(&self) -> Totals;
    /// The measurements, if [`EventLoop::measure`] was called.
    fn measurements(&self) -> Option<&Measurements>;
    /// The stage of the shutdown.
    fn stage(&self) -> Stage;
    /// Whether the last reload failed, so that older settings or certificates are in force.
    fn has_failed_reload(&self) -> bool;
    /// The time of this turn.
    fn now(&self) -> Instant;
    /// The address that an endpoint listens at; `None` if it only connects or does not exist.
    fn local_address(&self, endpoint: usize) -> Option<&Address>;
    /// The limits of the peers of an endpoint.
    fn limits(&self, endpoint: usize) -> Option<&Limits>;
    /// Visits peers from a cursor on, a bounded number. Returns the cursor of the next call, or `None` after
    /// the last peer. Those of administration endpoints are not visited.
    ///
    /// A peer that is open from the first call to the last is visited exactly once.
    fn peers(&self, from: PeerCursor, visit: &mut dyn FnMut(PeerView)) -> Option<PeerCursor>;
    /// One peer of an endpoint.
    fn peer(&self, endpoint: usize, key: Key) -> Option<PeerSnapshot>;
    /// The last transitions of a peer, the oldest first, if [`EventLoop::record_transitions`] was called.
    fn transitions(&self, endpoint: usize, key: Key) -> Vec<Transition>;
}

/// How far [`LoopView::peers`] has come. The default is before the first peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCursor {
    endpoint: usize,
    slot: usize,
}

/// A peer that [`LoopView::peers`] visits.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// The number of its endpoint.
    pub endpoint: usize,
    /// The state of the peer.
    pub peer: PeerSnapshot,
}

/// The inquiries of one loop.
pub(super) struct Inquiries {
    sender: Sender<Inquiry>,
    receiver: Receiver<Inquiry>,
    /// Whether inquiries may be waiting.
    are_waiting: bool,
}

impl Inquiries {
    pub(super) fn new(handle: &Handle) -> Self {
        let (sender, receiver) = handle.channel();
        Self { sender, receiver, are_waiting: false }
    }

    /// Whether there is work without an event.
    pub(super) fn are_waiting(&self) -> bool {
        self.are_waiting
    }

    /// The loop was woken, perhaps by an inquiry.
    pub(super) fn handle_wake(&mut self) {
        self.are_waiting = true;
    }

    fn next(&mut self) -> Option<Inquiry> {
        let next = self.receiver.try_recv().ok();
        self.are_waiting = next.is_some();
        next
    }
}

impl<N: Net + 'static> EventLoop<N> {
    /// Returns an inspector of this loop.
    pub fn inspector(&self) -> Inspector {
        Inspector { sender: self.inquiries.sender.clone() }
    }

    /// Carries out one inquiry. A panic in it ends only the inquiry.
    pub(super) fn answer_inquiry(&mut self) {
        if !self.inquiries.are_waiting() {
            return;
        }
        if let Some(inquiry) = self.inquiries.next()
            && catch_unwind(AssertUnwindSafe(|| inquiry(self))).is_err()
        {
            error!("an inquiry panicked");
        }
    }
}

impl<N: Net + 'static> LoopView for EventLoop<N> {
    fn totals(&self) -> Totals {
        self.totals()
    }

    fn measurements(&self) -> Option<&Measurements> {
        self.state.measurements.as_deref()
    }

    fn stage(&self) -> Stage {
        self.shutdown.stage()
    }

    fn has_failed_reload(&self) -> bool {
        self.state.has_failed_reload
    }

    fn now(&self) -> Instant {
        self.state.now
    }

    fn local_address(&self, endpoint: usize) -> Option<&Address> {
        self.endpoints.get(endpoint)?.endpoint().local_address()
    }

    fn limits(&self, endpoint: usize) -> Option<&Limits> {
        self.endpoints.get(endpoint)?.endpoint().limits()
    }

    fn peers(&self, from: PeerCursor, visit: &mut dyn FnMut(PeerView)) -> Option<PeerCursor> {
        let PeerCursor { endpoint, slot } = from;
        let cell = self.endpoints.get(endpoint)?.endpoint();
        let next = if cell.purpose() == EndpointPurpose::Service {
            cell.peers_from(slot, PEERS_MAX, &mut |peer| visit(PeerView { endpoint, peer }))
        } else {
            None
        };
        let next = next.map_or(PeerCursor { endpoint: endpoint + 1, slot: 0 }, |slot| PeerCursor { endpoint, slot });
        (next.endpoint < self.endpoints.len()).then_some(next)
    }

    fn peer(&self, endpoint: usize, key: Key) -> Option<PeerSnapshot> {
        let cell = self.endpoints.get(endpoint)?.endpoint();
        if cell.purpose() == EndpointPurpose::Service { cell.peer(key) } else { None }
    }

    fn transitions(&self, endpoint: usize, key: Key) -> Vec<Transition> {
        self.state.transitions.as_ref().map_or_else(Vec::new, |log| log.of(endpoint, key))
    }
}
