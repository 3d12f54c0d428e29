//! `Client`: many connections of ours on one loop, and one service for them all.
//!
//! It is the server's twin: the same machine, the same pump, the same turn, with connecting in
//! the place of accepting. It looks up no names and never tries again: who uses it decides that.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::Receiver;

use log::debug;

use crate::buffer::{Reserve, Scratch};
use crate::codec::Codec;
use crate::connection::{CloseReason, READ_LEN_MAX};
use crate::connector::{ConnectFailure, Connecting, Connector};
use crate::host::{CloseMode, Host, HostCounters};
use crate::instant::Instant;
use crate::net::pump::{self, OpenOutcome};
use crate::net::{
    AddressGroup, Budget, ConnectOptions, ControlEvent, Destination, Event, Handle, Layer, Link, MESSAGES_WAITING_MAX,
    Net, Plain, PollOutcome, Sender, Stream, TURN_BYTES, Token,
};
use crate::service::{Context, Service};
use crate::slab::Key;

use super::ClientLimits;

/// Connections begun in one turn: 32 of them take about as long as one peer's whole budget.
const CONNECT_BUDGET: usize = 32;

/// Many connections of ours on one loop.
///
/// ```no_run
/// use readyloop::client::{Client, ClientLimits};
/// use readyloop::net::Destination;
/// use readyloop::{Context, Lines, Reactor, Service};
///
/// struct Greeter;
///
/// impl Service for Greeter {
///     type Peer = ();
///     type Message = ();
///
///     fn on_open(&mut self, _: &mut (), _: &dyn std::fmt::Display, cx: &mut Context) {
///         cx.send(b"hello");
///     }
///
///     fn on_frame(&mut self, _: &mut (), reply: &[u8], cx: &mut Context) {
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
/// Over TLS it is a `Client::under` a [`TlsTarget`](crate::net::tls::TlsTarget), for one server.
pub struct Client<N: Net, S: Service, C: Codec, W: Layer<N::Stream> = Plain> {
    net: N,
    layer: W,
    now: Instant,
    scratch: Scratch,
    reserve: Reserve,
    host: Host<S, C, Link<W::Stream>>,
    options: ConnectOptions,
    /// What the last poll told.
    events: Vec<Event>,
    /// How many facts were told since a poll last told all there were; none: the last one did.
    told_in_part: Option<usize>,
    connector: Connector<S::Peer>,
    breaks: VecDeque<(Key, io::Error)>,
    notices: VecDeque<ControlEvent>,
    handle: Handle,
    sender: Sender<S::Message>,
    inbox: Receiver<S::Message>,
}

impl<N: Net, S: Service, C: Codec> Client<N, S, C> {
    /// A client without connections.
    pub fn new(net: N, codec: C, service: S, limits: ClientLimits) -> Self {
        Self::under(Plain, net, codec, service, limits)
    }
}

impl<N: Net, S: Service, C: Codec, W: Layer<N::Stream>> Client<N, S, C, W> {
    /// A client without connections, which lays `layer` over each.
    pub fn under(layer: W, net: N, codec: C, service: S, limits: ClientLimits) -> Self {
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
            told_in_part: None,
            connector: Connector::new(limits.connecting_max, limits.connect_timeout),
            breaks: VecDeque::new(),
            notices: VecDeque::new(),
            handle,
            sender,
            inbox,
        }
    }

    /// The same client, whose streams are set so; of the options, the source is that of each
    /// [`Self::connect`].
    pub fn with_options(self, options: ConnectOptions) -> Self {
        Self { options, ..self }
    }

    /// Asks for one more connection, from `source` if that matters; `peer` is what the service
    /// finds as its state in [`Service::on_open`].
    ///
    /// It begins in one of the next turns. Either the service is told that it opened, or
    /// [`Self::poll_failure`] gives `peer` back.
    pub fn connect(&mut self, to: Destination, source: Option<IpAddr>, peer: S::Peer) {
        self.connector.enqueue(to, source, peer, None);
    }

    /// Takes in a stream that somebody else has connected to `to`.
    ///
    /// It opens at once, or when the layer over it does; then as a connection of [`Self::connect`].
    ///
    /// # Errors
    /// The kernel has no room to watch it.
    pub fn adopt(&mut self, mut stream: N::Stream, to: Destination, peer: S::Peer) -> io::Result<Key> {
        let (net, layer) = (&mut self.net, &self.layer);
        let key = self.host.expect(|key| {
            net.register(&mut stream, token(key))?;
            Ok::<_, io::Error>(Link::new(layer.wrap(stream)?, AddressGroup::OURS))
        })?;
        if W::HAS_HANDSHAKE {
            self.connector.adopt(key, to, peer, self.now);
            self.host.mark(key);
        } else {
            self.host.handle_arrival(key, peer, &to, &mut self.reserve, self.now);
        }
        Ok(key)
    }

    /// One turn; it sleeps until there is something to do, but no longer than `until`.
    ///
    /// # Errors
    /// The poll itself is broken. Nothing that one peer does ends the client.
    pub fn turn(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.sleep_until_a_fact(until)?;
        self.remember_facts();
        self.begin_wanted();
        self.serve_marked();
        self.handle_deadlines();
        self.reap_closed();
        // Who uses a client asks the client for connections.
        self.host.refuse_wanted(&mut self.reserve, self.now);
        Ok(())
    }

    fn sleep_until_a_fact(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.events.clear();
        let until = self.next_work().min(until.unwrap_or(Instant::NEVER));
        let told = self.net.poll(&mut self.events, (until != Instant::NEVER).then_some(until))?;
        // The only look at the clock in a turn: all that happens in it happens at this time.
        self.now = self.net.now();
        self.told_in_part = match told {
            PollOutcome::Complete => None,
            PollOutcome::Partial => Some(self.told_in_part.unwrap_or(0) + self.events.len()),
        };
        Ok(())
    }

    /// Until when to sleep unless a fact comes; `Instant::ORIGIN`: there is work now.
    fn next_work(&self) -> Instant {
        if self.host.marked_len() > 0 {
            return Instant::ORIGIN;
        }
        self.connector.next_work().min(self.host.next_deadline().unwrap_or(Instant::NEVER))
    }

    fn remember_facts(&mut self) {
        for event in self.events.drain(..) {
            match event {
                Event::Ready(readiness) => {
                    let key = Key::from_bits(readiness.token.0);
                    self.host.handle_fact(key, |link| link.remember(&readiness));
                }
                Event::ControlEvent(ControlEvent::Wake) => {
                    // No more than can wait at once: whoever posts meanwhile wakes us again.
                    for post in self.inbox.try_iter().take(MESSAGES_WAITING_MAX) {
                        self.host.handle_message(post, &mut self.reserve, self.now);
                    }
                    self.notices.extend(self.handle.take_requests());
                }
                Event::ControlEvent(control_event) => self.notices.push_back(control_event),
            }
        }
    }

    fn begin_wanted(&mut self) {
        for _ in 0..CONNECT_BUDGET {
            let Some(wanted) = self.connector.poll_begin(self.now) else { break };
            let (net, layer, options) = (&mut self.net, &self.layer, &mut self.options);
            options.source = wanted.source;
            let begun = self.host.expect(|key| {
                let stream = net.connect(&wanted.to, options, token(key))?;
                Ok(Link::new(layer.wrap(stream)?, AddressGroup::OURS))
            });
            match begun {
                Ok(key) => self.connector.handle_begun(key, wanted, self.now),
                Err(error) => self.connector.handle_not_begun(wanted, error, self.now),
            }
        }
    }

    fn serve_marked(&mut self) {
        let marked = self.host.begin_round();
        let mut budget = Budget::new(TURN_BYTES, marked);
        for _ in 0..marked {
            if budget.is_spent() {
                break;
            }
            let Some(key) = self.host.pop_marked() else { break };
            match self.host.expected(key) {
                Some(link) => match self.net.is_connected(self.layer.inner(link.stream_mut())) {
                    Ok(true) => self.handle_connected(key, &mut budget),
                    Ok(false) => {}
                    Err(error) => self.give_up(key, error),
                },
                None => self.serve(key, &mut budget),
            }
        }
    }

    /// The connection is there; what lies over it may still have to open.
    fn handle_connected(&mut self, key: Key, budget: &mut Budget) {
        let opened = match self.host.expected(key) {
            Some(link) if W::HAS_HANDSHAKE => link.open(&self.layer),
            Some(_) | None => OpenOutcome::Open,
        };
        match opened {
            OpenOutcome::Open => self.handle_arrival(key, budget),
            OpenOutcome::WouldBlock => {}
            OpenOutcome::Failed(_, error) => self.give_up(key, error),
        }
    }

    fn serve(&mut self, key: Key, budget: &mut Budget) {
        pump::serve(&mut self.host, key, budget, &mut self.scratch, &mut self.reserve, self.now);
    }

    fn handle_arrival(&mut self, key: Key, budget: &mut Budget) {
        let Some(Connecting { to, peer, .. }) = self.connector.take(key) else { return };
        debug!("peer {key:?} at {to}");
        self.host.handle_arrival(key, peer, &to, &mut self.reserve, self.now);
        self.serve(key, budget);
    }

    fn give_up(&mut self, key: Key, error: io::Error) {
        self.host.dismiss(key);
        self.connector.handle_failure(key, error);
    }

    fn handle_deadlines(&mut self) {
        // As for a server: who looks late may have been heard of in a fact that is still to be told.
        self.told_in_part.take_if(|told| *told > self.host.len() + 1);
        if self.told_in_part.is_some() {
            return;
        }
        self.host.handle_deadlines(&mut self.reserve, self.now);
        while let Some(key) = self.connector.poll_late(self.now) {
            self.host.dismiss(key);
        }
    }

    fn reap_closed(&mut self) {
        let Self { host, layer, breaks, reserve, now, .. } = self;
        host.reap_closed(reserve, *now, |key, link, reason, close_mode| {
            debug!("peer {key:?} closed: {reason}");
            let mut stream = link.into_stream();
            breaks.extend(layer.failure(&stream).map(|error| (key, error)));
            if close_mode == CloseMode::Reset
                && let Err(error) = stream.reset_on_drop()
            {
                debug!("peer {key:?} was gone before its reset: {error}");
            }
        });
    }

    /// Calls on behalf of one peer, between turns: what is sent leaves with the next one.
    ///
    /// `None`, and nothing is called, when there is no such peer (any more, or yet).
    pub fn call(&mut self, key: Key, call: impl FnOnce(&mut S, &mut S::Peer, &mut Context<'_, '_>)) -> Option<()> {
        self.host.call(key, &mut self.reserve, self.now, call)
    }

    /// The next connection that did not come about and was not told yet.
    pub fn poll_failure(&mut self) -> Option<ConnectFailure<S::Peer>> {
        self.connector.poll_failure()
    }

    /// The next peer that was closed because the layer over its stream failed, and was not told yet.
    pub fn poll_break(&mut self) -> Option<(Key, io::Error)> {
        self.breaks.pop_front()
    }

    /// The next notice, a signal's or a handle's, that was not told yet. The client itself obeys none.
    pub fn poll_notice(&mut self) -> Option<ControlEvent> {
        self.notices.pop_front()
    }

    /// Ends all peers now, and connects to nobody any more: the turn that follows is the last with
    /// anything to do. Connections not through yet are dropped without a word.
    pub fn stop(&mut self) {
        for key in self.connector.clear() {
            self.host.dismiss(key);
        }
        self.host.tell_all(&mut self.reserve, self.now, |peer, _| peer.connection.handle_error(CloseReason::Stopped));
    }

    /// Whether nothing is open, under way or wanted.
    pub fn is_idle(&self) -> bool {
        self.host.is_empty() && self.connector.wanted() == 0
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.host.len() - self.connector.connecting()
    }

    /// How many connections are under way.
    pub fn connecting(&self) -> usize {
        self.connector.connecting()
    }

    /// The service.
    pub fn service(&self) -> &S {
        self.host.service()
    }

    /// The service, to be told or asked something between turns.
    pub fn service_mut(&mut self) -> &mut S {
        self.host.service_mut()
    }

    /// The service, when the client has done its part.
    pub fn into_service(self) -> S {
        self.host.into_service()
    }

    /// What happened so far to those that were opened.
    pub fn counters(&self) -> &HostCounters {
        self.host.counters()
    }

    /// The time of this turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What other threads wake this client with; what they ask for comes out of [`Self::poll_notice`].
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Posts to the service, from any thread.
    pub fn sender(&self) -> Sender<S::Message> {
        self.sender.clone()
    }

    /// The net this client runs over.
    pub fn net(&self) -> &N {
        &self.net
    }
}

fn token(key: Key) -> Token {
    Token(key.to_bits())
}

#[cfg(test)]
mod tests;
