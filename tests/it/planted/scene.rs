//! `Scene`: one service in a simulated world, and the story of its run.

use std::time::Duration;

use readyloop::codec::ByteCodec;
use readyloop::run_log::{CallbackLog, Observed, RunObserver};
use readyloop::sim::{Behavior, PeerEnding, SimNet, SimPeer, World};
use readyloop::trace::TraceLog;
use readyloop::{Address, EndpointId, Limits, Listen, Server, ServerLimits, Service};

/// A size of the kernel buffers that a reply does not fit into.
pub(super) const SMALL_BUFFER: usize = 1000;

/// The address of the service.
pub(super) fn address() -> Address {
    "10.0.0.99:7007".parse().expect("it is an address")
}

/// A service that is observed.
pub(super) type Seen<S> = Observed<S, CallbackLog>;

/// A server with one service, its world, and the observer of its turns.
pub(super) struct Scene<S: Service<Codec: ByteCodec> + 'static> {
    pub(super) world: World,
    server: Server<SimNet>,
    pub(super) endpoint: EndpointId<Seen<S>>,
    observer: RunObserver,
}

impl<S: Service<Codec: ByteCodec> + 'static> Scene<S> {
    /// A service with default limits.
    pub(super) fn new(codec: S::Codec, service: S) -> Self {
        Self::with(World::new(1), Limits::default(), codec, service)
    }

    pub(super) fn with(world: World, limits: Limits, codec: S::Codec, service: S) -> Self {
        let log = TraceLog::new();
        let world = world.with_log(log.clone());
        let mut server = Server::new(world.net(), ServerLimits::default());
        let service = Observed::new(service, CallbackLog::new(0, log.clone()));
        let listen = Listen { limits, ..Listen::from(address()) };
        let endpoint = server.listen(listen, codec, service).expect("the address is free");
        Self { world, server, endpoint, observer: RunObserver::new("A planted fault", log) }
    }

    /// Connects a peer that sends these bytes.
    pub(super) fn connect(&self, bytes: &[u8]) -> SimPeer {
        let peer = self.world.connect(&address());
        peer.send(bytes);
        peer
    }

    /// Connects a peer that never reads and stays.
    pub(super) fn connect_without_reading(&self) -> SimPeer {
        let behavior = Behavior { read_len_max: 0, ending: PeerEnding::Stays, ..Behavior::default() };
        self.world.connect_as(&address(), "10.0.0.50:1024".parse().expect("it is an address"), behavior)
    }

    /// Runs the server for a time of the simulated clock.
    pub(super) fn run(&mut self, span: Duration) {
        let Self { world, server, observer, .. } = self;
        let turns = world.advance(span, || {
            server.turn(None)?;
            observer.after_turn(server, &world.kernel_buffers());
            std::io::Result::Ok(())
        });
        turns.expect("a simulated poll does not fail");
    }

    pub(super) fn story(self) -> String {
        self.observer.into_log().story().to_string()
    }
}
