//! The log of a run as compact JSON, for the script of its page. Each turn is printed at once, as the log may be long.
//!
//! A turn holds only what has changed. Repeated words are numbers: positions in one list.

use readyloop::instant::Instant;
use readyloop::run_log::{ConnectionState, LineKind, LogLine, RunLog, TurnLog, TurnState, TurnStep};
use readyloop::trace::Lesson;
use serde_json::{Value, json};

/// The words that the states use, each once.
#[derive(Default)]
struct Words(Vec<&'static str>);

impl Words {
    /// The position of a word, which is added if it is new.
    fn at(&mut self, word: &'static str) -> usize {
        self.0.iter().position(|known| *known == word).unwrap_or_else(|| {
            self.0.push(word);
            self.0.len() - 1
        })
    }
}

/// The whole run, for a `script` element.
pub(super) fn print(log: &RunLog) -> String {
    let mut words = Words::default();
    // Position 0 means nothing.
    words.at("");
    let mut text = "{\"turns\":[".to_owned();
    for (index, turn) in log.turns.iter().enumerate() {
        text += if index == 0 { "" } else { "," };
        text += &escaped(&of_turn(turn, &mut words));
    }
    text.push(']');
    let endpoints = log.endpoints.iter().map(|endpoint| {
        let limits = endpoint.limits.as_ref();
        let [high, low] = limits.map_or([0, 0], |limits| [limits.queue.high(), limits.queue.low()]);
        json!([endpoint.name, endpoint.service, high, low])
    });
    let connections = log
        .connections
        .iter()
        .map(|connection| json!([connection.number, connection.name, connection.endpoint, connection.address]));
    let fields = [
        ("endpoints", endpoints.collect::<Value>()),
        ("connections", connections.collect()),
        ("kinds", json!(LineKind::ALL.map(LineKind::name))),
        ("steps", json!(TurnStep::ALL.map(TurnStep::name))),
        ("lessons", json!(Lesson::ALL.map(Lesson::title))),
        ("words", json!(words.0)),
    ];
    for (name, value) in fields {
        text += &format!(",\"{name}\":{}", escaped(&value));
    }
    text + "}"
}

/// Escapes JSON for a `script` element. The text of such an element ends at `</script`.
fn escaped(json: &Value) -> String {
    json.to_string().replace('<', "\\u003c")
}

fn of_turn(turn: &TurnLog, words: &mut Words) -> Value {
    let lines: Vec<Value> = turn.lines.iter().map(of_line).collect();
    let changes = turn.changes.iter().map(|(wire, state)| match state {
        Some(state) => of_connection(*wire, state, words),
        None => json!([wire]),
    });
    json!([turn.number, turn.at.as_nanos(), lines, changes.collect::<Vec<_>>(), of_loop(&turn.state, words)])
}

fn of_line(line: &LogLine) -> Value {
    let LogLine { step, kind, connection, lesson, moved, text } = line;
    let lesson = lesson.map_or(0, Lesson::number);
    match moved {
        None => json!([*step as usize, *kind as usize, connection, lesson, text]),
        Some((flow, len)) => json!([*step as usize, *kind as usize, connection, lesson, text, *flow as usize, len]),
    }
}

fn of_connection(wire: usize, state: &ConnectionState, words: &mut Words) -> Value {
    let kernel = state.kernel.map(|kernel| [kernel.unread, kernel.unread_max, kernel.unsent, kernel.unsent_max]);
    json!([
        wire,
        words.at(state.stage.map_or("waiting", |stage| stage.name())),
        usize::from(state.readable) | usize::from(state.writable) << 1 | usize::from(state.is_marked) << 2,
        kernel,
        state.input_len,
        state.output_len,
        state.moved_len,
        words.at(state.read.name()),
        words.at(state.write.name()),
        words.at(state.pause.name().unwrap_or_default()),
        words.at(state.timeout.map_or("", |timeout| timeout.name())),
        time(state.deadline),
        words.at(state.reason.map_or("", |reason| reason.name())),
    ])
}

fn of_loop(state: &TurnState, words: &mut Words) -> Value {
    json!([
        state.open,
        state.marked,
        state.queued_len,
        state.lent_bytes,
        state.lent_bytes_max,
        state.moved_len,
        state.moved_len_max,
        state.sleeps_until.map(Instant::as_nanos),
        words.at(state.stage.name()),
    ])
}

/// A time in nanoseconds; nothing for one that never comes.
fn time(at: Instant) -> Option<u64> {
    (at != Instant::NEVER).then(|| at.as_nanos())
}
