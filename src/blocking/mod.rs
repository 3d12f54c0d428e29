//! The other designs of a server: the same machine, driven by threads that block.
//!
//! They are here to be compared with the reactor, so everything that can be equal is.
//!
//! # What is held equal
//!
//! | what | how |
//! |---|---|
//! | the machine | every peer is a [`Connection`](crate::connection::Connection) in a [`Host`], its bytes moved by the same pump |
//! | service, framing, limits | the same values, given to [`BlockingServer::listen`] as to [`Server`](crate::Server) |
//! | sockets | the same listener with the same options, which accepted streams inherit |
//! | who may come in | the same caps and the same rests after a failed accept |
//! | the end | drain, finish, stop, at the same times and by the same signals |
//! | the books | the same [`Totals`]; every peer ends for one reason, every byte is accounted for |
//! | a service that panics | loses its own peer, is counted, and its thread goes on |
//! | system calls for a message | two, a read and a write, as in any blocking server; the reactor adds its share of a poll |
//!
//! # What cannot be
//!
//! | what | reactor | here |
//! |---|---|---|
//! | who is served | everybody who came in | as many as there are threads: the others wait, unread |
//! | when a peer's deadlines begin | when it is accepted | when a thread takes it |
//! | one peer too many for the system | waits until descriptors are free | the same; one for whom there is no thread is refused and counted, and the rest wait up to a second for the next try |
//! | fairness | each peer has a budget in each turn | as the scheduler of the system sees fit |
//! | system calls for a connection | accept, register, close | accept, three for options, close; for a thread of its own its stack and its start |
//! | system calls for a pause | none | a dozen on two threads, once it has lasted half a second: who sleeps in a read is roused, to hear of deadlines |
//! | the clock | one look for all peers in a turn | one look after each call that may have waited |
//! | memory for a peer | nothing but its record while it is idle | a stack, its kernel's half, and a read buffer of 16 KiB |
//! | memory for queues | one bound for all peers together | one bound for each thread; with little of it nobody is kept out |
//! | what waits for a slow peer | up to the high watermark, then its reading pauses | next to nothing: the write itself waits |
//! | orders, posts, promises | reach every peer of the endpoint | reach nobody: each peer has a clone of the service to itself |
//! | deadlines | on time | on time, but for writing half a second late |
//! | the end of the server | is heard at once | is heard at once, or within half a second by a thread that falls asleep just then |
//! | totals while it runs | up to the last turn | bytes are counted when their peer has gone |
//! | TLS and datagrams | served | not served |
//!
//! A service that lives from orders, such as [`Chat`](crate::service::Chat), cannot be served so.
//!
//! What all this comes to in CPU for a message, `cargo bench --bench models` measures: the designs
//! beside each other, a plain thread for each peer, tokio, and a loop on raw epoll.
//!
//! # Who waits where
//!
//! One thread, the watch, sleeps in the reactor for newcomers, signals and handles, and gives every
//! newcomer to the crew. The crew's threads sleep in their own peer's read. What they share, they
//! share in `ground`.
//!
//! A read that ends by itself would cost a timer of the kernel for each message, so it has no end: the
//! watch looks every quarter of a second who has slept in one read since, gives the socket a timeout
//! and the thread a signal, `SIGURG`. While nobody sleeps so, the watch sleeps as well.

mod crew;
mod driver;
mod gate;
mod ground;
mod iterative;
mod pool;
#[cfg(test)]
mod tests;
mod threads;

use std::io;
use std::num::NonZero;
use std::sync::Arc;

use log::info;

use crate::admission::{Listen, ServerLimits, Totals};
use crate::codec::Codec;
use crate::host::Host;
use crate::instant::Instant;
use crate::net::blocking::NAP;
use crate::net::{Address, ControlEvent, Event, Handle, Net, Reactor, Token};
use crate::service::Service;

use crew::{Crew, Job};
use gate::{Gate, Post};
use ground::{Ground, Stage};
use pool::Pool;
use threads::Threads;

/// Which threads serve the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// One thread, one peer after another.
    Iterative,
    /// A thread for each peer.
    Threads,
    /// So many threads; who finds them all busy waits.
    Pool {
        /// How many.
        workers: NonZero<usize>,
    },
}

/// How many accepted peers may wait for a thread of a pool; more wait in the backlog.
///
/// They hold descriptors that nobody reads, so not too many; and enough that threads which become
/// free at once find a peer each.
const WAITING_MAX: usize = 1024;

/// Endpoints whose peers are served by threads that block.
pub struct BlockingServer {
    reactor: Reactor,
    gates: Vec<Gate>,
    crew: Box<dyn Crew>,
    ground: Arc<Ground>,
    handle: Handle,
    /// What the last poll told.
    events: Vec<Event>,
    now: Instant,
    /// How far the end had come at the last turn.
    stage: Stage,
    /// When to look who naps for too long; [`Instant::NEVER`] while nobody naps.
    look_at: Instant,
}

impl BlockingServer {
    /// A server without endpoints.
    ///
    /// # Errors
    /// The threads of the design, or descriptors to stop them by, cannot be had.
    pub fn new(reactor: Reactor, design: Design, limits: ServerLimits) -> io::Result<Self> {
        let ground = Arc::new(Ground::new(&reactor, limits)?);
        let crew: Box<dyn Crew> = match design {
            Design::Iterative => Box::new(iterative::crew(&ground)?),
            Design::Threads => Box::new(Threads::new(Arc::clone(&ground))),
            Design::Pool { workers } => Box::new(Pool::new(&ground, workers, WAITING_MAX)?),
        };
        Ok(Self {
            handle: Handle::new(reactor.wake()),
            gates: Vec::new(),
            crew,
            events: Vec::new(),
            now: reactor.now(),
            stage: Stage::Serving,
            look_at: Instant::NEVER,
            ground,
            reactor,
        })
    }

    /// Listens, and gives whoever connects to a clone of the service. Returns the address with its real port.
    ///
    /// # Errors
    /// The address cannot be resolved or bound, or is a `tls://` one: only the reactor's design has TLS.
    pub fn listen<S, C>(&mut self, listen: impl Into<Listen>, codec: C, service: S) -> io::Result<Address>
    where
        S: Service + Clone + Send + 'static,
        C: Codec + Clone + Send + 'static,
    {
        let Listen { address, socket, limits, .. } = listen.into();
        if let Address::Tls(_) = address {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "only the reactor's design has TLS"));
        }
        let listener = self.reactor.listen(&address, &socket, Token(self.gates.len() as u64))?;
        let address = self.reactor.local_address(&listener);
        let limits = Arc::new(limits);
        let job_for = move |newcomer| -> Job {
            let (service, codec, limits) = (service.clone(), codec.clone(), Arc::clone(&limits));
            Box::new(move |ground, tools| driver::serve(Host::new(service, codec, limits), newcomer, ground, tools))
        };
        self.gates.push(Gate::new(address.clone(), listener, Box::new(job_for)));
        Ok(address)
    }

    /// What other threads ask things of this server with.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until it was drained or stopped and its last peer is gone.
    ///
    /// # Errors
    /// The poll itself is broken. Nothing that one peer does ends the server.
    pub fn run(&mut self) -> io::Result<Totals> {
        while !self.is_done() {
            self.turn()?;
        }
        Ok(self.totals())
    }

    /// Everything counted so far; the bytes of a peer once it has gone.
    pub fn totals(&self) -> Totals {
        self.ground.totals()
    }

    fn is_done(&self) -> bool {
        self.ground.stage(self.now) != Stage::Serving && self.ground.open() == 0
    }

    fn turn(&mut self) -> io::Result<()> {
        self.sleep_until_a_fact()?;
        for place in 0..self.events.len() {
            match self.events[place] {
                Event::Ready(readiness) => {
                    let gate = usize::try_from(readiness.token.0).ok().and_then(|place| self.gates.get_mut(place));
                    if let Some(gate) = gate {
                        gate.remember_newcomers();
                    }
                }
                Event::ControlEvent(control_event) => self.handle_control_event(control_event),
            }
        }
        self.at_each_gate(|gate, post| gate.accept(post));
        self.look_after_naps();
        self.watch_the_stage();
        Ok(())
    }

    fn sleep_until_a_fact(&mut self) -> io::Result<()> {
        self.events.clear();
        // Before looking who waits for room: whoever leaves it after that look wakes us.
        self.ground.expect_word();
        let mut until = self.ground.stage_end(self.stage).min(self.look_at);
        self.at_each_gate(|gate, post| until = until.min(gate.next_work(post)));
        if self.is_done() {
            until = Instant::ORIGIN;
        }
        self.reactor.poll(&mut self.events, (until != Instant::NEVER).then_some(until))?;
        self.now = self.reactor.now();
        self.ground.books().totals.turns += 1;
        Ok(())
    }

    fn at_each_gate(&mut self, mut act: impl FnMut(&mut Gate, &mut Post<'_>)) {
        let Self { reactor, gates, crew, ground, now, .. } = self;
        let mut post = Post { reactor, ground, crew: &mut **crew, now: *now };
        gates.iter_mut().for_each(|gate| act(gate, &mut post));
    }

    fn handle_control_event(&mut self, control_event: ControlEvent) {
        match control_event {
            ControlEvent::Wake => {
                for wish in self.handle.take_requests() {
                    self.handle_control_event(wish);
                }
            }
            ControlEvent::Drain => self.drain(),
            ControlEvent::Stop => self.stop(),
            // There is no TLS here, and nothing else to read again.
            ControlEvent::Reload => {}
            ControlEvent::Totals => info!("{}", self.totals()),
        }
    }

    fn drain(&mut self) {
        // Whoever connects from now on is not in the backlog and meets a closed port.
        self.at_each_gate(|gate, post| gate.drain(post));
        if self.ground.drain(self.now) {
            info!("draining: {} peers, at most {:?}", self.ground.open(), self.ground.limits.drain_timeout);
        } else {
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.gates.iter_mut().for_each(Gate::close);
        self.ground.stop(self.now);
    }

    /// Rouses whoever has slept in a read since the last look. Who naps first wakes us, so that no look
    /// is missed; while nobody does there is none.
    fn look_after_naps(&mut self) {
        let naps = &self.ground.naps;
        if naps.is_empty() {
            self.look_at = Instant::NEVER;
        } else if self.look_at == Instant::NEVER {
            self.look_at = self.now + NAP / 2;
        } else if self.look_at <= self.now {
            naps.rouse_the_quiet();
            self.look_at = self.now + NAP / 2;
        }
    }

    /// Threads look at the stage by themselves; here it is only told.
    fn watch_the_stage(&mut self) {
        let before = std::mem::replace(&mut self.stage, self.ground.stage(self.now));
        if before != self.stage && self.stage == Stage::Stopping {
            info!("stopping: {} peers are cut off", self.ground.open());
        }
    }
}
