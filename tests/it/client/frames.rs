//! Frames in a pipe: each line of the input is one, each of the peer is printed on a line.

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use super::program::Client;
use crate::support::Serve;

#[test]
fn lines_are_lines_however_they_end_and_wherever_they_were_cut() {
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

#[test]
fn exit_is_the_servers_to_understand() {
    let server = Serve::new().with("--framing lines").start();
    Client::to(server.address()).with("--framing lines").fed(b"hello\r\nexit\r\n").printed(b"hello\n");
    server.drain();
}

#[test]
fn every_framing_goes_there_and_back() {
    for framing in ["lines", "length", "length:u8", "length:u16le", "length:u64", "fixed:5"] {
        let server = Serve::new().with("--framing").arg(framing).start();
        let client = Client::to(server.address()).with("--framing").with(framing);
        client.fed(b"hello\nthere\n").printed(b"hello\nthere\n");
        server.drain();
    }
}

#[test]
fn frames_that_no_line_could_hold_are_dumped_each_for_itself() {
    let server = Serve::new().with("--framing length:u16").start();
    let dump = "00000000  6f 6e 65                                          |one|\n\
                00000000  74 77 6f                                          |two|\n";
    Client::to(server.address()).with("--framing length:u16 --hex").fed(b"one\ntwo\n").printed(dump.as_bytes());
    server.drain();
}

#[test]
fn a_line_that_a_framing_cannot_carry_is_a_failure() {
    let server = Serve::new().with("--framing fixed:5").start();
    let client = || Client::to(server.address()).with("--framing fixed:5");
    client().fed(b"hello\nhi\n").failed(1, &["a line of the input is no frame of this framing"]);
    server.drain();
}

#[test]
fn a_line_too_long_is_a_failure_and_not_stored() {
    let server = Serve::new().with("--framing lines").start();
    let line = vec![b'x'; 3 << 20];
    Client::to(server.address()).with("--framing lines").fed(&line).failed(1, &["standard input", "longer than"]);
    server.drain();
}

#[test]
fn text_that_is_none_is_refused_where_text_is_asked_for() {
    let server = Serve::new().with("--framing lines:utf8").start();
    let ask = |line: &[u8]| Client::to(server.address()).with("--framing lines").fed(line);
    ask("grüße\r\n".as_bytes()).printed("grüße\n".as_bytes());
    ask(b"good\nb\xffd\n").printed(b"good\n");
    assert_eq!(server.drain().summary().closed("bad-frame"), 1);

    let server = Serve::new().with("--framing raw").start();
    let client = Client::to(server.address()).with("--framing lines:utf8");
    client.fed(b"b\xffd\n").failed(1, &["is no frame of this framing", "bad-frame"]);
    server.drain();
}

#[test]
fn a_reply_that_breaks_off_is_a_failure_and_the_whole_ones_are_printed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("the client connects");
        peer.write_all(b"whole\nhal").expect("the client reads");
    });
    let ran = Client::to(address).with("--framing lines").fed(b"");
    ran.failed(1, &["ended the connection in the middle of a frame"]);
    assert_eq!(ran.out, b"whole\n");
    server.join().expect("no panic");
}
