//! One simulated run, drawn from a seed: a world, a server with its endpoints, and their peers.
//!
//! It takes turns; what must hold after each is in `watch`.

use super::crowd::{Guest, Part, Place};
use super::house::draw_timeout;
use super::letters::Letters;
use super::mischief::Deed;
use super::watch::Watch;
use super::witness::{Shared, Witness};
use crate::admission::{Listen, ServerLimits, WhenFull};
use crate::codec::Codec;
use crate::connection::CloseReason;
use crate::net::{Address, ControlEvent, Sender};
use crate::server::Server;
use crate::service::Service;
use crate::sim::{FaultCounts, Faults, Progress, Rng, SimNet, World};

/// The most turns of one run while faults strike.
const STEPS_MAX: usize = 2000;
/// The most peers of one run.
const GUESTS_MAX: usize = 48;
/// How many of them at most come at once.
const PARTY_MAX: usize = 12;
/// From which port the first peer comes; each later one from the next.
pub(super) const PORT_FIRST: u16 = 1024;
/// Turns after which a world without faults must have come to rest.
const CALM_TURNS_MAX: usize = 20_000;

/// The generation of the first peer of a run in which they wrap.
const LAST_GENERATIONS: u32 = u32::MAX - 3;

/// What a run leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many turns it took.
    pub turns: u64,
    /// All calls and their results as one number: equal seeds give equal numbers.
    pub trace_hash: u64,
    /// The faults that struck.
    pub faults: FaultCounts,
    deeds: [u64; Deed::NAMES.len()],
    events: [u64; Happening::NAMES.len()],
}

impl Outcome {
    /// Everything that may go wrong or that a run may bring about, by name, and how often it did.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let deeds = Deed::NAMES.into_iter().zip(self.deeds);
        self.faults.rows().chain(deeds).chain(Happening::NAMES.into_iter().zip(self.events))
    }
}

/// What the run itself brings about, or the limits it draws.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Drain,
    Stop,
    Message,
    RefusedFull,
    RefusedAddress,
    BudgetSpent,
    WrappedGeneration,
    TurnCutShort,
    DatagramAnswered,
    DatagramRefused,
}

impl Happening {
    const NAMES: [&str; 10] = [
        "drain at any step",
        "stop at any step",
        "post",
        "refused: full table",
        "refused: full address",
        "budget spent",
        "generations wrap",
        "turn cut short",
        "datagram answered",
        "datagram refused",
    ];
}

/// Who plays in a run.
pub(super) trait Cast: Sync {
    /// Opens the endpoints.
    fn open(&self, scene: &mut Scene<'_>);

    /// What a peer of `place` sends and may hear: about `len` bytes, where that is its own choice.
    fn part(&self, place: &Place, port: u16, len: usize, rng: &mut Rng) -> Part;
}

/// A run.
pub(super) struct Scene<'a> {
    pub(super) world: World,
    pub(super) server: Server<SimNet>,
    pub(super) server_limits: ServerLimits,
    pub(super) guests: Vec<Guest>,
    pub(super) places: Vec<Place>,
    /// What goes to a UDP endpoint, where there is one.
    pub(super) letters: Option<Letters>,
    pub(super) log: Shared,
    pub(super) posters: Vec<Sender<()>>,
    pub(super) rng: Rng,
    /// Chance for what came later to these runs, so that a seed that failed once stays what it was.
    pub(super) side_rng: Rng,
    cast: &'a dyn Cast,
    is_short: bool,
    has_last_generations: bool,
    has_short_turns: bool,
    guests_max: usize,
    steps: usize,
    events: [u64; Happening::NAMES.len()],
}

impl<'a> Scene<'a> {
    /// The run of a seed; with `is_traced` its world writes down all that happens.
    pub(super) fn draw(seed: u64, cast: &'a dyn Cast, is_traced: bool) -> Self {
        let (mut rng, mut side_rng) = (Rng::new(seed), Rng::new(!seed));
        let faults = Faults::drawn_from(rng.bits());
        let mut world = World::new(rng.bits()).with_free_clock().with_faults(faults);
        // Rarely so large that a peer can spend its whole budget of a turn.
        let is_wide = rng.chance(0.05);
        world = world.with_kernel_buffer(if is_wide { 1 << 20 } else { 4096 << rng.below(5) });
        let is_short = rng.chance(0.2);
        if is_short {
            world = world.with_descriptors(rng.up_to(10));
        }
        if is_traced {
            world = world.with_trace();
        }
        let server_limits = draw_server_limits(&mut rng);
        let has_last_generations = side_rng.chance(0.5);
        let first_generation = if has_last_generations { LAST_GENERATIONS } else { 1 };
        let mut server = Server::new(world.net(), server_limits.clone()).with_first_generation(first_generation);
        let mut turn_rng = Rng::new(seed.rotate_left(32));
        let has_short_turns = turn_rng.chance(0.25);
        if has_short_turns {
            // From one peer in a turn.
            server = server.with_turn_bytes(1 << turn_rng.below(18));
        }
        let mut scene = Self {
            server,
            world,
            server_limits,
            guests: Vec::new(),
            places: Vec::new(),
            letters: None,
            log: Shared::default(),
            posters: Vec::new(),
            cast,
            is_short,
            has_last_generations,
            has_short_turns,
            guests_max: rng.up_to(GUESTS_MAX),
            // As many short runs as long ones: much happens only at the beginning, or late.
            steps: (STEPS_MAX >> rng.below(8)).max(1),
            rng,
            side_rng,
            events: Default::default(),
        };
        cast.open(&mut scene);
        scene
    }

    /// Opens an endpoint whose service is watched: where it is, and the way to its service.
    pub(super) fn listen<C: Codec + 'static, S: Service + 'static>(
        &mut self,
        listen: Listen,
        codec: C,
        inner: S,
    ) -> (Address, Sender<S::Message>) {
        let service = Witness { room: self.places.len(), world: self.world.clone(), log: self.log.clone(), inner };
        let endpoint = self.server.listen(listen, codec, service).expect("nobody else is bound there");
        (self.server.local_address(&endpoint).clone(), endpoint.sender())
    }

    /// Runs to its end, and checks every step.
    pub(super) fn run(&mut self) -> Outcome {
        let mut watch = Watch::default();
        self.run_with_faults(&mut watch);
        self.come_to_rest(&mut watch);
        watch.check_rest(self);
        self.end(&mut watch);
        watch.check_end(self);
        self.count_events(&watch);
        let deeds = self.log.lock().deeds;
        Outcome {
            turns: watch.turns(),
            trace_hash: self.world.trace_hash(),
            faults: self.world.fault_counts(),
            deeds,
            events: self.events,
        }
    }

    fn count_events(&mut self, watch: &Watch) {
        let totals = self.server.totals();
        let counts = [
            (Happening::RefusedFull, totals.refused_full),
            (Happening::RefusedAddress, totals.refused_address),
            (Happening::BudgetSpent, totals.closed(CloseReason::BudgetSpent)),
            (Happening::WrappedGeneration, u64::from(self.has_last_generations && totals.peers.opened > 4)),
            (Happening::TurnCutShort, if self.has_short_turns { watch.turns_with_marks_left() } else { 0 }),
            (Happening::DatagramAnswered, totals.datagrams.answered),
            (Happening::DatagramRefused, totals.datagrams.refused.iter().sum()),
        ];
        for (event, count) in counts {
            self.events[event as usize] = count;
        }
    }

    fn run_with_faults(&mut self, watch: &mut Watch) {
        let (ends_early, is_busy) = (self.rng.chance(0.5), self.rng.chance(0.5));
        let end_probability = if ends_early { 2.0 / self.steps as f64 } else { 0.0 };
        for step in 0..self.steps {
            if self.guests.len() < self.guests_max && (step == 0 || self.rng.chance(0.1)) {
                self.connect_some();
            }
            if is_busy && self.rng.chance(0.02) {
                self.send();
            }
            if let Some(letters) = &mut self.letters {
                letters.send_some(&self.world, &mut self.side_rng);
            }
            if self.rng.chance(end_probability) {
                self.ask_to_end(watch);
            }
            self.turn(watch);
            if self.server.is_done() {
                return;
            }
        }
    }

    fn connect_some(&mut self) {
        let left = self.guests_max - self.guests.len();
        for _ in 0..self.rng.up_to(left.min(PARTY_MAX)) {
            let place = self.places[self.rng.below(self.places.len())].clone();
            let port = PORT_FIRST + self.guests.len() as u16;
            self.guests.push(Guest::connect(&self.world, &place, port, self.cast, &mut self.rng));
        }
    }

    /// Who came from that port.
    pub(super) fn guest(&self, port: u16) -> &Guest {
        &self.guests[usize::from(port - PORT_FIRST)]
    }

    /// Whether there is little memory for queues.
    pub(super) fn is_poor(&self) -> bool {
        self.server_limits.queue_total_max < ServerLimits::default().queue_total_max
    }

    /// Whether descriptors are short.
    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    fn send(&mut self) {
        if self.posters.is_empty() {
            return;
        }
        let sender = self.rng.below(self.posters.len());
        // A full inbox is no wonder: nothing that was posted has been taken if the server never turned.
        if self.posters[sender].send(()).is_ok() {
            self.events[Happening::Message as usize] += 1;
        }
    }

    fn ask_to_end(&mut self, watch: &mut Watch) {
        let is_stop = self.rng.chance(0.45);
        let event = if is_stop { Happening::Stop } else { Happening::Drain };
        self.events[event as usize] += 1;
        if is_stop {
            watch.asked_to_stop();
        } else {
            watch.asked_to_drain();
        }
        match (is_stop, self.rng.chance(0.5)) {
            (false, false) => self.world.notify(ControlEvent::Drain),
            (false, true) => self.server.handle().drain(),
            (true, false) => self.world.notify(ControlEvent::Stop),
            (true, true) => self.server.handle().stop(),
        }
    }

    fn turn(&mut self, watch: &mut Watch) {
        watch.before_turn(self);
        self.server.turn().expect("a poll never fails here");
        self.listen_to_all();
        watch.after_turn(self);
    }

    fn listen_to_all(&mut self) {
        self.guests.iter_mut().for_each(Guest::listen);
        if let Some(letters) = &mut self.letters {
            letters.take_answers(&self.world);
        }
    }

    /// Faults end; the server goes on until nothing is left to happen.
    fn come_to_rest(&mut self, watch: &mut Watch) {
        self.world.disable_faults();
        self.guests.iter().for_each(Guest::hurry);
        for _ in 0..CALM_TURNS_MAX {
            if self.server.is_done() || self.world.rest() == Progress::Idle {
                return;
            }
            self.turn(watch);
        }
        panic!("no rest after {CALM_TURNS_MAX} calm turns");
    }

    /// A last drain; and the peers see what came of it.
    fn end(&mut self, watch: &mut Watch) {
        if !self.server.is_done() {
            self.world.notify(ControlEvent::Drain);
            watch.asked_to_drain();
            for _ in 0..10 {
                if !self.server.is_done() {
                    self.turn(watch);
                }
            }
        }
        assert!(self.server.is_done(), "the server does not end though nobody is there");
        // What the server wrote last still has to reach those who read slowly.
        for _ in 0..CALM_TURNS_MAX {
            self.world.run_peers();
            self.listen_to_all();
            if self.world.rest() == Progress::Idle {
                return;
            }
        }
    }
}

fn draw_server_limits(rng: &mut Rng) -> ServerLimits {
    let unlimited = ServerLimits::default();
    ServerLimits {
        connections_max: if rng.chance(0.3) { rng.up_to(8) } else { unlimited.connections_max },
        connections_per_address_max: if rng.chance(0.2) { rng.up_to(4) } else { unlimited.connections_per_address_max },
        when_full: rng.pick(&[WhenFull::Pause, WhenFull::Refuse]),
        // From two peers' worth of pages, so that it is spent often.
        queue_total_max: if rng.chance(0.4) { 8192 << rng.below(8) } else { unlimited.queue_total_max },
        drain_timeout: draw_timeout(rng),
        ..unlimited
    }
}
