//! One simulated run, drawn from a seed: a world, a server with its endpoints, and their peers.
//!
//! It takes turns; what must hold after each is in `watch`.

use std::time::Duration;

use readyloop::codec::{ByteOrder, Fixed, Framing, Length, LengthWidth, Lines, Raw};
use readyloop::service::{Chargen, Chat, Discard, Echo};
use readyloop::sim::{FaultCounts, Faults, Rest, Rng, SimNet, World};
use readyloop::watermark::Watermarks;
use readyloop::{Address, Limits, Listen, ListenOptions, Notice, Poster, Server, ServerLimits, Service, WhenFull};

use super::crowd::{Guest, Place, Talk};
use super::services::{Deed, Mischief, Shared, Witness};
use super::watch::Watch;

/// The most turns of one run while faults strike.
const STEPS_MAX: usize = 2000;
/// The most peers of one run.
const GUESTS_MAX: usize = 48;
/// How many of them at most come at once.
const PARTY_MAX: usize = 12;
/// From which port the first peer comes; each later one from the next.
const PORT_FIRST: u16 = 1024;
/// Turns after which a world without faults must have come to rest.
const CALM_TURNS_MAX: usize = 20_000;

/// What a run leaves behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) steps: u64,
    pub(super) trace_hash: u64,
    pub(super) faults: FaultCounts,
    pub(super) deeds: [u64; Deed::NAMES.len()],
    pub(super) events: [u64; EVENTS.len()],
}

/// What the run itself brings about, or the limits it draws.
pub(super) const EVENTS: [&str; 6] =
    ["drain at any step", "stop at any step", "post", "refused: full table", "refused: full address", "budget spent"];

/// A run.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) server: Server<SimNet>,
    pub(super) server_limits: ServerLimits,
    pub(super) guests: Vec<Guest>,
    pub(super) places: Vec<Place>,
    pub(super) log: Shared,
    posters: Vec<Poster<()>>,
    rng: Rng,
    is_short: bool,
    guests_max: usize,
    steps: usize,
    events: [u64; EVENTS.len()],
}

impl Scene {
    /// The run of a seed; with `is_traced` its world writes down all that happens.
    pub(super) fn draw(seed: u64, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed);
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
        let mut scene = Self {
            server: Server::new(world.net(), server_limits.clone()),
            world,
            server_limits,
            guests: Vec::new(),
            places: Vec::new(),
            log: Shared::default(),
            posters: Vec::new(),
            is_short,
            guests_max: rng.up_to(GUESTS_MAX),
            // As many short runs as long ones: much happens only at the beginning, or late.
            steps: (STEPS_MAX >> rng.below(8)).max(1),
            rng,
            events: Default::default(),
        };
        for _ in 0..scene.rng.up_to(3) {
            scene.open_endpoint();
        }
        scene
    }

    fn open_endpoint(&mut self) {
        let talks = [Talk::Echo { prefix: "" }, Talk::Echo { prefix: "> " }, Talk::Mischief, Talk::Chat];
        let talk = match self.rng.below(10) {
            0 => Talk::Chargen,
            1 => Talk::Discard,
            _ => self.rng.pick(&talks),
        };
        let mut limits = draw_limits(&mut self.rng);
        let framing = draw_framing(talk, &limits, &mut self.rng);
        if talk == Talk::Chat {
            // Its lines are this long, whatever was drawn.
            limits.frame_len_max = limits.frame_len_max.max(64);
        }
        let backlog = if self.rng.chance(0.3) { self.rng.up_to(8) as u32 } else { 4096 };
        let address: Address = "127.0.0.1:0".parse().expect("an address");
        let socket = ListenOptions { backlog, ..ListenOptions::default() };
        let listen = Listen { socket, limits: limits.clone(), ..Listen::from(address) };
        let address = match talk {
            Talk::Echo { prefix } => self.listen(listen, framing, Echo::with_prefix(prefix)),
            Talk::Mischief => {
                let probability = 0.4 * 0.5_f64.powi(self.rng.below(6) as i32);
                let rng = self.rng.fork();
                let mischief = Mischief::new(self.places.len(), rng, probability, bad_reply(framing), self.log.clone());
                self.listen(listen, framing, mischief)
            }
            Talk::Chat => self.listen(listen, framing, Chat::new()),
            Talk::Chargen => self.listen(listen, framing, Chargen::new()),
            Talk::Discard => self.listen(listen, framing, Discard),
        };
        self.places.push(Place { address, talk, framing, limits });
    }

    fn listen<S: Service<Post = ()> + 'static>(&mut self, listen: Listen, framing: Framing, inner: S) -> Address {
        let service = Witness { room: self.places.len(), log: self.log.clone(), inner };
        let endpoint = self.server.listen(listen, framing, service).expect("nobody else is bound there");
        self.posters.push(endpoint.poster());
        self.server.local_address(&endpoint).clone()
    }

    /// Runs to its end, and checks every step.
    pub(super) fn run(mut self) -> Outcome {
        let mut watch = Watch::default();
        self.run_with_faults(&mut watch);
        self.come_to_rest(&mut watch);
        watch.check_rest(&self);
        self.end(&mut watch);
        watch.check_end(&self);
        let totals = self.server.totals();
        self.events[3] = totals.refused_full;
        self.events[4] = totals.refused_address;
        self.events[5] = totals.closed(readyloop::CloseReason::BudgetSpent);
        let deeds = self.log.lock().deeds;
        Outcome {
            steps: watch.turns(),
            trace_hash: self.world.trace_hash(),
            faults: self.world.fault_counts(),
            deeds,
            events: self.events,
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
                self.post();
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
            self.guests.push(Guest::connect(&self.world, &place, port, &mut self.rng));
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

    fn post(&mut self) {
        let poster = self.rng.below(self.posters.len());
        // A full inbox is no wonder: nothing that was posted has been taken if the server never turned.
        if self.posters[poster].post(()).is_ok() {
            self.events[2] += 1;
        }
    }

    fn ask_to_end(&mut self, watch: &mut Watch) {
        let is_stop = self.rng.chance(0.45);
        self.events[usize::from(is_stop)] += 1;
        if is_stop {
            watch.asked_to_stop();
        } else {
            watch.asked_to_drain();
        }
        match (is_stop, self.rng.chance(0.5)) {
            (false, false) => self.world.notify(Notice::Drain),
            (false, true) => self.server.handle().drain(),
            (true, false) => self.world.notify(Notice::Stop),
            (true, true) => self.server.handle().stop(),
        }
    }

    fn turn(&mut self, watch: &mut Watch) {
        watch.before_turn(self);
        self.server.turn().expect("a poll never fails here");
        self.guests.iter_mut().for_each(Guest::listen);
        watch.after_turn(self);
    }

    /// Faults end; the server goes on until nothing is left to happen.
    fn come_to_rest(&mut self, watch: &mut Watch) {
        self.world.calm();
        self.guests.iter().for_each(Guest::hurry);
        for _ in 0..CALM_TURNS_MAX {
            if self.server.is_done() || self.world.rest() == Rest::Quiet {
                return;
            }
            self.turn(watch);
        }
        panic!("no rest after {CALM_TURNS_MAX} calm turns");
    }

    /// A last drain; and the peers see what came of it.
    fn end(&mut self, watch: &mut Watch) {
        if !self.server.is_done() {
            self.world.notify(Notice::Drain);
            watch.asked_to_drain();
            for _ in 0..10 {
                if !self.server.is_done() {
                    self.turn(watch);
                }
            }
        }
        assert!(self.server.is_done(), "the server does not end though nobody is there");
        // What the server wrote last still has to reach those who read slowly.
        let mut net = self.world.net();
        for _ in 0..CALM_TURNS_MAX {
            readyloop::net::Net::poll(&mut net, &mut Vec::new(), None).expect("a poll never fails here");
            self.guests.iter_mut().for_each(Guest::listen);
            if self.world.rest() == Rest::Quiet {
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

fn draw_limits(rng: &mut Rng) -> Limits {
    let high = 1 << (4 + rng.below(14));
    let usual = Limits::default();
    let is_hasty = rng.chance(0.5);
    let mut timeout = |usual| if is_hasty { draw_timeout(rng) } else { usual };
    Limits {
        idle_timeout: timeout(usual.idle_timeout),
        frame_timeout: timeout(usual.frame_timeout),
        write_timeout: timeout(usual.write_timeout),
        linger_timeout: timeout(usual.linger_timeout),
        queue: Watermarks::new(rng.below(high), high),
        frame_len_max: 1 << (5 + rng.below(9)),
        linger_bytes_max: 1 << rng.below(25),
        ..usual
    }
}

/// From a millisecond to four minutes; short and long are equally likely.
fn draw_timeout(rng: &mut Rng) -> Duration {
    Duration::from_micros(1 << (10 + rng.below(19)))
}

fn draw_framing(talk: Talk, limits: &Limits, rng: &mut Rng) -> Framing {
    let lines = Framing::Lines(Lines::new().with_exit());
    let order = rng.pick(&[ByteOrder::Big, ByteOrder::Little]);
    let width = rng.pick(&[LengthWidth::U8, LengthWidth::U16, LengthWidth::U32, LengthWidth::U64]);
    let length = Framing::Length(Length { width, order });
    let long = Framing::Length(Length { width: LengthWidth::U32, order });
    let fixed = Framing::Fixed(Fixed::new(rng.up_to(limits.frame_len_max)));
    match talk {
        Talk::Chargen => Framing::Raw(Raw),
        // A prefix needs an envelope that has room for it.
        Talk::Chat | Talk::Echo { prefix: "> " } => rng.pick(&[lines, long]),
        Talk::Echo { .. } | Talk::Mischief | Talk::Discard => rng.pick(&[Framing::Raw(Raw), lines, length, fixed]),
    }
}

/// What a framing cannot carry; empty where it can carry everything.
fn bad_reply(framing: Framing) -> &'static [u8] {
    match framing {
        Framing::Lines(_) => b"two\nlines",
        Framing::Length(Length { width: LengthWidth::U8, .. }) => &[b'x'; 256],
        Framing::Length(_) | Framing::Raw(_) | Framing::Fixed(_) => b"",
    }
}
