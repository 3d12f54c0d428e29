//! Faults of services and of hand-written loops, planted one by one: the story of a run shows the cause of each.
//!
//! The table in `src/guide/course/faults.md` names the lines from which the cause can be read. They are in the story of
//! the faulty version, and not in the story of the correct one.

mod deadlines;
mod endings;
mod hand_loop;
mod loops;
mod replies;
mod scene;
mod sending;

use std::fs;
use std::path::Path;

use crate::examples::matches;

/// Which form of a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Correct,
    Faulty,
}

/// Runs a program, and returns the story of the run.
type Program = fn(Version) -> String;

/// The name of each fault in the table, with its program.
const PLANTED: [(&str, Program); 25] = [
    ("double reply", replies::double_reply),
    ("reply out of order", replies::out_of_order),
    ("reply to another peer", replies::to_another_peer),
    ("reply that never comes", replies::never_answered),
    ("no framing", replies::no_framing),
    ("frame limit too small", replies::small_frame_limit),
    ("blocking callback", replies::blocking_callback),
    ("close before flush", endings::close_before_flush),
    ("half-close treated as close", endings::half_close_as_close),
    ("kept open without end", endings::kept_open),
    ("no idle timeout", deadlines::no_idle_timeout),
    ("no frame timeout", deadlines::no_frame_timeout),
    ("timer for a dead peer", deadlines::timer_for_a_dead_peer),
    ("pause without resume", sending::pause_without_resume),
    ("ignored on_writable", sending::ignored_on_writable),
    ("broadcast to a slow reader", sending::broadcast_to_a_slow_reader),
    ("message without a wake-up", sending::message_without_a_wake_up),
    ("lost edge", loops::lost_edge),
    ("one accept for an edge", loops::one_accept),
    ("forgotten partial write", loops::forgotten_partial_write),
    ("starvation", loops::starvation),
    ("unbounded queue", loops::unbounded_queue),
    ("stranded after EMFILE", loops::stranded_after_emfile),
    ("EINTR taken for a failure", loops::fatal_interrupt),
    ("end taken for nothing", loops::end_taken_for_nothing),
];

/// A row of the table: lines that the story of the faulty version has, in this order, and lines that it lacks.
struct Row {
    fault: String,
    shows: Vec<String>,
    lacks: Vec<String>,
}

impl Row {
    /// The rows of the table. In its second column, `no` before a code span means that the line is missing.
    fn all() -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide/course/faults.md");
        let text = fs::read_to_string(path).expect("the table exists");
        let rows = text.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
        rows.take_while(|line| line.starts_with('|')).map(Self::of).collect()
    }

    fn of(line: &str) -> Self {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let mut row = Self { fault: cells[0].to_owned(), shows: Vec::new(), lacks: Vec::new() };
        let parts: Vec<&str> = cells[1].split('`').collect();
        for pair in parts.chunks_exact(2) {
            let lines = if pair[0].ends_with("no ") { &mut row.lacks } else { &mut row.shows };
            lines.push(pair[1].to_owned());
        }
        row
    }

    /// Whether the cause can be read from this story.
    fn is_shown_in(&self, story: &str) -> bool {
        let contains = |line: &str, pattern: &str| matches(&format!("…{pattern}…"), line);
        let mut rest = story.lines();
        self.shows.iter().all(|shown| rest.any(|line| contains(line, shown)))
            && !self.lacks.iter().any(|missing| story.lines().any(|line| contains(line, missing)))
    }
}

#[test]
fn the_story_of_each_planted_fault_shows_its_cause() {
    let rows = Row::all();
    let listed: Vec<&str> = rows.iter().map(|row| row.fault.as_str()).collect();
    assert_eq!(listed, PLANTED.map(|(name, _)| name), "the table and the programs");
    let wrong: Vec<String> = rows
        .iter()
        .zip(PLANTED)
        .filter_map(|(row, (name, program))| {
            let (faulty, correct) = (program(Version::Faulty), program(Version::Correct));
            let is_right = row.is_shown_in(&faulty) && !row.is_shown_in(&correct);
            (!is_right).then(|| format!("=== {name}\n--- faulty\n{faulty}\n--- correct\n{correct}"))
        })
        .collect();
    assert!(wrong.is_empty(), "the rows of these faults are not right:\n{}", wrong.join("\n"));
}

#[test]
fn a_cause_that_is_not_in_the_story_is_noticed() {
    let row = Row::of("| a fault | first `b…d`, then `x`, and no `lost` | 1 |");
    for (story, is_shown) in [("a\nbcd\nx", true), ("x\nbcd", false), ("bcd", false), ("bcd\nx\nis lost", false)] {
        assert_eq!(row.is_shown_in(story), is_shown, "{story}");
    }
}
