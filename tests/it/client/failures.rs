//! Failures during a session, and wrong arguments: one error line, one hint and the exit status.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::process::Stdio;
use std::thread;

use super::program::{Client, FAILURE, accept, listener, reset, zeros};
use crate::support::{KIB, Serve, TIMEOUT, signal, wait_until};

const USAGE: i32 = 2;

#[test]
fn a_reset_is_an_error_after_the_partial_reply() {
    let (listener, address) = listener();
    let mut running = Client::to(address).start();
    let mut peer = accept(&listener);
    peer.write_all(b"half a re").expect("the client reads");
    running.prints(b"half a re");
    reset(peer);
    running.wait().failed(FAILURE, &["reset the connection"]);
}

#[test]
fn a_killed_server_is_an_error() {
    let server = Serve::new().start();
    let mut running = Client::to(server.address()).start();
    running.feed(b"first\n");
    running.prints(b"first\n");
    server.process.stop();
    running.feed(b"second\n");
    wait_until(TIMEOUT, "the server has unread input", || has_unread_input(server.address().port()));
    // The server has unread input, so the kernel resets the connection when the process ends.
    signal(server.process.pid, "KILL");
    running.wait().failed(FAILURE, &["reset the connection"]);
}

/// Whether a connection from this local port has bytes that its process has not read (proc_net_tcp(5)).
fn has_unread_input(port: u16) -> bool {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, ESTABLISHED, queues, ..] = fields[..] else { return false };
        local.ends_with(&format!(":{port:04X}")) && !queues.ends_with(":00000000")
    })
}

#[test]
fn a_peer_that_ends_before_all_input_is_sent_is_an_error() {
    let (listener, address) = listener();
    let running = Client::to(address).spawn(zeros(), Stdio::piped());
    let mut peer = accept(&listener);
    peer.read_exact(&mut [1; KIB]).expect("zeros come");
    peer.write_all(b"enough").expect("the client reads");
    // The peer ends its direction only, and reads on.
    peer.shutdown(Shutdown::Write).expect("the connection is open");
    let drain = thread::spawn(move || io::copy(&mut peer, &mut io::sink()));
    let ran = running.wait();
    ran.failed(FAILURE, &["before all input was sent"]);
    assert_eq!(ran.out, b"enough");
    drain.join().expect("no panic").expect("a clean end");
}

#[test]
fn an_unreadable_input_and_a_full_output_are_errors() {
    let server = Serve::new().start();
    let folder = File::open("/").expect("the root directory exists");
    Client::to(server.address()).reading(folder).failed(FAILURE, &["cannot read standard input", "is a directory"]);
    let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
    let mut running = Client::to(server.address()).stdout(full);
    running.feed(b"hello");
    running.wait().failed(FAILURE, &["cannot write to standard output", "no space left on device"]);
    server.drain();
}

#[test]
fn an_error_names_the_wrong_argument() {
    let ran = |arguments: &str| Client::with_arguments(arguments).fed(b"");
    ran("client").failed(USAGE, &["<ADDRESS>"]);
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
