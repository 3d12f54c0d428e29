//! `Scenario`: short runs by hand, each of which shows one idea.
//!
//! The runs are in `scenarios`. Each is the same every time, since nothing in it is drawn at random.

use std::io;
use std::time::Duration;

use clap::ValueEnum;
use readyloop::run_log::{CallbackLog, Observed, RunLog, RunObserver};
use readyloop::service::Echo;
use readyloop::sim::{SimNet, SimPeer, World};
use readyloop::trace::{TraceEntry, TraceLog};
use readyloop::{Address, Framing, Limits, Listen, Server, ServerLimits};

use super::scenarios;

/// A run that shows one idea.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// A peer that does not read pauses the reading from it
    Backpressure,
    /// A peer ends its direction and still receives all replies
    HalfClose,
    /// One event announces bytes that are read much later
    LostEdge,
    /// Descriptors run out while connections wait
    Emfile,
    /// A peer that sends without end does not delay another one
    Starvation,
    /// The kernel takes a part of a reply
    PartialWrite,
    /// Frames arrive in pieces, and several at once
    PartialRead,
    /// Silent and slow peers reach their deadlines
    Deadline,
    /// A peer resets its connection
    Reset,
    /// The server ends without losing a reply
    Drain,
}

impl Scenario {
    /// Runs the scenario.
    ///
    /// # Errors
    /// A bug: the simulated poll does not fail.
    pub(crate) fn run(self) -> io::Result<RunLog> {
        match self {
            Self::Backpressure => scenarios::backpressure(),
            Self::HalfClose => scenarios::half_close(),
            Self::LostEdge => scenarios::lost_edge(),
            Self::Emfile => scenarios::emfile(),
            Self::Starvation => scenarios::starvation(),
            Self::PartialWrite => scenarios::partial_write(),
            Self::PartialRead => scenarios::partial_read(),
            Self::Deadline => scenarios::deadline(),
            Self::Reset => scenarios::reset(),
            Self::Drain => scenarios::drain(),
        }
    }
}

/// A world with an echo server, and the observer of its turns.
pub(super) struct EchoRun {
    pub(super) world: World,
    server: Server<SimNet>,
    observer: RunObserver,
    log: TraceLog,
    address: Address,
}

impl EchoRun {
    /// Starts an echo server in `world`. `turn_bytes` limits what a turn moves.
    pub(super) fn new(
        title: &str,
        world: World,
        framing: Framing,
        limits: Limits,
        turn_bytes: Option<usize>,
    ) -> io::Result<Self> {
        let log = TraceLog::new();
        let world = world.with_log(log.clone());
        let mut server = Server::new(world.net(), ServerLimits::default());
        if let Some(bytes) = turn_bytes {
            server = server.with_turn_bytes(bytes);
        }
        let address: Address = "127.0.0.1:7007".parse().map_err(io::Error::other)?;
        let service = Observed::new(Echo::new(), CallbackLog::new(0, log.clone()));
        server
            .listen(Listen { limits, ..Listen::from(address.clone()) }, framing, service)
            .map_err(io::Error::other)?;
        let mut observer = RunObserver::new(title, log.clone()).with_service(format!("echo, framing {framing}"));
        observer.after_turn(&server, &[]);
        Ok(Self { world, server, observer, log, address })
    }

    /// Connects a peer, which acts in the next turn.
    pub(super) fn connect(&self) -> SimPeer {
        self.world.connect(&self.address)
    }

    /// Adds a remark to the story.
    pub(super) fn note(&self, text: &str) {
        self.log.add(TraceEntry::Note(text.to_owned()));
    }

    /// Runs turns until the server has nothing to do at this moment.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.advance(Duration::ZERO)
    }

    /// Runs turns until this time has passed.
    pub(super) fn advance(&mut self, span: Duration) -> io::Result<()> {
        let Self { world, server, observer, .. } = self;
        world.advance(span, || {
            server.turn(None)?;
            observer.after_turn(server, &world.kernel_buffers());
            Ok(())
        })
    }

    /// The log of the run.
    pub(super) fn end(self) -> RunLog {
        self.observer.into_log()
    }
}
