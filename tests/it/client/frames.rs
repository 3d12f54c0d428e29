//! Frames in a pipe: each line of the input is sent as a frame, and each received frame is printed on a line.

use std::io::Write as _;
use std::thread;

use super::program::{Client, Ran, accept, listener};
use crate::support::Serve;

#[test]
fn lines_end_with_lf_or_crlf_under_any_segmentation() {
    let server = Serve::new().with("--framing lines").start();
    let mut running = Client::to(server.address()).with("--framing lines").start();
    running.feed(b"on");
    running.feed(b"e\r");
    running.feed(b"\n");
    running.prints(b"one\n");
    running.feed(b"two\nthree");
    running.prints(b"two\n");
    // The last line may lack its end.
    running.wait().printed(b"three\n");
    server.drain();
}

/// Runs a client with this input beside an echo server with the same framing.
#[track_caller]
fn ask(framing: &str, flags: &str, input: &[u8]) -> Ran {
    let server = Serve::new().with("--framing").with(framing).start();
    let ran = Client::to(server.address()).with("--framing").with(framing).with(flags).fed(input);
    server.drain();
    ran
}

#[test]
fn every_framing_is_echoed() {
    for framing in ["lines", "length", "length:u8", "length:u16le", "length:u64", "fixed:5"] {
        ask(framing, "", b"hello\nthere\n").printed(b"hello\nthere\n");
    }
    // The server handles `exit`, not the client.
    ask("lines", "", b"hello\r\nexit\r\n").printed(b"hello\n");
    let dump = b"00000000  6f 6e 65                                          |one|\n\
                 00000000  74 77 6f                                          |two|\n";
    ask("length:u16", "--hex", b"one\ntwo\n").printed(dump);
}

#[test]
fn a_line_that_does_not_fit_the_framing_is_an_error() {
    ask("fixed:5", "", b"hello\nhi\n").failed(1, &["a line of the input is not a frame of this framing"]);
    ask("lines", "", &vec![b'x'; 3 << 20]).failed(1, &["standard input", "longer than"]);
}

#[test]
fn invalid_utf8_is_refused_in_utf8_lines() {
    let server = Serve::new().with("--framing lines:utf8").start();
    let ask = |line: &[u8]| Client::to(server.address()).with("--framing lines").fed(line);
    ask("grüße\r\n".as_bytes()).printed("grüße\n".as_bytes());
    ask(b"good\nb\xffd\n").printed(b"good\n");
    assert_eq!(server.drain().summary().closed("bad-frame"), 1);

    let server = Serve::new().with("--framing raw").start();
    let client = Client::to(server.address()).with("--framing lines:utf8");
    client.fed(b"b\xffd\n").failed(1, &["is not a frame of this framing", "bad-frame"]);
    server.drain();
}

#[test]
fn an_incomplete_reply_is_an_error_after_the_complete_ones() {
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        accept(&listener).write_all(b"whole\nhal").expect("the client reads");
    });
    let ran = Client::to(address).with("--framing lines").fed(b"");
    ran.failed(1, &["ended the connection in the middle of a frame"]);
    assert_eq!(ran.out, b"whole\n");
    server.join().expect("no panic");
}
