//! `RunObserver`: makes the log of a run, one turn after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use super::decisions::{self, Decision};
use super::describe::describe;
use super::names::Names;
use super::words::Seconds;
use super::{ConnectionState, EndpointHeader, LineKind, LogLine, RunLog, TurnLog, TurnState, TurnStep};
use crate::event_loop::{EventLoop, LoopView, PeerCursor, PeerView, Snapshot, Stage, peer_token};
use crate::instant::Instant;
use crate::net::Net;
use crate::trace::{KernelBuffers, Lesson, TraceEntry, TraceEvent, TraceLog};

/// The most entries of a log: turns, their lines and their changes. They use about 60 MB.
const ENTRIES_MAX: usize = 500_000;

/// Observes an event loop after each turn.
#[derive(Debug)]
pub struct RunObserver {
    trace: TraceLog,
    names: Names,
    run: RunLog,
    services: Vec<String>,
    entries: usize,
    entries_max: usize,
    states: BTreeMap<usize, ConnectionState>,
    /// For each endpoint, whether an accept may succeed after the last turn.
    acceptable: Vec<bool>,
    stage: Stage,
}

impl RunObserver {
    /// Creates the observer of one run, before its first turn. The network of the loop adds its calls to `trace`.
    pub fn new(title: impl Into<String>, trace: TraceLog) -> Self {
        Self {
            trace,
            names: Names::default(),
            run: RunLog { title: title.into(), ..RunLog::default() },
            services: Vec::new(),
            entries: 0,
            entries_max: ENTRIES_MAX,
            states: BTreeMap::new(),
            acceptable: Vec::new(),
            stage: Stage::Running,
        }
    }

    /// Adds the words for the service and the framing of the next endpoint, for the header of the log.
    #[must_use]
    pub fn with_service(mut self, service: impl Into<String>) -> Self {
        self.services.push(service.into());
        self
    }

    /// Limits the entries of the log: turns, their lines and their changes. Turns beyond it are only counted.
    #[must_use]
    pub fn with_entries_max(self, entries_max: usize) -> Self {
        Self { entries_max, ..self }
    }

    /// Adds what happened since the last call. Call it before the first turn and after each turn.
    ///
    /// `kernel` has the kernel buffers of all streams, or nothing if the network does not know them.
    pub fn after_turn<N: Net + 'static>(&mut self, event_loop: &EventLoop<N>, kernel: &[KernelBuffers]) {
        let snapshot = event_loop.snapshot();
        if self.run.endpoints.is_empty() {
            self.add_endpoints(event_loop, &snapshot);
        }
        let number = event_loop.totals().turns;
        let (lines, moved) = self.describe(number);
        let mut states = self.waiting(kernel);
        let mut from = Some(PeerCursor::default());
        while let Some(cursor) = from {
            from = LoopView::peers(event_loop, cursor, &mut |view| self.add_state(&view, &moved, &mut states));
        }
        let state = TurnState {
            open: snapshot.open,
            marked: snapshot.endpoints.iter().map(|endpoint| endpoint.marked).sum(),
            queued_len: states.values().map(|state| state.output_len).sum(),
            lent_bytes: snapshot.lent_bytes,
            lent_bytes_max: snapshot.lent_bytes_max,
            moved_len: moved.values().fold(0, |sum: usize, len| sum.saturating_add(*len)),
            moved_len_max: snapshot.turn_bytes,
            sleeps_until: snapshot.sleeps_until,
            stage: snapshot.stage,
        };
        let mut turn = TurnLog { number, at: snapshot.now, lines, changes: self.changes(&states), state };
        self.add_decisions(&states, &mut turn.lines);
        self.add_loop_decisions(&snapshot, &mut turn.lines);
        self.add_turn(turn, states);
    }

    /// Adds what a hand-written loop without an [`EventLoop`] did since the last call, as turn `number`.
    ///
    /// Only its calls are known, so there are no decisions.
    pub fn after_calls(&mut self, number: u64, at: Instant, kernel: &[KernelBuffers]) {
        let (lines, _) = self.describe(number);
        let states = self.waiting(kernel);
        let turn = TurnLog { number, at, lines, changes: self.changes(&states), state: TurnState::default() };
        self.add_turn(turn, states);
    }

    /// The log of the run.
    pub fn into_log(mut self) -> RunLog {
        self.run.connections = self.names.connections;
        self.run
    }

    fn add_endpoints<N: Net + 'static>(&mut self, event_loop: &EventLoop<N>, snapshot: &Snapshot) {
        for index in 0..snapshot.endpoints.len() {
            let name = LoopView::local_address(event_loop, index);
            self.run.endpoints.push(EndpointHeader {
                name: name.map_or_else(|| "outbound connections".to_owned(), ToString::to_string),
                service: self.services.get(index).cloned().unwrap_or_default(),
                limits: LoopView::limits(event_loop, index).cloned(),
            });
        }
    }

    /// Describes the entries of turn `number`, and counts the bytes that were moved for each stream.
    fn describe(&mut self, number: u64) -> (Vec<LogLine>, BTreeMap<usize, usize>) {
        let (mut lines, mut moved): (Vec<LogLine>, _) = (Vec::new(), BTreeMap::new());
        let is_after_last = self.run.turns.last().is_some_and(|last| last.number == number);
        let mut step = TurnStep::Sleep;
        for entry in merged(self.trace.take()) {
            self.names.learn(&entry);
            if let TraceEntry::Event(
                TraceEvent::Read { wire, result: Ok(len), .. } | TraceEvent::Wrote { wire, result: Ok(len), .. },
            ) = entry
            {
                let sum: &mut usize = moved.entry(wire).or_default();
                *sum = sum.saturating_add(len);
            }
            // After the last turn, the network polls without the loop.
            if is_after_last && matches!(entry, TraceEntry::Event(TraceEvent::Polled { .. })) {
                continue;
            }
            if is_registration(&entry, lines.last()) {
                continue;
            }
            let Some(line) = describe(&entry, step, &self.names) else { continue };
            if line.kind == LineKind::Call {
                // Faults are injected into the call that follows them.
                let faults = lines.iter_mut().rev().take_while(|last| last.kind == LineKind::Fault);
                faults.for_each(|fault| fault.connection = line.connection);
            }
            step = line.step;
            lines.push(line);
        }
        (lines, moved)
    }

    /// The states of all streams that the network knows, as if they waited to be accepted.
    fn waiting(&mut self, kernel: &[KernelBuffers]) -> BTreeMap<usize, ConnectionState> {
        let state = |buffers: &KernelBuffers| {
            self.names.header(buffers.wire);
            (buffers.wire, ConnectionState { kernel: Some(*buffers), ..ConnectionState::WAITING })
        };
        kernel.iter().map(state).collect()
    }

    fn add_turn(&mut self, turn: TurnLog, states: BTreeMap<usize, ConnectionState>) {
        self.states = states;
        let is_after_last = self.run.turns.last().is_some_and(|last| last.number == turn.number);
        if is_after_last && turn.lines.is_empty() && turn.changes.is_empty() {
            return;
        }
        self.entries = self.entries.saturating_add(1 + turn.lines.len() + turn.changes.len());
        if self.entries <= self.entries_max {
            self.run.turns.push(turn);
        } else {
            self.run.turns_left_out += 1;
        }
    }

    /// Adds the state of a peer, if its stream is known.
    fn add_state(
        &mut self,
        PeerView { endpoint, peer }: &PeerView,
        moved: &BTreeMap<usize, usize>,
        states: &mut BTreeMap<usize, ConnectionState>,
    ) {
        let Some(wire) = self.names.wire_of_token(peer_token(*endpoint, peer.key).0) else { return };
        let header = self.names.header(wire);
        header.endpoint = Some(*endpoint);
        if let Some(address) = peer.address.filter(|_| header.address.is_empty()) {
            header.address = address.to_string();
        }
        let state = ConnectionState {
            stage: Some(peer.stage),
            role: peer.role,
            kernel: states.get(&wire).and_then(|state| state.kernel),
            readable: peer.readable,
            writable: peer.writable,
            is_marked: peer.is_marked,
            input_len: peer.input_len,
            output_len: peer.output_len,
            moved_len: moved.get(&wire).copied().unwrap_or_default(),
            read: peer.halves.read(),
            write: peer.halves.write(),
            pause: peer.read_pause,
            timeout: peer.timeout,
            deadline: peer.deadline,
            reason: peer.halves.reason(),
            is_closed: peer.closed.is_some(),
        };
        states.insert(wire, state);
    }

    /// The states that differ from those after the last turn.
    fn changes(&self, states: &BTreeMap<usize, ConnectionState>) -> Vec<(usize, Option<ConnectionState>)> {
        let wires: BTreeSet<usize> = states.keys().chain(self.states.keys()).copied().collect();
        let changed = wires.into_iter().filter(|wire| states.get(wire) != self.states.get(wire));
        changed.map(|wire| (wire, states.get(&wire).copied())).collect()
    }

    /// Adds what the loop decided about each connection, behind the last line about it.
    fn add_decisions(&self, states: &BTreeMap<usize, ConnectionState>, lines: &mut Vec<LogLine>) {
        let places = lines.iter().enumerate().filter_map(|(at, line)| Some((line.connection?, (at, line.step))));
        let last: BTreeMap<usize, (usize, TurnStep)> = places.collect();
        let mut placed: Vec<(usize, LogLine)> = mem::take(lines).into_iter().enumerate().collect();
        for (wire, after) in states {
            let before = self.states.get(wire).unwrap_or(&ConnectionState::WAITING);
            if before == after && !after.is_marked {
                continue;
            }
            let endpoint = self.names.connections.get(*wire).and_then(|header| header.endpoint);
            let limits = endpoint.and_then(|index| self.run.endpoints.get(index)?.limits.as_ref());
            let decisions = decisions::compare(&self.names.wire(*wire), before, after, limits);
            let (at, step) = last.get(wire).copied().unwrap_or((usize::MAX, TurnStep::Serve));
            placed.extend(decisions.into_iter().map(|decision| (at, line(step, Some(*wire), decision))));
        }
        // The sort is stable: a decision stays behind the line with its place.
        placed.sort_by_key(|(at, _)| *at);
        lines.extend(placed.into_iter().map(|(_, line)| line));
    }

    /// Adds what changed about the listeners and the shutdown.
    fn add_loop_decisions(&mut self, snapshot: &Snapshot, lines: &mut Vec<LogLine>) {
        let retry_at = snapshot.sleeps_until.filter(|at| *at != Instant::ORIGIN);
        let retry = retry_at.map_or_else(String::new, |at| format!(", at the latest at {}", Seconds(at)));
        let acceptable = snapshot.endpoints.iter().zip(&self.run.endpoints);
        let acceptable: Vec<bool> = acceptable
            .map(|(endpoint, header)| endpoint.is_acceptable && endpoint.is_listening && header.limits.is_some())
            .collect();
        self.acceptable.resize(acceptable.len(), false);
        for (index, is_acceptable) in acceptable.iter().enumerate() {
            if *is_acceptable && !self.acceptable[index] {
                let name = &self.run.endpoints[index].name;
                let sentence =
                    format!("connections may wait at {name}: the loop remembers it and accepts again{retry}");
                lines.push(line(TurnStep::Accept, None, (Some(Lesson::Errors), sentence)));
            }
        }
        self.acceptable = acceptable;
        if self.stage != snapshot.stage {
            self.stage = snapshot.stage;
            let sentence = format!("the loop is {} from here on", snapshot.stage.name());
            lines.push(line(TurnStep::Reap, None, (None, sentence)));
        }
    }
}

fn line(step: TurnStep, connection: Option<usize>, (lesson, text): Decision) -> LogLine {
    LogLine { step, kind: LineKind::Decision, connection, lesson, moved: None, text }
}

/// Whether an entry is the registration of the stream that the last line accepts. It needs no line of its own.
fn is_registration(entry: &TraceEntry, last: Option<&LogLine>) -> bool {
    let TraceEntry::Event(TraceEvent::Registered { wire, result: Ok(()), .. }) = entry else { return false };
    last.is_some_and(|last| last.step == TurnStep::Accept && last.connection == Some(*wire))
}

/// Joins reads of one peer in a row to one, and writes as well.
fn merged(entries: Vec<TraceEntry>) -> Vec<TraceEntry> {
    let mut all: Vec<TraceEntry> = Vec::with_capacity(entries.len());
    for entry in entries {
        match (all.last_mut(), &entry) {
            (
                Some(TraceEntry::Event(TraceEvent::PeerRead { peer, len })),
                TraceEntry::Event(TraceEvent::PeerRead { peer: same, len: more }),
            )
            | (
                Some(TraceEntry::Event(TraceEvent::PeerWrote { peer, len })),
                TraceEntry::Event(TraceEvent::PeerWrote { peer: same, len: more }),
            ) if peer == same => *len = len.saturating_add(*more),
            (Some(_) | None, _) => all.push(entry),
        }
    }
    all
}
