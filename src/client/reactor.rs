//! [`Client`]: many outbound connections on one event loop, with one service for all.
//!
//! It uses the same connection machine, pump and turn as the server, with connecting in place of
//! accepting. It looks up no names and does not retry; that is up to its caller.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::Receiver;

use log::debug;

use crate::buffer::{Reserve, Scratch};
use crate::connection::{CloseReason, READ_LEN_MAX};
use crate::connector::{Connecting, Connector};
use crate::host::{CloseMode, Host, HostCounters};
use crate::instant::Instant;
use crate::net::pump::{self, OpenOutcome};
use crate::net::{
    AddressGroup, Budget, ConnectOptions, ControlEvent, Destination, Event, Handle, Layer, Link, MESSAGES_WAITING_MAX,
    Net, Plain, PollOutcome, Sender, Stream, TURN_BYTES, Token,
};
use crate::service::{ConnectFailure, Context, Role, Service};
use crate::slab::Key;

use super::limits::ClientLimits;

/// The most connects started in one turn; they take about as long as one peer's budget.
const CONNECT_BUDGET: usize = 32;

/// Many outbound connections on one event loop.
///
/// ```no_run
/// use readyloop::client::{Client, ClientLimits};
/// use readyloop::net::Destination;
/// use readyloop::service::PeerInfo;
/// use readyloop::{Context, Lines, Reactor, Service};
///
/// struct Greeter;
///
/// impl Service for Greeter {
///     type Codec = Lines;
///     type Peer = ();
///     type Message = ();
///
///     fn on_open(&mut self, _: &mut (), _: &PeerInfo, cx: &mut Context<Self>) {
///         cx.send(b"hello");
///     }
///
///     fn on_frame(&mut self, _: &mut (), reply: &[u8], cx: &mut Context<Self>) {
///         println!("{}", String::from_utf8_lossy(reply));
///         cx.finish();
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut client = Client::new(Reactor::new()?, Lines::new(), Greeter, ClientLimits::default());
/// for _ in 0..10_000 {
///     client.connect(Destination::Tcp(([127, 0, 0, 1], 7007).into()), None, ());
/// }
/// while !client.is_idle() {
///     client.turn(None)?;
///     while let Some(failure) = client.poll_failure() {
///         eprintln!("{}: {}", failure.to, failure.error);
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// For TLS to one server, use [`Client::with_layer`] and a [`TlsTarget`](crate::net::tls::TlsTarget).
pub struct Client<N: Net, S: Service, W: Layer<N::Stream> = Plain> {
    net: N,
    layer: W,
    now: Instant,
    scratch: Scratch,
    reserve: Reserve,
    host: Host<S, Link<W::Stream>>,
    options: ConnectOptions,
    /// The events of the last poll.
    events: Vec<Event>,
    /// The number of events since the last complete poll; `None` if the last poll was complete.
    partial_events: Option<usize>,
    connector: Connector<S::Peer>,
    layer_errors: VecDeque<(Key, io::Error)>,
    control_events: VecDeque<ControlEvent>,
    handle: Handle,
    sender: Sender<S::Message>,
    inbox: Receiver<S::Message>,
}

impl<N: Net, S: Service> Client<N, S> {
    /// A client without connections.
    pub fn new(net: N, codec: S::Codec, service: S, limits: ClientLimits) -> Self {
        Self::with_layer(Plain, net, codec, service, limits)
    }
}

impl<N: Net, S: Service, W: Layer<N::Stream>> Client<N, S, W> {
    /// A client without connections that wraps each connection in `layer`.
    pub fn with_layer(layer: W, net: N, codec: S::Codec, service: S, limits: ClientLimits) -> Self {
        let handle = Handle::new(net.wake());
        let (sender, inbox) = handle.channel();
        Self {
            now: net.now(),
            net,
            layer,
            scratch: Scratch::new(READ_LEN_MAX),
            reserve: Reserve::new(limits.queue_total_max),
            host: Host::new(service, codec, limits.peer.clone()),
            options: ConnectOptions::default(),
            events: Vec::new(),
            partial_events: None,
            connector: Connector::new(limits.connecting_max, limits.connect_timeout),
            layer_errors: VecDeque::new(),
            control_events: VecDeque::new(),
            handle,
            sender,
            inbox,
        }
    }

    /// Sets the options of all connections started later, except the source address: each call of
    /// [`Self::connect`] has its own.
    pub fn with_options(self, options: ConnectOptions) -> Self {
        Self { options, ..self }
    }

    /// Requests a connection, from the local address `source` if one is given. `peer` becomes the
    /// service's state of the connection.
    ///
    /// The connect starts in one of the next turns. Exactly one of two things follows:
    /// [`Service::on_open`] is called, or [`Self::poll_failure`] returns `peer`. [`Self::stop`] drops
    /// pending connects without either.
    pub fn connect(&mut self, to: Destination, source: Option<IpAddr>, peer: S::Peer) {
        self.connector.enqueue(to, source, peer, None);
    }

    /// Adopts a stream that was connected to `to` elsewhere.
    ///
    /// It opens at once, or after the handshake of the layer.
    ///
    /// # Errors
    /// The kernel has no resources to watch it, or the layer cannot wrap it.
    pub fn adopt(&mut self, mut stream: N::Stream, to: Destination, peer: S::Peer) -> io::Result<Key> {
        let (net, layer) = (&mut self.net, &self.layer);
        let key = self.host.insert_pending(|key| {
            net.register(&mut stream, token(key))?;
            Ok::<_, io::Error>(Link::new(layer.wrap(stream)?, AddressGroup::OURS))
        })?;
        if W::HAS_HANDSHAKE {
            self.connector.adopt(key, to, peer, self.now);
            self.host.mark(key);
        } else {
            self.host.handle_opened(key, peer, (to.peer_address(), Role::Connected), &mut self.reserve, self.now);
        }
        Ok(key)
    }

    /// One turn of the event loop. It sleeps until there is work, at most until `until`.
    ///
    /// # Errors
    /// The poll itself is broken. A failure of one peer is never an error of the client.
    pub fn turn(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.poll(until)?;
        self.dispatch_events();
        self.start_connects();
        self.serve_marked();
        self.handle_deadlines();
        self.reap_closed();
        // The service of a client cannot order connections; the program calls `connect`.
        self.host.refuse_connects(self.now);
        let mut allowance = Budget::new(TURN_BYTES, 0, &self.reserve).orders;
        self.host.apply_orders(&mut self.reserve, self.now, &mut allowance, pump::write_queued);
        Ok(())
    }

    fn poll(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.events.clear();
        let until = self.next_work().min(until.unwrap_or(Instant::NEVER));
        let outcome = self.net.poll(&mut self.events, (until != Instant::NEVER).then_some(until))?;
        // The clock is read once a turn, so everything in the turn happens at the same time.
        self.now = self.net.now();
        self.partial_events = match outcome {
            PollOutcome::Complete => None,
            PollOutcome::Partial => Some(self.partial_events.unwrap_or(0) + self.events.len()),
        };
        Ok(())
    }

    /// When the next work is due without an event; `Instant::ORIGIN` if there is work now.
    fn next_work(&self) -> Instant {
        if self.host.marked_len() > 0 || self.host.has_orders() {
            return Instant::ORIGIN;
        }
        self.connector.next_work().min(self.host.next_deadline().unwrap_or(Instant::NEVER))
    }

    fn dispatch_events(&mut self) {
        for event in self.events.drain(..) {
            match event {
                Event::Ready(readiness) => {
                    let key = Key::from_bits(readiness.token.0);
                    self.host.handle_event(key, |link| link.remember(&readiness));
                }
                Event::Control(ControlEvent::Wake) => {
                    // At most one full inbox: a message sent meanwhile wakes the loop again.
                    for message in self.inbox.try_iter().take(MESSAGES_WAITING_MAX) {
                        self.host.handle_message(message, self.now);
                    }
                    self.control_events.extend(self.handle.take_requests());
                }
                Event::Control(control_event) => self.control_events.push_back(control_event),
            }
        }
    }

    fn start_connects(&mut self) {
        for _ in 0..CONNECT_BUDGET {
            let Some(pending) = self.connector.poll_start(self.now) else { break };
            let (net, layer, options) = (&mut self.net, &self.layer, &mut self.options);
            options.source = pending.source;
            let started = self.host.insert_pending(|key| {
                let stream = net.connect(&pending.to, options, token(key))?;
                Ok(Link::new(layer.wrap(stream)?, AddressGroup::OURS))
            });
            match started {
                Ok(key) => self.connector.handle_started(key, pending, self.now),
                Err(error) => self.connector.handle_start_failed(pending, error, self.now),
            }
        }
    }

    fn serve_marked(&mut self) {
        let marked = self.host.begin_round();
        let mut budget = Budget::new(TURN_BYTES, marked, &self.reserve);
        for _ in 0..marked {
            if budget.is_spent(&self.reserve) {
                break;
            }
            let Some(key) = self.host.pop_marked() else { break };
            match self.host.pending(key) {
                Some(link) => match self.net.is_connected(self.layer.inner(link.stream_mut())) {
                    Ok(true) => self.handle_connected(key, &mut budget),
                    Ok(false) => {}
                    Err(error) => self.fail_connect(key, error),
                },
                None => self.serve(key, &mut budget),
            }
        }
    }

    /// The connection is established. The handshake of the layer may still be needed.
    fn handle_connected(&mut self, key: Key, budget: &mut Budget) {
        let outcome = match self.host.pending(key) {
            Some(link) if W::HAS_HANDSHAKE => link.open(&self.layer),
            Some(_) | None => OpenOutcome::Open,
        };
        match outcome {
            OpenOutcome::Open => self.open_peer(key, budget),
            OpenOutcome::WouldBlock => {}
            OpenOutcome::Failed(_, error) => self.fail_connect(key, error),
        }
    }

    fn serve(&mut self, key: Key, budget: &mut Budget) {
        pump::serve(&mut self.host, key, budget, &mut self.scratch, &mut self.reserve, self.now);
    }

    fn open_peer(&mut self, key: Key, budget: &mut Budget) {
        let Some(Connecting { to, peer, .. }) = self.connector.take(key) else { return };
        debug!("opened {key} {to}");
        self.host.handle_opened(key, peer, (to.peer_address(), Role::Connected), &mut self.reserve, self.now);
        self.serve(key, budget);
    }

    fn fail_connect(&mut self, key: Key, error: io::Error) {
        self.host.remove_pending(key);
        self.connector.handle_failure(key, error);
    }

    fn handle_deadlines(&mut self) {
        // After a partial poll, an event that is still pending may belong to a peer that looks idle.
        // Expire nothing until every peer and the waker may have had their event.
        self.partial_events.take_if(|count| *count > self.host.len() + 1);
        if self.partial_events.is_some() {
            return;
        }
        self.host.handle_deadlines(&mut self.reserve, self.now);
        while let Some(key) = self.connector.poll_timed_out(self.now) {
            self.host.remove_pending(key);
        }
    }

    fn reap_closed(&mut self) {
        let Self { host, layer, layer_errors, reserve, now, .. } = self;
        host.reap_closed(reserve, *now, |key, link, reason, close_mode| {
            debug!("closed {key}: {reason}");
            let mut stream = link.into_stream();
            layer_errors.extend(layer.failure(&stream).map(|error| (key, error)));
            if close_mode == CloseMode::Reset
                && let Err(error) = stream.reset_on_drop()
            {
                debug!("cannot reset {key}: {error}");
            }
        });
    }

    /// Calls `call` with the service, the state and the context of one peer, between two turns. The
    /// next turn sends what it queues. Returns `None`, without the call, if the peer is not open.
    pub fn call(&mut self, key: Key, call: impl FnOnce(&mut S, &mut S::Peer, &mut Context<'_, S>)) -> Option<()> {
        self.host.call(key, &mut self.reserve, self.now, call)
    }

    /// The next failed connect that was not returned yet.
    pub fn poll_failure(&mut self) -> Option<ConnectFailure<S::Peer>> {
        self.connector.poll_failure()
    }

    /// The next peer that was closed because its layer failed, and that was not returned yet.
    pub fn poll_layer_error(&mut self) -> Option<(Key, io::Error)> {
        self.layer_errors.pop_front()
    }

    /// The next control event, from a signal or a handle, that was not returned yet. The client
    /// itself acts on none.
    pub fn poll_control_event(&mut self) -> Option<ControlEvent> {
        self.control_events.pop_front()
    }

    /// Closes all peers with [`CloseReason::Stopped`] in the next turn. Drops pending and in-progress
    /// connects without a callback or a failure.
    pub fn stop(&mut self) {
        for key in self.connector.clear() {
            self.host.remove_pending(key);
        }
        self.host.for_peers_from(0, usize::MAX, &mut self.reserve, self.now, |peer, _| {
            peer.connection.handle_error(CloseReason::Stopped);
        });
    }

    /// Whether nothing is open, connecting or waiting to connect.
    pub fn is_idle(&self) -> bool {
        self.host.is_empty() && self.connector.pending() == 0
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.host.len() - self.connector.connecting()
    }

    /// How many connections are connecting, including the handshake of the layer.
    pub fn connecting(&self) -> usize {
        self.connector.connecting()
    }

    /// The service.
    pub fn service(&self) -> &S {
        self.host.service()
    }

    /// The service, to be changed between turns.
    pub fn service_mut(&mut self) -> &mut S {
        self.host.service_mut()
    }

    /// The service, at the end of the client.
    pub fn into_service(self) -> S {
        self.host.into_service()
    }

    /// The counters of the connections opened so far.
    pub fn counters(&self) -> &HostCounters {
        self.host.counters()
    }

    /// The time of this turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A handle for other threads. [`Self::poll_control_event`] returns their requests.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Sends messages to the service, from any thread.
    pub fn sender(&self) -> Sender<S::Message> {
        self.sender.clone()
    }

    /// The net that this client uses.
    pub fn net(&self) -> &N {
        &self.net
    }
}

fn token(key: Key) -> Token {
    Token(key.to_bits())
}

#[cfg(test)]
mod tests;
