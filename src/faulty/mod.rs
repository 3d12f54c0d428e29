//! Faults in a real server: [`Faulty`] is a layer over any [`Net`] that injects faults into its calls.
//!
//! The same loop that ships then meets short reads and writes, false `WouldBlock`, resets, failed accepts and late
//! events over real sockets. That is for learning, and for tests of the clients of a server. A [`FaultPlan`]
//! has the probability of each kind and a seed. The same seed and the same calls give the same faults.
//!
//! ```no_run
//! use readyloop::faulty::Faulty;
//! use readyloop::{Lines, Reactor, Server, ServerLimits, service::Echo};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let net = Faulty::new(Reactor::new()?, "short-read=0.3,reset=0.001,seed=7".parse()?);
//!     let mut server = Server::new(net, ServerLimits::default());
//!     server.listen("127.0.0.1:7007", Lines::new(), Echo::new())?;
//!     server.run()?;
//!     println!("{}", server.net().injected());
//!     Ok(())
//! }
//! ```

mod injector;
mod plan;
mod sockets;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use libc::{ENOMEM, ENOSPC};

use crate::instant::Instant;
use crate::net::{
    Address, ConnectOptions, ControlEvent, DatagramOptions, Destination, Event, Handle, Layer, ListenOptions, Net,
    PeerAddress, PollOutcome, Reactor, Stream as _, SystemNet, Token, Wake,
};
use crate::service::Service;
use crate::sim::{ACCEPT_ERRORS, BacklogEffect};

use injector::SharedInjector;
use sockets::SocketFaults;

pub use plan::{FaultKind, FaultPlan, FaultPlanError, InjectedFaults};
pub use sockets::{FaultyDatagrams, FaultyListener, FaultyStream};

/// A network that injects faults into the calls of another network.
///
/// Every fault is one that [`Net`] allows, so a correct loop loses nothing by the faults that cost only time. The
/// readiness that a false `WouldBlock`, a short read or a short write hides is reported by the next poll. The call after
/// a false `WouldBlock` or `Interrupted` has no second one, so no probability makes a loop spin. It may still be short,
/// or find its connection broken.
#[derive(Debug)]
pub struct Faulty<N> {
    net: N,
    shared: SharedInjector,
}

impl<N: Net> Faulty<N> {
    /// Injects the faults of this plan into the calls of `net`.
    pub fn new(net: N, plan: FaultPlan) -> Self {
        Self { net, shared: SharedInjector::new(plan) }
    }

    /// How often each kind of fault was injected.
    pub fn injected(&self) -> InjectedFaults {
        self.shared.lock().injected().clone()
    }

    /// The faults of a new socket.
    fn socket_faults(&self, token: Option<Token>) -> SocketFaults {
        if let Some(token) = token {
            self.shared.lock().add_token(token);
        }
        SocketFaults::new(self.shared.clone(), token)
    }

    /// May fail an accept with one of the errors of accept(2). Some of them remove a connection from the backlog.
    fn fail_accept(&mut self, listener: &mut N::Listener) -> io::Result<()> {
        let now = self.net.now();
        let mut injector = self.shared.lock();
        if let Some(errno) = injector.accept_outage(now) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        if !injector.is_drawn(FaultKind::AcceptError) {
            return Ok(());
        }
        let (errno, _, effect) = injector.pick(ACCEPT_ERRORS);
        match effect {
            BacklogEffect::Kept => {}
            BacklogEffect::Removed => self.net.accept(listener)?.0.reset_on_drop()?,
        }
        injector.count(FaultKind::AcceptError);
        Err(io::Error::from_raw_os_error(errno))
    }
}

impl<N: Net> Net for Faulty<N> {
    type Stream = FaultyStream<N::Stream>;
    type Listener = FaultyListener<N::Listener>;
    type Datagrams = FaultyDatagrams<N::Datagrams>;
    type Layered<W: Layer<Self::Stream> + 'static> = W;

    fn prepare_layer<W: Layer<Self::Stream> + 'static>(&self, layer: W) -> W {
        layer
    }

    fn now(&self) -> Instant {
        self.net.now()
    }

    fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> io::Result<PollOutcome> {
        let first = events.len();
        let next_at = self.shared.lock().next_at();
        let until = until.into_iter().chain(next_at).min();
        let outcome = self.net.poll(events, until)?;
        self.shared.lock().change_events(events, first, self.net.now());
        Ok(outcome)
    }

    fn listen(&mut self, address: &Address, options: &ListenOptions, token: Token) -> io::Result<Self::Listener> {
        let listener = self.net.listen(address, options, token)?;
        Ok(FaultyListener { listener, faults: self.socket_faults(Some(token)) })
    }

    fn listen_unrecorded(
        &mut self,
        address: &Address,
        options: &ListenOptions,
        token: Token,
    ) -> io::Result<Self::Listener> {
        let listener = self.net.listen_unrecorded(address, options, token)?;
        Ok(FaultyListener { listener, faults: self.socket_faults(Some(token)) })
    }

    fn bind(
        &mut self,
        address: &Address,
        options: &DatagramOptions,
        token: Token,
    ) -> io::Result<(Self::Datagrams, SocketAddr)> {
        let (socket, bound) = self.net.bind(address, options, token)?;
        Ok((FaultyDatagrams { socket, faults: self.socket_faults(Some(token)) }, bound))
    }

    fn local_address(&self, listener: &Self::Listener) -> Address {
        self.net.local_address(&listener.listener)
    }

    fn hand_over(&mut self, listener: &mut Self::Listener) {
        self.net.hand_over(&mut listener.listener);
    }

    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Stream, PeerAddress)> {
        self.fail_accept(&mut listener.listener)?;
        listener.faults.delay_accept()?;
        let (stream, address) = self.net.accept(&mut listener.listener)?;
        Ok((FaultyStream::new(stream, self.socket_faults(None)), address))
    }

    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()> {
        let mut injector = self.shared.lock();
        if injector.inject(FaultKind::RegisterError) {
            return Err(io::Error::from_raw_os_error(injector.pick(&[ENOMEM, ENOSPC])));
        }
        injector.add_token(token);
        stream.faults.token = Some(token);
        self.net.register(&mut stream.stream, token)
    }

    fn connect(&mut self, to: &Destination, options: &ConnectOptions, token: Token) -> io::Result<Self::Stream> {
        let stream = self.net.connect(to, options, token)?;
        Ok(FaultyStream::new(stream, self.socket_faults(Some(token))))
    }

    fn is_connected(&mut self, stream: &mut Self::Stream) -> io::Result<bool> {
        self.net.is_connected(&mut stream.stream)
    }

    fn wake(&self) -> Arc<dyn Wake> {
        self.net.wake()
    }

    fn take_requests(&mut self, handle: &Handle) -> Vec<ControlEvent> {
        self.net.take_requests(handle)
    }

    fn take_message<S: Service>(&mut self, inbox: &Receiver<S::Message>) -> Option<S::Message> {
        self.net.take_message::<S>(inbox)
    }

    fn note(&self, text: &str) {
        self.net.note(text);
    }
}

impl<N: SystemNet> SystemNet for Faulty<N> {
    fn reactor(&self) -> &Reactor {
        self.net.reactor()
    }

    fn reactor_mut(&mut self) -> &mut Reactor {
        self.net.reactor_mut()
    }

    fn remove_path_at_end(&mut self, listener: &mut Self::Listener) {
        self.net.remove_path_at_end(&mut listener.listener);
    }
}
