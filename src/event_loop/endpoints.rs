//! The endpoints of a loop: how they are added, and what a program does with their services.

use std::any::Any;
use std::io;
use std::net::IpAddr;

use crate::admission::{EndpointPurpose, Listen};
use crate::connection::Limits;
use crate::datagram::{DatagramLimits, DatagramService};
use crate::destination::Destination;
use crate::host::{Host, HostCounters};
#[cfg(feature = "tls")]
use crate::net::tls::{TlsLayer, TlsTarget};
use crate::net::{Address, ConnectOptions, DatagramOptions, Layer, Net, Plain, Sender};
#[cfg(feature = "proxy-protocol")]
use crate::net::{ProxyLayer, TrustedProxies};
use crate::service::{Context, Service};
use crate::slab::Key;

use super::any_endpoint::{AnyEndpoint, EndpointCell, EndpointId, ServiceCell, ServiceEndpoint};
use super::datagrams::DatagramEndpoint;
use super::endpoint::Endpoint;
use super::loop_state::LoopState;
use super::token::listener_token;
use super::{EventLoop, ListenError};

/// Most endpoints of a loop. The index must fit one byte of a token. Own sources use the last value.
const ENDPOINTS_MAX: u8 = u8::MAX;

const OWN_ID: &str = "the identifier belongs to this loop";

/// The settings of an endpoint that only connects.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    /// Limits of each peer.
    pub limits: Limits,
    /// Options of the sockets. [`EventLoop::connect`] has a source address of its own.
    pub socket: ConnectOptions,
    /// TLS to the servers; `None` for plain connections.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsTarget>,
}

#[cfg(feature = "tls")]
impl From<TlsTarget> for Dial {
    fn from(tls: TlsTarget) -> Self {
        Self { tls: Some(tls), ..Self::default() }
    }
}

/// The parts of a new endpoint that do not depend on its service.
struct Setup<N: Net> {
    index: u8,
    listener: Option<(N::Listener, Address)>,
    purpose: EndpointPurpose,
    limits: Limits,
    socket: ConnectOptions,
    #[cfg(feature = "proxy-protocol")]
    proxy: Option<TrustedProxies>,
    #[cfg(feature = "tls")]
    tls: TlsLayer,
}

impl<N: Net + 'static> EventLoop<N> {
    /// Adds an endpoint that listens for connections and serves them with `service`.
    ///
    /// `listen` is a text such as `"127.0.0.1:7007"`, an [`Address`] or a [`Listen`].
    ///
    /// # Errors
    /// The address is not valid, cannot be resolved or cannot be bound; a `tls://` address has no
    /// certificate; or the loop has 255 endpoints already.
    pub fn listen<S: Service + 'static>(
        &mut self,
        listen: impl TryInto<Listen, Error: Into<ListenError>>,
        codec: S::Codec,
        service: S,
    ) -> Result<EndpointId<S>, ListenError> {
        self.listen_with(listen, codec, |_| service)
    }

    /// Adds an endpoint as [`Self::listen`] does. `service` makes the service from its own sender.
    ///
    /// # Errors
    /// As [`Self::listen`].
    pub fn listen_with<S: Service + 'static>(
        &mut self,
        listen: impl TryInto<Listen, Error: Into<ListenError>>,
        codec: S::Codec,
        service: impl FnOnce(Sender<S::Message>) -> S,
    ) -> Result<EndpointId<S>, ListenError> {
        let listen = listen.try_into().map_err(Into::into)?;
        let Listen { address, socket, limits, purpose, .. } = listen;
        #[cfg(feature = "tls")]
        let tls = {
            let is_tls = matches!(address, Address::Tls(_));
            TlsLayer { accept: listen.tls.filter(|_| is_tls), connect: listen.connect_tls }
        };
        match &address {
            Address::Tcp(_) | Address::Unix(_) => {}
            Address::Udp(_) => return Err(ListenError::WrongKind(address)),
            #[cfg(feature = "tls")]
            Address::Tls(_) if tls.accept.is_some() => {}
            #[cfg(feature = "tls")]
            Address::Tls(_) => return Err(ListenError::NoCertificate(address)),
            #[cfg(not(feature = "tls"))]
            Address::Tls(_) => return Err(ListenError::NoTls(address)),
        }
        let index = self.next_index()?;
        let (net, token) = (&mut self.state.net, listener_token(index));
        let bound = match purpose {
            EndpointPurpose::Service => net.listen(&address, &socket, token),
            EndpointPurpose::Administration => net.listen_unrecorded(&address, &socket, token),
        };
        let listener = bound.map_err(|error| ListenError::of(&address, error))?;
        let address = self.state.net.local_address(&listener);
        let setup = Setup {
            index,
            listener: Some((listener, address)),
            purpose,
            limits,
            socket: ConnectOptions::default(),
            #[cfg(feature = "proxy-protocol")]
            proxy: listen.proxy,
            #[cfg(feature = "tls")]
            tls,
        };
        Ok(self.add(setup, codec, service))
    }

    /// Adds an endpoint that only connects. Its service or [`Self::connect`] orders the connections.
    ///
    /// # Errors
    /// The loop has 255 endpoints already.
    pub fn dial<S: Service + 'static>(
        &mut self,
        dial: Dial,
        codec: S::Codec,
        service: S,
    ) -> Result<EndpointId<S>, ListenError> {
        let setup = Setup {
            index: self.next_index()?,
            listener: None,
            purpose: EndpointPurpose::Service,
            limits: dial.limits,
            socket: dial.socket,
            #[cfg(feature = "proxy-protocol")]
            proxy: None,
            #[cfg(feature = "tls")]
            tls: TlsLayer { accept: None, connect: dial.tls },
        };
        Ok(self.add(setup, codec, |_| service))
    }

    fn add<S: Service + 'static>(
        &mut self,
        setup: Setup<N>,
        codec: S::Codec,
        service: impl FnOnce(Sender<S::Message>) -> S,
    ) -> EndpointId<S> {
        #[cfg(feature = "proxy-protocol")]
        if let Some(trusted) = setup.proxy.clone() {
            #[cfg(feature = "tls")]
            let above = setup.tls.clone();
            #[cfg(not(feature = "tls"))]
            let above = Plain;
            let layer = self.state.net.prepare_layer(ProxyLayer { trusted, above });
            return self.add_layered(setup, layer, codec, service);
        }
        #[cfg(feature = "tls")]
        if setup.tls.accept.is_some() || setup.tls.connect.is_some() {
            let layer = self.state.net.prepare_layer(setup.tls.clone());
            return self.add_layered(setup, layer, codec, service);
        }
        self.add_layered(setup, Plain, codec, service)
    }

    fn add_layered<S: Service + 'static, W: Layer<N::Stream> + 'static>(
        &mut self,
        setup: Setup<N>,
        layer: W,
        codec: S::Codec,
        service: impl FnOnce(Sender<S::Message>) -> S,
    ) -> EndpointId<S> {
        let (sender, inbox) = self.handle.channel();
        let host = Host::new(service(sender.clone()), codec, setup.limits).with_first_generation(self.first_generation);
        let Setup { index, listener, purpose, socket, .. } = setup;
        let endpoint = Endpoint::new(index, layer, host, &self.limits, inbox, listener, socket).with_purpose(purpose);
        self.insert(ServiceCell::<S, N>(Box::new(endpoint)));
        EndpointId::new(index, sender)
    }

    /// Adds an endpoint that answers datagrams, and returns the address that it is bound to.
    ///
    /// Datagrams are independent of each other and open no peer.
    ///
    /// # Errors
    /// The address is not a `udp://` one or cannot be bound, or the loop has 255 endpoints already.
    pub fn listen_datagrams<S: DatagramService + 'static>(
        &mut self,
        address: &Address,
        options: &DatagramOptions,
        limits: DatagramLimits,
        service: S,
    ) -> Result<Address, ListenError> {
        let index = self.next_index()?;
        if !matches!(address, Address::Udp(_)) {
            return Err(ListenError::WrongKind(address.clone()));
        }
        let bound = self.state.net.bind(address, options, listener_token(index));
        let (socket, bound) = bound.map_err(|error| ListenError::of(address, error))?;
        self.insert(DatagramEndpoint::new(index, bound, socket, service, limits));
        let ports: Vec<u16> = self.all_endpoints().filter_map(AnyEndpoint::datagram_port).collect();
        self.endpoints.iter_mut().for_each(|cell| cell.endpoint_mut().refuse_own_ports(&ports));
        Ok(Address::Udp(bound.to_string()))
    }

    /// Adds an endpoint. If a shutdown has begun, the endpoint takes part in it.
    fn insert(&mut self, mut cell: impl EndpointCell<N>) {
        if cell.endpoint().purpose() == EndpointPurpose::Service {
            cell.endpoint_mut().enter_stage(self.shutdown.stage(), &mut self.state);
        }
        self.endpoints.push(Box::new(cell));
    }

    fn next_index(&self) -> Result<u8, ListenError> {
        let index = u8::try_from(self.endpoints.len()).ok().filter(|index| *index < ENDPOINTS_MAX);
        index.ok_or(ListenError::TooManyEndpoints)
    }

    fn endpoint<S: Service + 'static>(&self, id: &EndpointId<S>) -> &dyn ServiceEndpoint<S, N> {
        let cell: &dyn Any = &*self.endpoints[id.index];
        &*cell.downcast_ref::<ServiceCell<S, N>>().expect(OWN_ID).0
    }

    /// An endpoint, and the state of the loop for it.
    pub(super) fn endpoint_mut<S: Service + 'static>(
        &mut self,
        id: &EndpointId<S>,
    ) -> (&mut dyn ServiceEndpoint<S, N>, &mut LoopState<N>) {
        let cell: &mut dyn Any = &mut *self.endpoints[id.index];
        (&mut *cell.downcast_mut::<ServiceCell<S, N>>().expect(OWN_ID).0, &mut self.state)
    }

    /// The address that an endpoint listens at, with the actual port.
    ///
    /// # Panics
    /// The endpoint only connects, or belongs to another loop.
    pub fn local_address<S: Service + 'static>(&self, id: &EndpointId<S>) -> &Address {
        self.endpoint(id).local_address().expect("the endpoint listens")
    }

    /// The service of an endpoint.
    ///
    /// # Panics
    /// The endpoint belongs to another loop. This holds for every method that takes an [`EndpointId`].
    pub fn service<S: Service + 'static>(&self, id: &EndpointId<S>) -> &S {
        self.endpoint(id).service()
    }

    /// The service of an endpoint, for changes between turns.
    pub fn service_mut<S: Service + 'static>(&mut self, id: &EndpointId<S>) -> &mut S {
        self.endpoint_mut(id).0.service_mut()
    }

    /// Ends the loop and returns the service of an endpoint. Open peers are dropped without a callback.
    pub fn into_service<S: Service + 'static>(mut self, id: EndpointId<S>) -> S {
        let cell: Box<dyn Any> = self.endpoints.swap_remove(id.index);
        let cell = cell.downcast::<ServiceCell<S, N>>().expect(OWN_ID);
        cell.0.into_service()
    }

    /// The counters of the peers of one endpoint.
    pub fn counters<S: Service + 'static>(&self, id: &EndpointId<S>) -> &HostCounters {
        self.endpoint(id).counters()
    }

    /// The number of open peers of one endpoint.
    pub fn open<S: Service + 'static>(&self, id: &EndpointId<S>) -> usize {
        self.endpoint(id).open()
    }

    /// The number of connects in progress of one endpoint, including the handshake of its layer.
    pub fn connecting<S: Service + 'static>(&self, id: &EndpointId<S>) -> usize {
        self.endpoint(id).connecting()
    }

    /// Requests a connection from an endpoint, from the local address `source` if one is given. `peer`
    /// becomes the service's state of the connection.
    ///
    /// The connect starts in one of the next turns. Exactly one of two callbacks follows:
    /// [`Service::on_open`], or [`Service::on_connect_failed`] with `peer`.
    pub fn connect<S: Service + 'static>(
        &mut self,
        id: &EndpointId<S>,
        to: impl Into<Destination>,
        source: Option<IpAddr>,
        peer: S::Peer,
    ) {
        self.endpoint_mut(id).0.enqueue(to.into(), source, peer);
    }

    /// Adopts a stream that was connected to `to` elsewhere.
    ///
    /// Its peer opens at once, or after the handshake of the layer.
    ///
    /// # Errors
    /// The kernel has no resources to watch it, the layer cannot wrap it, or the loop is full.
    pub fn adopt<S: Service + 'static>(
        &mut self,
        id: &EndpointId<S>,
        stream: N::Stream,
        to: Destination,
        peer: S::Peer,
    ) -> io::Result<Key> {
        let (endpoint, state) = self.endpoint_mut(id);
        endpoint.adopt(stream, to, peer, state)
    }

    /// Calls `call` with the service, the state and the context of one peer, between two turns. The
    /// next turn sends what it queues. Returns `None`, without the call, if the peer is not open.
    pub fn call<S: Service + 'static>(
        &mut self,
        id: &EndpointId<S>,
        key: Key,
        call: impl FnOnce(&mut S, &mut S::Peer, &mut Context<'_, S>),
    ) -> Option<()> {
        let mut call = Some(call);
        let mut call_once = |service: &mut S, peer: &mut S::Peer, cx: &mut Context<'_, S>| {
            if let Some(call) = call.take() {
                call(service, peer, cx);
            }
        };
        let (endpoint, state) = self.endpoint_mut(id);
        endpoint.call(key, &mut call_once, state)
    }
}
