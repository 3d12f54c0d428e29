//! `EchoRun`: an echo server in a simulated world without faults, and the log of its turns.

use std::io;
use std::time::Duration;

use readyloop::run_log::{CallbackLog, Observed, RunLog, RunObserver};
use readyloop::service::Echo;
use readyloop::sim::{SimNet, SimPeer, World};
use readyloop::trace::{TraceEntry, TraceLog};
use readyloop::{Address, Framing, Limits, Lines, Listen, Server, ServerLimits};

/// The server of a scenario and its world.
pub(super) struct Setup {
    pub(super) title: &'static str,
    /// Bytes in a kernel buffer, for one direction.
    pub(super) kernel_buffer: usize,
    /// The most connections that the process may hold.
    pub(super) descriptors: usize,
    pub(super) framing: Framing,
    /// What the server sends before each frame.
    pub(super) prefix: &'static str,
    pub(super) limits: Limits,
    /// The most bytes that a turn moves.
    pub(super) turn_bytes: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            title: "",
            kernel_buffer: 4096,
            descriptors: 1000,
            framing: Framing::Lines(Lines::new()),
            prefix: "",
            limits: Limits::default(),
            turn_bytes: 1 << 24,
        }
    }
}

/// A world with an echo server, and the observer of its turns.
pub(super) struct EchoRun {
    pub(super) world: World,
    pub(super) server: Server<SimNet>,
    observer: RunObserver,
    log: TraceLog,
    address: Address,
}

impl EchoRun {
    pub(super) fn start(setup: Setup) -> io::Result<Self> {
        let Setup { title, kernel_buffer, descriptors, framing, prefix, limits, turn_bytes } = setup;
        let log = TraceLog::new();
        let world = World::new(0).with_kernel_buffer(kernel_buffer).with_descriptors(descriptors).with_log(log.clone());
        let mut server = Server::new(world.net(), ServerLimits::default()).with_turn_bytes(turn_bytes);
        let address: Address = "127.0.0.1:7007".parse().map_err(io::Error::other)?;
        let service = Observed::new(Echo::with_prefix(prefix), CallbackLog::new(0, log.clone()));
        let listen = Listen { limits, ..Listen::from(address.clone()) };
        server.listen(listen, framing, service).map_err(io::Error::other)?;
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
    pub(super) fn end(mut self) -> RunLog {
        // The last remarks follow the last turn.
        self.observer.after_turn(&self.server, &self.world.kernel_buffers());
        self.observer.into_log()
    }
}
