//! `Run`: the turns of one simulated run, with random connects, messages and shutdowns between them.

use super::invariants::Invariants;
use super::outcome::{RunEvent, RunEventCounts, SimOutcome};
use super::peers::{PORT_FIRST, SimEndpoint, TestPeer};
use super::run_state::{RunState, SimSetup, draw_timeout};
use crate::connection::CloseReason;
use crate::net::ControlEvent;
use crate::run_log::RunObserver;
use crate::sim::WorldProgress;
use crate::trace::TraceLog;

/// The most turns of one run with faults.
const STEPS_MAX: usize = 2000;
/// The most peers of one run.
const PEERS_MAX: usize = 48;
/// The most peers that connect before one turn.
const NEW_PEERS_MAX: usize = 12;
/// The most turns without faults until the world is idle.
const FAULTLESS_TURNS_MAX: usize = 20_000;

/// The run of one seed.
pub(super) struct Run<'a> {
    pub(super) state: RunState,
    setup: &'a dyn SimSetup,
    invariants: Invariants,
    /// The observer for the story; `None` if none is kept.
    pub(super) observer: Option<RunObserver>,
    peers_max: usize,
    steps: usize,
    events: RunEventCounts,
}

impl<'a> Run<'a> {
    /// Draws the run of a seed.
    pub(super) fn draw(seed: u64, setup: &'a dyn SimSetup, trace: Option<TraceLog>) -> Self {
        let mut state = RunState::draw(seed, trace);
        let peers_max = state.rng.up_to(PEERS_MAX);
        // All orders of magnitude are equally likely, because much happens only early or only late.
        let steps = (STEPS_MAX >> state.rng.below(8)).max(1);
        setup.open_endpoints(&mut state);
        let observer = state.trace.clone().map(|trace| {
            let services = state.endpoints.iter().map(SimEndpoint::service_in_words);
            services.fold(RunObserver::new(format!("Seed {seed}"), trace), RunObserver::with_service)
        });
        let invariants = Invariants::default();
        let mut run = Self { state, setup, invariants, observer, peers_max, steps, events: Default::default() };
        run.observe();
        run
    }

    /// Runs to the end and checks every turn. A violation panics.
    pub(super) fn run(&mut self) -> SimOutcome {
        self.run_with_faults();
        self.run_until_idle();
        self.invariants.check_idle(&self.state);
        self.shut_down();
        self.invariants.check_end(&self.state);
        self.count_events();
        let misdeeds = self.state.log.lock().misdeeds;
        SimOutcome {
            turns: self.invariants.turns,
            trace_hash: self.state.world.trace_hash(),
            faults: self.state.world.fault_counts(),
            misdeeds,
            events: self.events,
        }
    }

    fn count_events(&mut self) {
        let totals = self.state.server.totals();
        let has_wrapped = self.state.has_last_generations && totals.peers.opened > 4;
        let cut_short = if self.state.has_short_turns { self.invariants.turns_with_marks_left } else { 0 };
        let counts = [
            (RunEvent::RefusedFull, totals.refused_full),
            (RunEvent::RefusedAddress, totals.refused_address),
            (RunEvent::BudgetSpent, totals.closed(CloseReason::BudgetSpent)),
            (RunEvent::TooSlow, totals.closed(CloseReason::TooSlow)),
            (RunEvent::MaxLifetime, totals.closed(CloseReason::MaxLifetime)),
            (RunEvent::WrappedGeneration, u64::from(has_wrapped)),
            (RunEvent::TurnCutShort, cut_short),
            (RunEvent::DatagramAnswered, totals.datagrams.answered),
            (RunEvent::DatagramRefused, totals.datagrams.refused_total()),
        ];
        for (event, count) in counts {
            self.events[event as usize] = count;
        }
    }

    fn run_with_faults(&mut self) {
        let (ends_early, sends_messages) = (self.state.rng.chance(0.5), self.state.rng.chance(0.5));
        let end_probability = if ends_early { 2.0 / self.steps as f64 } else { 0.0 };
        let lame_duck_probability = if self.state.lame_duck_rng.chance(0.4) { 2.0 / self.steps as f64 } else { 0.0 };
        let shutdown_probability = if self.state.shutdown_rng.chance(0.4) { 2.0 / self.steps as f64 } else { 0.0 };
        for step in 0..self.steps {
            if self.state.peers.len() < self.peers_max && (step == 0 || self.state.rng.chance(0.1)) {
                self.connect_some();
            }
            if sends_messages && self.state.rng.chance(0.02) {
                self.send_message();
            }
            if let Some(datagrams) = &mut self.state.datagrams {
                datagrams.send_some(&self.state.world, &mut self.state.side_rng);
            }
            if self.state.lame_duck_rng.chance(lame_duck_probability) {
                self.request_lame_duck();
            }
            if self.state.shutdown_rng.chance(shutdown_probability) {
                self.request_staged_shutdown();
            }
            if self.state.rng.chance(end_probability) {
                self.request_shutdown();
            }
            self.turn();
            if self.state.server.is_done() {
                return;
            }
        }
    }

    fn connect_some(&mut self) {
        let RunState { world, endpoints, peers, rng, .. } = &mut self.state;
        let left = self.peers_max - peers.len();
        for _ in 0..rng.up_to(left.min(NEW_PEERS_MAX)) {
            let endpoint = &endpoints[rng.below(endpoints.len())];
            let port = PORT_FIRST + peers.len() as u16;
            let plan = |len, rng: &mut _| self.setup.draw_plan(endpoint, port, len, rng);
            peers.push(TestPeer::connect(world, endpoint, port, rng, plan));
        }
    }

    fn send_message(&mut self) {
        let RunState { senders, rng, .. } = &mut self.state;
        if senders.is_empty() {
            return;
        }
        // A full inbox is possible, because the server takes messages only in its turns.
        if senders[rng.below(senders.len())].send(()).is_ok() {
            self.events[RunEvent::Message as usize] += 1;
        }
    }

    fn request_shutdown(&mut self) {
        let RunState { world, server, rng, .. } = &mut self.state;
        let is_stop = rng.chance(0.45);
        let event = if is_stop { RunEvent::Stop } else { RunEvent::Drain };
        self.events[event as usize] += 1;
        if is_stop {
            self.invariants.stop_requested();
        } else {
            self.invariants.drain_requested();
        }
        match (is_stop, rng.chance(0.5)) {
            (false, false) => world.notify(ControlEvent::Drain),
            (false, true) => server.handle().drain(),
            (true, false) => world.notify(ControlEvent::Stop),
            (true, true) => server.handle().stop(),
        }
    }

    /// Makes the server wait until its peers have left. At the end of the wait, it drains by itself.
    fn request_lame_duck(&mut self) {
        let timeout = draw_timeout(&mut self.state.lame_duck_rng);
        self.events[RunEvent::LameDuck as usize] += 1;
        self.invariants.drain_requested();
        if self.state.lame_duck_rng.chance(0.5) {
            self.state.world.notify(ControlEvent::LameDuck(timeout));
        } else {
            self.state.server.handle().lame_duck(timeout);
        }
    }

    /// Begins a shutdown in stages. A repeated request drains.
    fn request_staged_shutdown(&mut self) {
        self.events[RunEvent::ShutDown as usize] += 1;
        self.invariants.drain_requested();
        if self.state.shutdown_rng.chance(0.5) {
            self.state.world.notify(ControlEvent::ShutDown);
        } else {
            self.state.server.handle().shut_down();
        }
    }

    fn turn(&mut self) {
        self.invariants.before_turn(&self.state);
        self.state.server.turn(None).expect("a simulated poll does not fail");
        self.observe();
        self.check_received();
        self.invariants.after_turn(&self.state);
    }

    /// Adds the last turn to the story.
    pub(super) fn observe(&mut self) {
        if let Some(observer) = &mut self.observer {
            observer.after_turn(&self.state.server, &self.state.world.kernel_buffers());
        }
    }

    fn check_received(&mut self) {
        self.state.peers.iter_mut().for_each(TestPeer::check_received);
        if let Some(datagrams) = &mut self.state.datagrams {
            datagrams.take_answers(&self.state.world);
        }
    }

    /// Ends the faults and runs until nothing is left to do.
    fn run_until_idle(&mut self) {
        self.state.world.disable_faults();
        self.state.peers.iter().for_each(TestPeer::speed_up);
        for _ in 0..FAULTLESS_TURNS_MAX {
            if self.state.server.is_done() || self.state.world.progress() == WorldProgress::Idle {
                return;
            }
            self.turn();
        }
        panic!("still not idle after {FAULTLESS_TURNS_MAX} turns without faults");
    }

    /// Drains the server, then lets the peers read what it wrote last.
    fn shut_down(&mut self) {
        if !self.state.server.is_done() {
            self.state.world.notify(ControlEvent::Drain);
            self.invariants.drain_requested();
            for _ in 0..10 {
                if !self.state.server.is_done() {
                    self.turn();
                }
            }
        }
        assert!(self.state.server.is_done(), "the server does not end, although no peer is open");
        for _ in 0..FAULTLESS_TURNS_MAX {
            self.state.world.run_peers();
            self.observe();
            self.check_received();
            if self.state.world.progress() == WorldProgress::Idle {
                return;
            }
        }
    }
}
