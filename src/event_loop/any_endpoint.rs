//! Endpoints as the event loop sees them: without the types of their service and their layer.
//!
//! [`AnyEndpoint`] has the steps of a turn. [`ServiceEndpoint`] has what a program does with the service of
//! an endpoint; an [`EndpointId`] leads to it.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::admission::{EndpointPurpose, ServerLimits, Totals};
use crate::connection::Limits;
use crate::datagram::DatagramLimits;
use crate::destination::Destination;
use crate::host::HostCounters;
use crate::instant::Instant;
use crate::net::{Address, AddressGroup, Net, Readiness, Sender};
use crate::service::{Context, Service};
use crate::slab::Key;

use super::loop_state::LoopState;
use super::shutdown::Stage;
use super::snapshot::{EndpointSnapshot, PeerSnapshot};

/// An endpoint in the steps of a turn.
pub(super) trait AnyEndpoint<N: Net> {
    /// Records an event of the listener or of a peer.
    fn handle_event(&mut self, readiness: &Readiness);
    /// Delivers the messages of other threads to the service.
    fn deliver_messages(&mut self, state: &mut LoopState<N>);
    /// Does the endpoint's steps of a turn.
    fn turn(&mut self, state: &mut LoopState<N>);
    /// When the endpoint has work even if no event comes: `Instant::ORIGIN` if now.
    fn next_work(&self, state: &LoopState<N>) -> Instant;
    /// Enters a stage of the shutdown. [`Self::advance_stage`] applies it to the peers.
    fn enter_stage(&mut self, stage: Stage, state: &mut LoopState<N>);
    /// Applies the stage of the shutdown to the next slice of the peers.
    fn advance_stage(&mut self, state: &mut LoopState<N>);
    /// Reads the TLS certificate again, for new connections. Returns whether that failed.
    fn reload(&mut self) -> bool {
        false
    }
    /// The socket that it has bound, if it has one.
    fn socket(&self) -> Option<EndpointSocket<'_, N>>;
    fn listener_mut(&mut self) -> Option<&mut N::Listener> {
        None
    }
    /// Leaves its socket to another process.
    fn hand_over(&mut self, state: &mut LoopState<N>) {
        let _ = state;
    }
    /// Whether no peer is open or pending, and no connect is queued.
    fn is_empty(&self) -> bool;
    /// The address that it listens at, if it does.
    fn local_address(&self) -> Option<&Address>;
    /// Adds the counters of the endpoint.
    fn add_to(&self, totals: &mut Totals);
    /// The port of a UDP endpoint.
    fn datagram_port(&self) -> Option<u16> {
        None
    }
    /// Refuses datagrams from these ports, on which this loop answers.
    fn refuse_own_ports(&mut self, ports: &[u16]) {
        let _ = ports;
    }
    /// What its connections are for.
    fn purpose(&self) -> EndpointPurpose {
        EndpointPurpose::Service
    }
    /// Visits peers from a slot on, at most `peers_max`. Returns the slot of the next call.
    fn peers_from(&self, slot: usize, peers_max: usize, visit: &mut dyn FnMut(PeerSnapshot)) -> Option<usize> {
        let _ = (slot, peers_max, visit);
        None
    }
    fn peer(&self, key: Key) -> Option<PeerSnapshot> {
        let _ = key;
        None
    }
    /// The limits of its peers, if it has any.
    fn limits(&self) -> Option<&Limits> {
        None
    }
    /// Changes the limits of its peers, if it has any.
    fn change_peer_limits(&mut self, limits: &Limits) {
        let _ = limits;
    }
    /// Changes the limits that it has a copy of.
    fn change_server_limits(&mut self, limits: &ServerLimits) {
        let _ = limits;
    }
    /// Changes the rates of datagrams, if it answers any.
    fn change_datagram_limits(&mut self, limits: &DatagramLimits) {
        let _ = limits;
    }
    /// Visits the group in which each of its peers counts, also of pending ones.
    fn visit_groups(&self, visit: &mut dyn FnMut(AddressGroup)) {
        let _ = visit;
    }
    fn snapshot(&self) -> EndpointSnapshot;
}

/// The socket that an endpoint has bound.
pub(super) enum EndpointSocket<'a, N: Net> {
    Listener(&'a N::Listener),
    Datagrams(&'a N::Datagrams),
}

/// A callback on one peer, on behalf of the program.
pub(super) type PeerCall<'a, S> = &'a mut dyn FnMut(&mut S, &mut <S as Service>::Peer, &mut Context<'_, S>);

/// An endpoint with its service, whatever its layer is.
pub(super) trait ServiceEndpoint<S: Service, N: Net>: AnyEndpoint<N> {
    fn service(&self) -> &S;
    fn service_mut(&mut self) -> &mut S;
    fn into_service(self: Box<Self>) -> S;
    fn counters(&self) -> &HostCounters;
    fn call(&mut self, key: Key, call: PeerCall<'_, S>, state: &mut LoopState<N>) -> Option<()>;
    fn enqueue(&mut self, to: Destination, source: Option<IpAddr>, peer: S::Peer);
    fn adopt(&mut self, stream: N::Stream, to: Destination, peer: S::Peer, state: &mut LoopState<N>)
    -> io::Result<Key>;
    /// The number of open peers.
    fn open(&self) -> usize;
    /// The number of connects in progress, including the handshake of the layer.
    fn connecting(&self) -> usize;
}

/// A place for one endpoint in the event loop. The type behind it is known from the service alone.
pub(super) trait EndpointCell<N: Net>: Any {
    fn endpoint(&self) -> &dyn AnyEndpoint<N>;
    fn endpoint_mut(&mut self) -> &mut dyn AnyEndpoint<N>;
}

/// The place of an endpoint with a service of type `S`.
pub(super) struct ServiceCell<S: Service, N: Net>(pub(super) Box<dyn ServiceEndpoint<S, N>>);

impl<S: Service + 'static, N: Net + 'static> EndpointCell<N> for ServiceCell<S, N> {
    fn endpoint(&self) -> &dyn AnyEndpoint<N> {
        &*self.0
    }

    fn endpoint_mut(&mut self) -> &mut dyn AnyEndpoint<N> {
        &mut *self.0
    }
}

/// The identifier of an endpoint in its event loop, for a service of type `S`.
///
/// It is valid only for the loop that returned it.
pub struct EndpointId<S: Service> {
    pub(super) index: usize,
    sender: Sender<S::Message>,
}

impl<S: Service> EndpointId<S> {
    pub(super) fn new(index: u8, sender: Sender<S::Message>) -> Self {
        Self { index: usize::from(index), sender }
    }

    /// Returns a sender of messages to the service, for use on any thread.
    pub fn sender(&self) -> Sender<S::Message> {
        self.sender.clone()
    }
}

impl<S: Service> Clone for EndpointId<S> {
    fn clone(&self) -> Self {
        Self { index: self.index, sender: self.sender.clone() }
    }
}

impl<S: Service> fmt::Debug for EndpointId<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EndpointId").field(&self.index).finish()
    }
}
