//! The prompt: replies with their round-trip time, history, editing, and ways to leave.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::terminal::Terminal;
use crate::support::{ScratchPath, Serve, Server, StreamEnd, TIMEOUT, read_exactly, read_to_the_end};

const UP: &str = "\x1b[A";
const LEFT: &str = "\x1b[D";
const END_OF_INPUT: &str = "\x04";
const INTERRUPT: &str = "\x03";

fn echo() -> Server {
    Serve::new().with("--framing lines").start()
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("the client connects");
    stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    stream
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
    terminal.types("exit\r");
    assert_eq!(terminal.ends(), Some(0));
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

#[test]
fn pasted_lines_are_all_sent_and_answered() {
    let server = echo();
    let mut terminal = Terminal::of(server.address(), "");
    terminal.shows("> ");
    terminal.types("one\rtwo\rlast words\rexit\r");
    terminal.shows("one  (");
    terminal.shows("two  (");
    terminal.shows("last words  (");
    assert_eq!(terminal.ends(), Some(0));
    server.drain();
}

#[test]
fn a_line_can_be_recalled_and_edited() {
    let server = echo();
    let mut terminal = Terminal::of(server.address(), "");
    terminal.types("helo\r");
    terminal.shows("helo  (");
    terminal.types(UP);
    terminal.types(LEFT);
    terminal.types("l\r");
    terminal.shows("hello  (");
    terminal.types("exit\r");
    assert_eq!(terminal.ends(), Some(0));
    server.drain();
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
    terminal.types(UP);
    terminal.types(UP);
    terminal.types("\r");
    terminal.shows("remember me  (");
    terminal.types("exit\r");
    assert_eq!(terminal.ends(), Some(0));
    server.drain();
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
fn hex_prints_a_dump_for_each_reply() {
    let server = echo();
    let mut terminal = Terminal::of(server.address(), "--hex");
    terminal.types("hi\r");
    terminal.shows("00000000  68 69 ");
    terminal.shows("|hi|");
    terminal.types("exit\r");
    assert_eq!(terminal.ends(), Some(0));
    server.drain();
}

#[test]
fn the_prompt_works_with_other_framings() {
    let server = Serve::new().with("--framing length:u16").start();
    let mut terminal = Terminal::of(server.address(), "--framing length:u16");
    terminal.types("hello\r");
    terminal.shows("hello  (");
    terminal.types("exit\r");
    assert_eq!(terminal.ends(), Some(0));
    server.drain();

    let server = Serve::new().start();
    let mut terminal = Terminal::of(server.address(), "--framing raw");
    terminal.types("no line\r");
    terminal.shows("no line  (");
    terminal.types("exit\r");
    assert_eq!(terminal.ends(), Some(0));
    server.drain();
}

#[test]
fn a_refused_connection_is_an_error_without_a_prompt() {
    let address = listener().1;
    let mut terminal = Terminal::of(address, "--retries 0");
    terminal.shows("readyloop: error: cannot connect to");
    terminal.shows("hint: ");
    assert_eq!(terminal.ends(), Some(1));
}
