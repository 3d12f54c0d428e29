//! The run in the format of Chrome trace events, which https://ui.perfetto.dev opens.
//!
//! The format is the "Trace Event Format" of Chromium, as an object with `traceEvents`. A turn is a slice
//! (`B`, `E`) with its steps inside it, a connection an async track (`b`, `e`), each line an instant (`i`), and the
//! state of the loop counters (`C`).
//!
//! Within a turn the clock of the loop stands still. So that slices have a width, each line takes one
//! microsecond, and the arguments of a turn hold its real time.

use std::collections::BTreeSet;

use readyloop::run_log::{LineKind, LogLine, RunLog, TurnLog, TurnStep};
use serde_json::{Value, json};

/// The process and its tracks, as numbers.
const PROCESS: u32 = 1;
const LOOP: u32 = 1;

/// The trace of a run as JSON.
pub(super) fn print(log: &RunLog) -> String {
    let mut trace = Trace { log, text: String::new(), now_us: 0, open: BTreeSet::new() };
    trace.metadata("process_name", &format!("readyloop: {}", log.title));
    trace.metadata("thread_name", "event loop");
    log.turns.iter().for_each(|turn| trace.add_turn(turn));
    for wire in std::mem::take(&mut trace.open) {
        trace.connection("e", wire);
    }
    trace.text + "\n]}\n"
}

struct Trace<'a> {
    log: &'a RunLog,
    /// The JSON so far: a line for each event.
    text: String,
    /// The time of the next event.
    now_us: u64,
    /// The connections with an open track.
    open: BTreeSet<usize>,
}

impl Trace<'_> {
    fn add(&mut self, event: &Value) {
        self.text += if self.text.is_empty() { "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" } else { ",\n" };
        self.text += &event.to_string();
    }

    fn metadata(&mut self, name: &str, value: &str) {
        self.add(&json!({"ph": "M", "name": name, "pid": PROCESS, "tid": LOOP, "args": {"name": value}}));
    }

    fn slice(&mut self, phase: &str, name: &str, args: Value) {
        let now = self.now_us;
        self.add(&json!({
            "ph": phase, "name": name, "cat": "turn", "pid": PROCESS, "tid": LOOP, "ts": now, "args": args,
        }));
    }

    /// Begins or ends the track of a connection.
    fn connection(&mut self, phase: &str, wire: usize) {
        let Some(header) = self.log.connections.get(wire) else { return };
        let now = self.now_us;
        self.add(&json!({
            "ph": phase, "name": header.name, "cat": "connection", "id": wire, "pid": PROCESS, "tid": LOOP, "ts": now,
            "args": {"address": header.address},
        }));
    }

    fn add_turn(&mut self, turn: &TurnLog) {
        self.now_us = self.now_us.max(turn.at.as_nanos() / 1000);
        let name = format!("turn {}", turn.number);
        self.slice("B", &name, json!({"time_ns": turn.at.as_nanos()}));
        let mut step = None;
        for line in &turn.lines {
            if step != Some(line.step) {
                self.end_step(step.map(|step: TurnStep| step.name()));
                self.slice("B", line.step.name(), json!({}));
                step = Some(line.step);
            }
            self.add_line(line);
        }
        self.end_step(step.map(|step| step.name()));
        self.add_changes(turn);
        self.add_counters(turn);
        self.slice("E", &name, json!({}));
        self.now_us = self.now_us.saturating_add(1);
    }

    fn end_step(&mut self, step: Option<&str>) {
        if let Some(step) = step {
            self.slice("E", step, json!({}));
        }
    }

    fn add_line(&mut self, line: &LogLine) {
        let now = self.now_us;
        self.add(&json!({
            "ph": "i", "s": "t", "name": line.text, "cat": line.kind.name(), "pid": PROCESS, "tid": LOOP, "ts": now,
            "args": line.lesson.map_or_else(|| json!({}), |lesson| json!({"lesson": lesson.number()})),
        }));
        if let Some(wire) = line.connection.filter(|wire| self.open.contains(wire) && line.kind == LineKind::Decision) {
            self.add(&json!({
                "ph": "n", "name": line.text, "cat": "connection", "id": wire, "pid": PROCESS, "tid": LOOP, "ts": now,
                "args": {},
            }));
        }
        self.now_us = self.now_us.saturating_add(1);
    }

    /// Opens and closes the tracks of connections.
    fn add_changes(&mut self, turn: &TurnLog) {
        for (wire, state) in &turn.changes {
            match state {
                Some(_) if self.open.insert(*wire) => self.connection("b", *wire),
                None if self.open.remove(wire) => self.connection("e", *wire),
                Some(_) | None => {}
            }
        }
    }

    fn add_counters(&mut self, turn: &TurnLog) {
        let (state, now) = (&turn.state, self.now_us);
        let counters = [
            ("open", state.open),
            ("marked", state.marked),
            ("queued bytes", state.queued_len),
            ("moved bytes", state.moved_len),
        ];
        for (name, value) in counters {
            self.add(&json!({
                "ph": "C", "name": name, "pid": PROCESS, "tid": LOOP, "ts": now, "args": {"value": value},
            }));
        }
    }
}
