//! `StoryPrinter`: prints the log of a run as plain sentences, grouped by turn.

use std::collections::BTreeSet;
use std::fmt;

use super::words::{Seconds, bytes, printable};
use super::{EndpointHeader, LineKind, LogLine, RunLog, TurnLog, TurnStep};
use crate::admission::Count;
use crate::trace::Lesson;

/// The log of a run as plain sentences.
#[derive(Clone, Copy, Debug)]
pub struct StoryPrinter<'a> {
    log: &'a RunLog,
    peer: Option<usize>,
    colors: bool,
}

impl RunLog {
    /// The log as plain sentences, grouped by turn.
    pub fn story(&self) -> StoryPrinter<'_> {
        StoryPrinter { log: self, peer: None, colors: false }
    }
}

impl StoryPrinter<'_> {
    /// Prints only lines about the peer with this number, and notes.
    #[must_use]
    pub fn of_peer(self, peer: Option<usize>) -> Self {
        Self { peer, ..self }
    }

    /// Prints with colors for a terminal.
    #[must_use]
    pub fn with_colors(self, colors: bool) -> Self {
        Self { colors, ..self }
    }

    fn shows(&self, line: &LogLine) -> bool {
        let Some(peer) = self.peer else { return true };
        let connection = line.connection.and_then(|wire| self.log.connections.get(wire));
        connection.is_some_and(|connection| connection.number == peer) || line.kind == LineKind::Note
    }

    /// The lines of a turn that are shown. A turn with nothing but an empty poll has none.
    fn lines<'a>(&self, turn: &'a TurnLog) -> Vec<&'a LogLine> {
        let lines: Vec<&LogLine> = turn.lines.iter().filter(|line| self.shows(line)).collect();
        let is_empty = lines.iter().all(|line| line.step == TurnStep::Sleep && line.kind == LineKind::Event);
        if is_empty { Vec::new() } else { lines }
    }

    /// Prints a turn. Each lesson is named once in it.
    fn write_turn(&self, title: &str, lines: &[&LogLine], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bold, end) = if self.colors { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        writeln!(f, "\n{bold}{title}{end}")?;
        let mut named = BTreeSet::new();
        lines.iter().try_for_each(|line| {
            let lesson = line.lesson.filter(|lesson| named.insert(*lesson));
            let lesson = lesson.map_or_else(String::new, |lesson| format!(" ({lesson})"));
            self.write_line(line, &lesson, f)
        })
    }

    fn write_line(
        &self,
        LogLine { kind, text, .. }: &LogLine,
        lesson: &str,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let text = printable(text);
        match color(*kind).filter(|_| self.colors) {
            Some(color) => writeln!(f, "\x1b[{color}m{}{text}\x1b[0m\x1b[2m{lesson}\x1b[0m", sign(*kind)),
            None => writeln!(f, "{}{text}{lesson}", sign(*kind)),
        }
    }
}

/// What the line of each kind begins with.
const fn sign(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Peer | LineKind::Event | LineKind::Call => "    ",
        LineKind::Callback => "      ",
        LineKind::Decision => "  = ",
        LineKind::Fault => "  ! ",
        LineKind::Note => "  # ",
    }
}

/// The color of each kind, as the number of a terminal.
const fn color(kind: LineKind) -> Option<u8> {
    match kind {
        LineKind::Event | LineKind::Call => None,
        LineKind::Peer => Some(34),
        LineKind::Callback => Some(35),
        LineKind::Decision => Some(36),
        LineKind::Fault => Some(33),
        LineKind::Note => Some(32),
    }
}

impl fmt::Display for StoryPrinter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RunLog { title, endpoints, turns, turns_left_out, .. } = self.log;
        writeln!(f, "{}", printable(title))?;
        endpoints.iter().try_for_each(|endpoint| write_endpoint(endpoint, f))?;
        writeln!(f, "  signs: `!` an injected fault, `=` a decision of the loop, `#` a remark")?;
        let (mut last, mut lessons) = (None, BTreeSet::new());
        for turn in turns {
            let (lines, is_after_last) = (self.lines(turn), last.replace(turn.number) == Some(turn.number));
            if !lines.is_empty() {
                lessons.extend(lines.iter().filter_map(|line| line.lesson));
                self.write_turn(&title_of(turn, is_after_last), &lines, f)?;
            }
        }
        if *turns_left_out > 0 {
            writeln!(f, "\n{} more left out, since the log is full", Count(*turns_left_out, "turn"))?;
        }
        write_lessons(&lessons, f)
    }
}

fn title_of(turn: &TurnLog, is_after_last: bool) -> String {
    match turn.number {
        0 => "before the first turn".to_owned(),
        number if is_after_last => format!("after turn {number}, at {}", Seconds(turn.at)),
        number => format!("turn {number}, at {}", Seconds(turn.at)),
    }
}

fn write_endpoint(endpoint: &EndpointHeader, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let EndpointHeader { name, service, limits } = endpoint;
    let separator = if service.is_empty() { "" } else { ": " };
    writeln!(f, "  {}{separator}{}", printable(name), printable(service))?;
    let Some(limits) = limits else { return Ok(()) };
    let (frame, high, low) = (bytes(limits.frame_len_max), bytes(limits.queue.high()), bytes(limits.queue.low()));
    writeln!(f, "    frames up to {frame}; reading pauses at {high} in the queue and resumes at {low}")
}

/// Lists the lessons that the story names, and where they are.
fn write_lessons(lessons: &BTreeSet<Lesson>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if lessons.is_empty() {
        return Ok(());
    }
    let titles: Vec<String> = lessons.iter().map(|lesson| format!("{} {}", lesson.number(), lesson.title())).collect();
    writeln!(f, "\nLessons in {}: {}", Lesson::FOLDER, titles.join("; "))
}
