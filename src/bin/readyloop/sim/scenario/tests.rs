//! Each scenario shows its idea in a few lines.

use super::*;

/// The longest story, in lines.
const LINES_MAX: usize = 75;

/// Asserts that the story is short, is the same each time, and has these parts in this order.
#[track_caller]
fn check(scenario: Scenario, parts: &[&str]) {
    let story = || scenario.run().unwrap().story().to_string();
    let text = story();
    assert_eq!(text, story());
    assert!(text.lines().count() <= LINES_MAX, "{} lines", text.lines().count());
    let mut rest = text.as_str();
    for part in parts {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("no `{part}` at its place:\n{text}"));
        rest = after;
    }
}

#[test]
fn backpressure_pauses_reading_and_resumes_it() {
    check(
        Scenario::Backpressure,
        &[
            "cannot write 4000 bytes to peer 0: EAGAIN",
            "= reading from peer 0 pauses: its queue holds 4000 bytes, high watermark 4000 (lesson 6)",
            "# All three buffers are full",
            "peer 0 reads 4000 bytes",
            "= reading from peer 0 resumes: its queue holds 0 bytes, low watermark 1000 (lesson 6)",
        ],
    );
}

#[test]
fn a_half_close_loses_no_reply() {
    check(
        Scenario::HalfClose,
        &[
            "the server writes 16 of 30 bytes to peer 0",
            "the server reads the end of input from peer 0",
            "= the direction from peer 0 has ended; the direction to it is finishing",
            "= the FIN to peer 0 follows its queue, which holds 14 bytes",
            "the server writes 14 bytes to peer 0",
            "callback on_close: peer 0, finished",
        ],
    );
}

#[test]
fn a_lost_edge_is_remembered() {
    check(
        Scenario::LostEdge,
        &[
            "= reading from peer 0 pauses",
            "= peer 0 is readable and not read: no second event will come, so the loop remembers it (lesson 3)",
            "the server reads 3000 bytes from peer 0",
            "# The loop has read all bytes",
        ],
    );
}

#[test]
fn after_emfile_the_waiting_peer_is_served_without_an_event() {
    check(
        Scenario::Emfile,
        &[
            "EMFILE, the process is out of file descriptors (lesson 10)",
            "= connections may wait at tcp://127.0.0.1:7007: the loop remembers it",
            "callback on_close: peer 0, finished",
            "the poll returns 0 events\n    the server accepts peer 1",
            "callback on_frame: peer 1, \"hi\"",
        ],
    );
}

#[test]
fn a_busy_peer_starves_no_other() {
    let share = "= peer 0 stays marked: it has moved 16384 bytes, its share of this turn (lesson 9)";
    check(Scenario::Starvation, &[share, "the server writes 4 bytes to peer 1", "turn 3"]);
}

#[test]
fn a_partial_write_keeps_the_rest_in_the_queue() {
    check(
        Scenario::PartialWrite,
        &[
            "the server writes 1000 of 1080 bytes to peer 0 (lesson 5)",
            "= the queue of peer 0 holds 80 bytes, until peer 0 is writable",
            "the server writes 80 bytes to peer 0",
            "= the queue of peer 0 is empty again",
        ],
    );
}

#[test]
fn a_partial_read_is_no_frame() {
    check(
        Scenario::PartialRead,
        &[
            "the server reads 3 bytes from peer 0\n  = peer 0 may take for its frame until",
            "callback on_frame: peer 0, \"hello\"",
            "callback on_frame: peer 0, \"one\"\n      callback on_frame: peer 0, \"two\"",
            "callback on_frame: peer 0, \"three\"",
        ],
    );
}

#[test]
fn each_deadline_has_its_reason() {
    check(
        Scenario::Deadline,
        &[
            "turn 5, at 10 s",
            "= the connection of peer 0 ends: frame-timeout (lesson 8)",
            "callback on_close: peer 0, frame-timeout",
            "at 20 s",
            "callback on_close: peer 1, write-timeout",
        ],
    );
}

#[test]
fn a_reset_ends_one_connection_only() {
    check(
        Scenario::Reset,
        &[
            "peer 0 resets the connection (lesson 10)",
            "the server cannot read from peer 0: ECONNRESET, the connection was reset",
            "callback on_frame: peer 1, \"still here\"",
            "callback on_close: peer 0, reset",
        ],
    );
}

#[test]
fn a_request_of_another_thread_wakes_the_loop() {
    check(
        Scenario::WakeUp,
        &[
            "# The loop sleeps in its poll.",
            "event: wake-up from another thread (lesson 11)\n      callback on_drain",
            "= the loop is draining from here on",
        ],
    );
}

#[test]
fn a_drain_serves_what_was_sent() {
    check(
        Scenario::Drain,
        &[
            "event: request to drain",
            "callback on_frame: peer 0, \"two\"",
            "= the loop is draining from here on",
            "= the connection of peer 0 ends: drained",
            "callback on_close: peer 0, drained",
        ],
    );
}
