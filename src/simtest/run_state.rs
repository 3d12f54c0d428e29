//! `RunState`: the world, the server and the peers of one run, all drawn from its seed.
//!
//! The turns are in `run`, the endpoints in an implementation of [`SimSetup`].

use std::time::Duration;

use super::datagrams::DatagramClients;
use super::log::SharedLog;
use super::peers::{PORT_FIRST, PeerPlan, SimEndpoint, TestPeer};
use super::recorder::CallbackRecorder;
use crate::admission::{Listen, ServerLimits, WhenFull};
use crate::codec::ByteCodec;
use crate::event_loop::EventLoop;
use crate::net::{Address, Sender};
use crate::run_log::{CallbackLog, Observed};
use crate::service::Service;
use crate::sim::{Faults, Rng, SimNet, World};
use crate::trace::TraceLog;

/// The first generation of a slab in a run in which generations wrap.
const LAST_GENERATIONS: u32 = u32::MAX - 3;

/// The endpoints of a run, and what their peers send.
pub(super) trait SimSetup: Sync {
    /// Opens the endpoints.
    fn open_endpoints(&self, state: &mut RunState);

    /// Draws what a peer sends: about `len` bytes, if the setup leaves the length open.
    fn draw_plan(&self, endpoint: &SimEndpoint, port: u16, len: usize, rng: &mut Rng) -> PeerPlan;
}

/// The parts of a run that its invariants inspect.
pub(super) struct RunState {
    pub(super) world: World,
    pub(super) server: EventLoop<SimNet>,
    pub(super) server_limits: ServerLimits,
    pub(super) peers: Vec<TestPeer>,
    pub(super) endpoints: Vec<SimEndpoint>,
    /// The clients of the UDP endpoint, if there is one.
    pub(super) datagrams: Option<DatagramClients>,
    pub(super) log: SharedLog,
    /// The log for the story; `None` if none is kept.
    pub(super) trace: Option<TraceLog>,
    /// The senders to the services of all endpoints.
    pub(super) senders: Vec<Sender<()>>,
    pub(super) rng: Rng,
    /// Random numbers for additions to these runs, so that known seeds keep their meaning.
    pub(super) side_rng: Rng,
    /// Random numbers for lame ducks, for the same reason.
    pub(super) lame_duck_rng: Rng,
    /// Random numbers for shutdowns in stages, for the same reason.
    pub(super) shutdown_rng: Rng,
    /// Random numbers for limits that were added later, for the same reason.
    pub(super) limits_rng: Rng,
    /// The server has few file descriptors.
    pub(super) has_few_descriptors: bool,
    /// Generations of the slabs wrap early.
    pub(super) has_last_generations: bool,
    /// A turn has a small budget of bytes.
    pub(super) has_short_turns: bool,
}

impl RunState {
    /// Draws a world and a server without endpoints.
    pub(super) fn draw(seed: u64, trace: Option<TraceLog>) -> Self {
        let (mut rng, mut side_rng) = (Rng::new(seed), Rng::new(!seed));
        let faults = Faults::drawn_from(rng.bits());
        let mut world = World::new(rng.bits()).with_free_clock().with_faults(faults);
        // Rarely, a buffer is so large that a peer can use its whole budget of a turn.
        let is_large = rng.chance(0.05);
        world = world.with_kernel_buffer(if is_large { 1 << 20 } else { 4096 << rng.below(5) });
        let has_few_descriptors = rng.chance(0.2);
        if has_few_descriptors {
            world = world.with_descriptors(rng.up_to(10));
        }
        if let Some(trace) = &trace {
            world = world.with_log(trace.clone());
        }
        let mut shutdown_rng = Rng::new(seed.rotate_left(48));
        let server_limits = with_stages(draw_server_limits(&mut rng), &mut shutdown_rng);
        let has_last_generations = side_rng.chance(0.5);
        let first_generation = if has_last_generations { LAST_GENERATIONS } else { 1 };
        let mut server = EventLoop::new(world.net(), server_limits.clone()).with_first_generation(first_generation);
        let mut turn_rng = Rng::new(seed.rotate_left(32));
        let has_short_turns = turn_rng.chance(0.25);
        if has_short_turns {
            // The smallest budget serves one peer in a turn.
            server = server.with_turn_bytes(1 << turn_rng.below(18));
        }
        Self {
            server,
            world,
            server_limits,
            peers: Vec::new(),
            endpoints: Vec::new(),
            datagrams: None,
            log: SharedLog::default(),
            trace,
            senders: Vec::new(),
            rng,
            side_rng,
            lame_duck_rng: Rng::new(seed.rotate_left(16)),
            shutdown_rng,
            limits_rng: Rng::new(seed.rotate_left(48)),
            has_few_descriptors,
            has_last_generations,
            has_short_turns,
        }
    }

    /// Opens an endpoint and records its service. Returns its address and a sender to the service.
    pub(super) fn listen<S: Service<Codec: ByteCodec> + 'static>(
        &mut self,
        listen: Listen,
        codec: S::Codec,
        inner: S,
    ) -> (Address, Sender<S::Message>) {
        let endpoint = self.endpoints.len();
        let trace = self.trace.clone().map(|trace| CallbackLog::new(endpoint, trace));
        let service = Observed::new(inner, CallbackRecorder { endpoint, log: self.log.clone(), trace });
        let endpoint = self.server.listen(listen, codec, service).expect("the address is free");
        (self.server.local_address(&endpoint).clone(), endpoint.sender())
    }

    /// The peer that connected from this port.
    pub(super) fn peer(&self, port: u16) -> &TestPeer {
        &self.peers[usize::from(port - PORT_FIRST)]
    }

    /// Whether the memory for queues is below the default.
    pub(super) fn has_little_memory(&self) -> bool {
        self.server_limits.queue_total_max < ServerLimits::default().queue_total_max
    }
}

fn draw_server_limits(rng: &mut Rng) -> ServerLimits {
    let unlimited = ServerLimits::default();
    ServerLimits {
        connections_max: if rng.chance(0.3) { rng.up_to(8) } else { unlimited.connections_max },
        connections_per_address_max: if rng.chance(0.2) { rng.up_to(4) } else { unlimited.connections_per_address_max },
        when_full: rng.pick(&[WhenFull::Pause, WhenFull::Refuse]),
        // At least the pages of two peers, so that the memory is often exhausted.
        queue_total_max: if rng.chance(0.4) { 8192 << rng.below(8) } else { unlimited.queue_total_max },
        drain_timeout: draw_timeout(rng),
        ..unlimited
    }
}

/// Half of the shutdowns have each of the two stages before the drain.
fn with_stages(limits: ServerLimits, rng: &mut Rng) -> ServerLimits {
    let mut draw = || if rng.chance(0.5) { draw_timeout(rng) } else { Duration::ZERO };
    let (shutdown_delay, lame_duck_timeout) = (draw(), draw());
    ServerLimits { shutdown_delay, lame_duck_timeout, ..limits }
}

/// From a millisecond to four minutes. All orders of magnitude are equally likely.
pub(super) fn draw_timeout(rng: &mut Rng) -> Duration {
    Duration::from_micros(1 << (10 + rng.below(19)))
}
