//! What breaks in the middle, and words that make no sense: one error line, one hint, and the exit
//! status that a script can tell them apart by.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::program::Client;
use crate::support::{KIB, Serve, signal};

const FAILURE: i32 = 1;
const USAGE: i32 = 2;

#[test]
fn a_reset_in_mid_reply_is_told_behind_what_came() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut running = Client::to(listener.local_addr().expect("it is bound")).start();
    let (mut peer, _) = listener.accept().expect("the client connects");
    peer.write_all(b"half a re").expect("the client reads");
    running.prints(b"half a re");
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("the connection is open");
    drop(peer);
    running.wait().failed(FAILURE, &["broke the connection off"]);
}

#[test]
fn a_server_killed_in_mid_reply_is_told() {
    let server = Serve::new().start();
    let zeros = File::open("/dev/zero").expect("every Linux has it");
    let mut running = Client::to(server.address()).spawn(zeros.into(), Stdio::piped());
    let mut out = running.out.take().expect("it is a pipe");
    let mut some = vec![1; 64 * KIB];
    out.read_exact(&mut some).expect("zeros come back");
    // What it has not read by now makes its end a reset.
    server.process.stop();
    signal(server.process.pid, "KILL");
    running.out = Some(out);
    let ran = running.wait();
    ran.failed(FAILURE, &["broke the connection off"]);
    assert!(ran.out.iter().all(|&byte| byte == 0));
}

#[test]
fn a_peer_that_ends_before_it_has_all_of_the_input_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let zeros = File::open("/dev/zero").expect("every Linux has it");
    let running = Client::to(listener.local_addr().expect("it is bound")).spawn(zeros.into(), Stdio::piped());
    let (mut peer, _) = listener.accept().expect("the client connects");
    let mut some = vec![1; KIB];
    peer.read_exact(&mut some).expect("zeros come");
    peer.write_all(b"enough").expect("the client reads");
    // Its end alone, and it reads on: nothing is broken.
    peer.shutdown(Shutdown::Write).expect("the connection is open");
    let drain = thread::spawn(move || io::copy(&mut peer, &mut io::sink()));
    let ran = running.wait();
    ran.failed(FAILURE, &["before it had all of the input"]);
    assert_eq!(ran.out, b"enough");
    drain.join().expect("no panic").expect("a clean end");
}

#[test]
fn an_input_that_cannot_be_read_is_told() {
    let server = Serve::new().start();
    let folder = File::open("/").expect("it is there");
    Client::to(server.address()).reading(folder).failed(FAILURE, &["cannot read standard input", "is a directory"]);
    server.drain();
}

#[test]
fn an_output_without_room_is_told() {
    let server = Serve::new().start();
    let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
    let mut running = Client::to(server.address()).stdout(full);
    running.feed(b"hello");
    running.wait().failed(FAILURE, &["cannot write to standard output", "no space left on device"]);
    server.drain();
}

#[test]
fn wrong_words_are_named() {
    let ran = |words: &str| Client::with_words(words).fed(b"");
    ran("client").failed(USAGE, &["`client` needs an address"]);
    ran("client localhost").failed(USAGE, &["localhost", "no port"]);
    ran("client --udp tls://127.0.0.1:7").failed(USAGE, &["--udp", "tls://127.0.0.1:7"]);
    ran("client --udp unix:/tmp/none.sock").failed(USAGE, &["--udp", "unix:/tmp/none.sock"]);
    ran("client --count 5 127.0.0.1:7").failed(USAGE, &["--count", "datagrams"]);
    ran("client --reply-timeout 5s unix:/tmp/none.sock").failed(USAGE, &["--reply-timeout"]);
    ran("client --insecure udp://127.0.0.1:7").failed(USAGE, &["--insecure", "udp://127.0.0.1:7"]);
    ran("client --size 64B udp://127.0.0.1:7").failed(USAGE, &["--count"]);
    ran("client --count 1 --size 15B udp://127.0.0.1:7").failed(USAGE, &["15 bytes"]);
    ran("client --count 1 --size 65508B udp://127.0.0.1:7").failed(USAGE, &["65508 bytes"]);
    ran("client --interval never udp://127.0.0.1:7").failed(USAGE, &["--interval"]);
    ran("client --framing length udp://127.0.0.1:7").failed(USAGE, &["--framing length"]);
    ran("client http://127.0.0.1:7").failed(USAGE, &["http"]);
    ran("client 127.0.0.1:7 --tls").failed(USAGE, &["--tls"]);
    ran("client 127.0.0.1:7 --framing line").failed(USAGE, &["line", "--framing"]);
    ran("client 127.0.0.1:7 --connect-timeout 5").failed(USAGE, &["--connect-timeout", "unit"]);
    ran("client 127.0.0.1:7 --retries -1").failed(USAGE, &["-1"]);
}

#[test]
fn help_says_all_there_is_to_say() {
    let ran = Client::with_words("client --help").fed(b"");
    let help = String::from_utf8_lossy(&ran.out);
    for part in ["EXAMPLES", "ENVIRONMENT", "EXIT STATUS", "--connect-timeout", "--retries", "--hex", "--framing"] {
        assert!(help.contains(part), "no {part} in the help");
    }
    assert_eq!((ran.code, ran.log.len()), (Some(0), 0));
}
