//! The prompt: replies with their round-trip time, history, editing, and ways to leave.

use std::io::Write as _;

use super::program::{accept, listener};
use super::terminal::Terminal;
use crate::support::{ScratchPath, Serve, Server, StreamEnd, read_exactly, read_to_the_end};

const UP: &str = "\x1b[A";
const LEFT: &str = "\x1b[D";
const END_OF_INPUT: &str = "\x04";
const INTERRUPT: &str = "\x03";

fn echo() -> Server {
    Serve::new().with("--framing lines").start()
}

#[test]
fn a_reply_has_its_round_trip_time() {
    let server = echo();
    let mut terminal = Terminal::of(server.address(), "");
    terminal.shows("> ");
    terminal.types("hello\r");
    terminal.shows("hello  (");
    let time = terminal.shows(")");
    assert!(time.ends_with(" µs)") || time.ends_with(" ms)") || time.ends_with(" s)"), "{time}");
    terminal.shows("> ");
    terminal.leaves();
    assert_eq!(server.drain().summary().closed("finished"), 1);
}

#[test]
fn exit_ctrl_d_and_ctrl_c_leave() {
    for leave in ["exit\r", END_OF_INPUT, INTERRUPT] {
        let server = echo();
        let mut terminal = Terminal::of(server.address(), "");
        terminal.shows("> ");
        assert!(!terminal.has_original_modes(), "the prompt reads key by key");
        terminal.types(leave);
        assert_eq!(terminal.ends(), Some(0), "after {leave:?}");
        assert!(terminal.has_original_modes());
        server.drain();
    }
}

/// Types keys at the prompt of an echo server, waits for each text, and leaves.
#[track_caller]
fn check(serve_flags: &str, flags: &str, steps: &[(&str, &[&str])]) {
    let server = Serve::new().with(serve_flags).start();
    let mut terminal = Terminal::of(server.address(), flags);
    for (keys, texts) in steps {
        terminal.types(keys);
        texts.iter().for_each(|text| _ = terminal.shows(text));
    }
    terminal.leaves();
    server.drain();
}

#[test]
fn typed_and_pasted_lines_are_sent_and_answered_in_every_form() {
    let pasted = ["one  (", "two  (", "last words  ("];
    check("--framing lines", "", &[("", &["> "]), ("one\rtwo\rlast words\rexit\r", &pasted)]);
    // A recalled line can be edited.
    check("--framing lines", "", &[("helo\r", &["helo  ("]), (UP, &[]), (LEFT, &[]), ("l\r", &["hello  ("])]);
    check("--framing lines", "--hex", &[("hi\r", &["00000000  68 69 ", "|hi|"])]);
    check("--framing length:u16", "--framing length:u16", &[("hello\r", &["hello  ("])]);
    check("", "--framing raw", &[("no line\r", &["no line  ("])]);
}

#[test]
fn history_is_kept_in_the_named_file() {
    let server = echo();
    let file = ScratchPath::new("history");
    let mut terminal = Terminal::with_history(server.address(), "", file.text());
    terminal.types("remember me\rexit\r");
    assert_eq!(terminal.ends(), Some(0));

    let mut terminal = Terminal::with_history(server.address(), "", file.text());
    terminal.shows("> ");
    [UP, UP, "\r"].iter().for_each(|keys| terminal.types(keys));
    terminal.shows("remember me  (");
    terminal.leaves();
    server.drain();
}

#[test]
fn a_file_that_is_no_history_stays_as_it_is() {
    let server = echo();
    let notes = ScratchPath::with_text("notes", "my notes\n");
    for (file, reason) in [(notes.text(), "it holds something else"), ("/dev/full", "it is not a regular file")] {
        let mut terminal = Terminal::with_history(server.address(), "", file);
        terminal.shows(&format!("no history in {file}: {reason}"));
        terminal.types("hello\r");
        terminal.shows("hello  (");
        terminal.leaves();
    }
    assert_eq!(std::fs::read_to_string(notes.text()).expect("it is there"), "my notes\n");
    server.drain();
}

#[test]
fn the_line_of_another_peer_has_no_round_trip_time() {
    let (listener, address) = listener();
    let mut terminal = Terminal::of(address, "");
    let mut peer = accept(&listener);
    terminal.shows("> ");
    terminal.types("hello\r");
    assert_eq!(read_exactly(&mut peer, 6), b"hello\n");
    peer.write_all(b"ann: good morning\n").expect("the client reads");
    terminal.shows("ann: good morning  (");
    terminal.shows(" after a line)");
    terminal.leaves();
    drop(peer);
}

#[test]
fn unsolicited_data_is_escaped_and_printed_above_the_prompt() {
    let (listener, address) = listener();
    let mut terminal = Terminal::of(address, "");
    let mut peer = accept(&listener);
    terminal.shows("> ");
    terminal.types("half a li");
    terminal.shows("half a li");
    peer.write_all(b"psst\x1b[2J\xff\r\n").expect("the client reads");
    terminal.shows("psst\\u{1b}[2J\\xff  (not UTF-8)");
    // The typed text is still there.
    terminal.shows("> half a li");
    terminal.types("ne\r");
    assert_eq!(read_exactly(&mut peer, 12), b"half a line\n");
    terminal.types("exit\r");
    assert_eq!(read_to_the_end(&mut peer), (Vec::new(), StreamEnd::Clean));
    drop(peer);
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn a_peer_that_ends_closes_the_prompt_and_restores_the_terminal() {
    let (listener, address) = listener();
    let mut terminal = Terminal::of(address, "");
    let peer = accept(&listener);
    terminal.shows("> ");
    terminal.types("never sent");
    terminal.shows("never sent");
    drop(peer);
    terminal.shows("closed the connection");
    assert_eq!(terminal.ends(), Some(0));
    assert!(terminal.has_original_modes());
}

#[test]
fn a_refused_connection_is_an_error_without_a_prompt() {
    let address = listener().1;
    let mut terminal = Terminal::of(address, "--retries 0");
    terminal.shows("readyloop: error: cannot connect to");
    terminal.shows("hint: ");
    assert_eq!(terminal.ends(), Some(1));
}
