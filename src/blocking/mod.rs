//! Other designs of a server: the same connections, served by threads that block.
//!
//! They exist to be compared with the reactor. Everything that can be equal is equal.
//!
//! # What is held equal
//!
//! | subject | how |
//! |---|---|
//! | connections | each peer is a [`Connection`](crate::connection::Connection) in a [`Host`]; the same pump moves its bytes |
//! | service, framing, limits | [`BlockingServer::listen`] takes the same values as [`Server`](crate::Server) |
//! | sockets | the same listener; accepted streams inherit its options |
//! | admission | the same caps, and the same pauses after a failed accept |
//! | shutdown | the same stages, times and signals |
//! | counters | the same [`Totals`]; each peer closes for one reason, and every byte is counted |
//! | a service that panics | loses its own peer only; the panic is counted and the thread continues |
//! | system calls for a message | one read and one write; the reactor adds its share of a poll |
//!
//! # What cannot be held equal
//!
//! | subject | reactor | here |
//! |---|---|---|
//! | peers served at once | all | as many as there are threads; the others wait, unread |
//! | start of a peer's deadlines | when it is accepted | when a thread takes it |
//! | deadlines | on time | up to half a second late: a thread checks them when a read or write ends or times out |
//! | shutdown | noticed at once | noticed within half a second, for the same reason |
//! | an idle peer | causes no wake-ups | wakes its thread twice a second |
//! | timers for a message | none | the kernel sets and cancels one timer for each read that waits (`SO_RCVTIMEO`) |
//! | system calls for a connection | accept, register, close | accept, three calls to set options, close, a wake-up of the accept loop; with one thread for each connection also its start and its stack |
//! | no descriptor or thread for a peer | it waits until a descriptor is free | the same; without a thread it is refused and counted, and accepting pauses for up to a second |
//! | fairness | each peer has a budget in each turn | decided by the scheduler of the system |
//! | the clock | read once for all peers of a turn | read after each read and each write |
//! | memory for a peer | its record while it is idle | a stack, kernel memory for the thread, and a read buffer of 16 KiB |
//! | memory for queues | one bound for all peers together | one bound for each thread; accepting does not pause when memory is short |
//! | output to a slow peer | queued up to the high watermark, then its reads pause | the write itself waits, so little is queued |
//! | orders, messages, deferred replies | reach every peer of the endpoint | reach no other peer: each one has a clone of the service |
//! | totals of a running server | up to the last turn | bytes are counted when their peer closes |
//! | TLS and datagrams | served | not served |
//!
//! So a service that depends on orders, such as [`Chat`](crate::service::Chat), does not work here.
//!
//! `cargo bench --bench models` compares the CPU for one message: of each design, of a plain thread
//! for each peer, of tokio and of a loop on raw epoll.
//!
//! # Threads
//!
//! The accept loop is one thread. It waits in the reactor for connections, signals and handles, and
//! gives each connection to an executor: one thread for each connection, or a pool. A serving thread
//! waits in the reads and writes of its own socket. Every one of them ends after half a second at the
//! latest (`SO_RCVTIMEO`, `SO_SNDTIMEO`), so no other means is needed to wake a thread.

mod acceptor;
mod driver;
mod executor;
mod pool;
mod shared;
#[cfg(test)]
mod tests;
mod thread_per_peer;

use std::io;
use std::num::NonZero;
use std::sync::Arc;

use log::{info, warn};

use crate::admission::{Listen, ServerLimits, Totals};
use crate::event_loop::ListenError;
use crate::event_loop::shutdown::{Shutdown, Stage};
use crate::host::Host;
use crate::instant::Instant;
use crate::net::{Address, ControlEvent, Event, Handle, Net, Reactor, Token};
use crate::service::Service;

use acceptor::{AcceptContext, Acceptor};
use executor::{Executor, Job};
use pool::Pool;
use shared::SharedState;
use thread_per_peer::ThreadPerPeer;

/// Which threads serve the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// One thread serves one peer after another; the others wait in the kernel's backlog.
    ///
    /// The oldest design. A peer that stalls delays all others until one of its own deadlines ends it.
    Iterative,
    /// One thread for each peer.
    Threads,
    /// A fixed number of threads; further peers wait until one is free.
    Pool {
        /// How many threads.
        workers: NonZero<usize>,
    },
}

/// How many accepted peers may wait for a thread of a pool; further ones wait in the backlog.
///
/// Each of them holds a descriptor, so the number is small. It is large enough that several threads
/// that become free at once find a peer each.
const POOL_QUEUE_LEN_MAX: usize = 1024;

/// A server with blocking threads for its peers.
pub struct BlockingServer {
    reactor: Reactor,
    acceptors: Vec<Acceptor>,
    executor: Box<dyn Executor>,
    shared: Arc<SharedState>,
    handle: Handle,
    /// Events of the last poll.
    events: Vec<Event>,
    now: Instant,
    shutdown: Shutdown,
}

impl BlockingServer {
    /// A server without endpoints.
    ///
    /// # Errors
    /// The system refuses the threads of the design.
    pub fn new(reactor: Reactor, design: Design, limits: ServerLimits) -> io::Result<Self> {
        let shutdown = Shutdown::new(&limits);
        let shared = Arc::new(SharedState::new(&reactor, limits));
        let executor: Box<dyn Executor> = match design {
            Design::Iterative => Box::new(Pool::new(&shared, NonZero::<usize>::MIN, 0)?),
            Design::Threads => Box::new(ThreadPerPeer::new(Arc::clone(&shared))),
            Design::Pool { workers } => Box::new(Pool::new(&shared, workers, POOL_QUEUE_LEN_MAX)?),
        };
        Ok(Self {
            handle: Handle::new(reactor.wake()),
            acceptors: Vec::new(),
            executor,
            shared,
            events: Vec::new(),
            now: reactor.now(),
            shutdown,
            reactor,
        })
    }

    /// Listens, and serves each peer with a clone of the service. Returns the address with its real port.
    ///
    /// # Errors
    /// The address cannot be resolved or bound, or is a `tls://` one: only the reactor's design has TLS.
    pub fn listen<S>(
        &mut self,
        listen: impl TryInto<Listen, Error: Into<ListenError>>,
        codec: S::Codec,
        service: S,
    ) -> Result<Address, ListenError>
    where
        S: Service<Codec: Clone + Send> + Clone + Send + 'static,
    {
        let Listen { address, socket, limits, .. } = listen.try_into().map_err(Into::into)?;
        match address {
            Address::Tcp(_) | Address::Unix(_) => {}
            Address::Tls(_) => return Err(ListenError::NoTls(address)),
            Address::Udp(_) => return Err(ListenError::WrongKind(address)),
        }
        let bound = self.reactor.listen(&address, &socket, Token(self.acceptors.len() as u64));
        let listener = bound.map_err(|error| ListenError::of(&address, error))?;
        let address = self.reactor.local_address(&listener);
        let limits = Arc::new(limits);
        let job_for = move |peer| -> Job {
            let (service, codec, limits) = (service.clone(), codec.clone(), Arc::clone(&limits));
            Box::new(move |worker| driver::serve(Host::new(service, codec, limits), peer, worker))
        };
        self.acceptors.push(Acceptor::new(address.clone(), listener, Arc::clone(&self.shared), Box::new(job_for)));
        Ok(address)
    }

    /// A handle with which other threads drain or stop this server.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until the server is drained or stopped and its last peer is closed.
    ///
    /// # Errors
    /// The poll itself fails. No peer can end the server.
    pub fn run(&mut self) -> io::Result<Totals> {
        while !self.is_done() {
            self.turn()?;
        }
        Ok(self.totals())
    }

    /// The totals so far; the bytes of a peer are added when it closes.
    pub fn totals(&self) -> Totals {
        self.shared.totals()
    }

    fn is_done(&self) -> bool {
        !self.shutdown.stage().accepts() && self.shared.open() == 0
    }

    /// One pass of the accept loop.
    fn turn(&mut self) -> io::Result<()> {
        self.poll()?;
        for index in 0..self.events.len() {
            match self.events[index] {
                Event::Ready(readiness) => {
                    let index = usize::try_from(readiness.token.0).ok();
                    if let Some(acceptor) = index.and_then(|index| self.acceptors.get_mut(index)) {
                        acceptor.handle_ready();
                    }
                }
                Event::Control(event) => self.handle_control_event(event),
            }
        }
        self.for_each_acceptor(Acceptor::accept);
        self.advance_shutdown();
        Ok(())
    }

    /// Sleeps until an event, the next stage of a drain, or the end of a pause after a failed accept.
    fn poll(&mut self) -> io::Result<()> {
        let mut until = self.shutdown.next_at();
        self.for_each_acceptor(|acceptor, cx| until = until.min(acceptor.next_accept_at(cx)));
        self.events.clear();
        self.reactor.poll(&mut self.events, (until != Instant::NEVER).then_some(until))?;
        self.now = self.reactor.now();
        self.shared.counters().totals.turns += 1;
        Ok(())
    }

    fn for_each_acceptor(&mut self, mut call: impl FnMut(&mut Acceptor, &mut AcceptContext<'_>)) {
        let mut cx = AcceptContext { reactor: &mut self.reactor, executor: &mut *self.executor, now: self.now };
        self.acceptors.iter_mut().for_each(|acceptor| call(acceptor, &mut cx));
    }

    fn handle_control_event(&mut self, event: ControlEvent) {
        match event {
            ControlEvent::Wake => {
                for request in self.handle.take_requests() {
                    self.handle_control_event(request);
                }
            }
            ControlEvent::ShutDown => {
                let entered = self.shutdown.shut_down(self.now);
                self.enter_stage(entered);
            }
            ControlEvent::LameDuck(timeout) => {
                let entered = self.shutdown.lame_duck(timeout, self.now);
                self.enter_stage(entered);
            }
            ControlEvent::Drain => {
                let entered = self.shutdown.drain(self.now);
                self.enter_stage(entered);
            }
            ControlEvent::Stop => {
                let entered = self.shutdown.stop();
                self.enter_stage(entered);
            }
            ControlEvent::Reload => info!("nothing to reload: this design has no TLS"),
            ControlEvent::Restart | ControlEvent::HandOver => warn!("only the reactor can be restarted in place"),
            ControlEvent::Totals => info!("{}", self.totals()),
        }
    }

    fn enter_stage(&mut self, entered: Option<Stage>) {
        let Some(stage) = entered else { return };
        if let Some(text) = stage.announcement(self.shared.open(), &self.shared.limits) {
            info!("{text}");
        }
        if stage == Stage::Stopping {
            self.acceptors.iter_mut().for_each(Acceptor::close);
        } else if !stage.accepts() {
            self.for_each_acceptor(Acceptor::drain);
        }
        self.shared.enter_stage(stage);
    }

    /// Enters the next stage of a shutdown when its time has come.
    fn advance_shutdown(&mut self) {
        let entered = self.shutdown.advance(self.now);
        self.enter_stage(entered);
    }
}
