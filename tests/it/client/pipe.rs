//! In a pipe, like netcat: standard input goes to the peer, its end is passed on, and replies go to
//! standard output until the peer ends.

use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::AsFd as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::program::{Client, accept, listener, zeros};
use crate::support::{MIB, Pattern, Process, ScratchPath, Serve, StreamEnd, read_to_the_end, same_bytes};

#[test]
fn input_is_echoed_to_a_pipe_to_a_file_and_as_a_hex_dump() {
    let server = Serve::new().start();
    let client = || Client::to(server.address());
    client().fed(b"hello\r\n\xff\x00 there").printed(b"hello\r\n\xff\x00 there");
    client().fed(b"").printed(b"");
    client().reading(Stdio::null()).printed(b"");

    let path = ScratchPath::with_text("txt", "");
    let mut running = client().stdout(File::options().write(true).open(path.text()).expect("it was just written"));
    running.feed(b"to a file");
    running.wait().printed(b"");
    assert_eq!(std::fs::read(path.text()).expect("it is there"), b"to a file");

    let dump = b"00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 30 0d 0a  |GET / HTTP/1.0..|\n\
                 00000010  ff 0a                                             |..|\n";
    client().with("--hex").fed(b"GET / HTTP/1.0\r\n\xff\n").printed(dump);
    server.drain();
}

#[test]
fn every_kind_of_address_works() {
    let path = ScratchPath::new("sock");
    let unix = format!("unix:{}", path.text());
    let server = Serve::bare().listen("127.0.0.1:0").listen("[::1]:0").listen(&unix).start();
    for address in &server.addresses {
        Client::to(address).fed(b"hello").printed(b"hello");
    }
    Client::to(server.address()).fed(b"without a scheme").printed(b"without a scheme");
    server.drain();
}

#[test]
fn a_file_of_10_mib_is_echoed_byte_for_byte() {
    let server = Serve::new().start();
    let bytes = Pattern::of(7).take(10 * MIB);
    let path = ScratchPath::new("bin");
    std::fs::write(path.text(), &bytes).expect("the temporary directory takes a file");
    let ran = Client::to(server.address()).reading(File::open(path.text()).expect("it was just written"));
    assert_eq!((ran.code, ran.log.join("\n")), (Some(0), String::new()));
    same_bytes(&ran.out, &bytes);
    assert_eq!(server.drain().summary().closed("finished"), 1);
}

#[test]
fn an_http_request_in_a_pipe_gets_its_page() {
    let (listener, address) = listener();
    let page = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello\n";
    let server = thread::spawn(move || {
        let mut peer = accept(&listener);
        // A web server answers after the empty line and does not wait for the end of the stream.
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            peer.read_exact(&mut byte).expect("the request comes");
            request.push(byte[0]);
        }
        peer.write_all(page.as_bytes()).expect("the client reads");
        request
    });
    Client::to(address).fed(b"GET / HTTP/1.0\r\n\r\n").printed(page.as_bytes());
    assert_eq!(server.join().expect("no panic"), b"GET / HTTP/1.0\r\n\r\n");
}

#[test]
fn a_reply_after_the_end_of_the_input_is_printed() {
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        let mut peer = accept(&listener);
        let received = read_to_the_end(&mut peer);
        peer.write_all(b"received").expect("the client still reads");
        received
    });
    Client::to(address).fed(b"over").printed(b"received");
    assert_eq!(server.join().expect("no panic"), (b"over".to_vec(), StreamEnd::Clean));
}

#[test]
fn the_client_exits_when_the_peer_ends_before_the_input() {
    let (listener, address) = listener();
    let mut running = Client::to(address).start();
    let mut peer = accept(&listener);
    peer.write_all(b"bye").expect("the client reads");
    drop(peer);
    running.prints(b"bye");
    // The input stays open until the client exits.
    let input = running.input.take();
    running.wait().printed(b"");
    drop(input);
}

#[test]
fn a_reader_that_starts_late_gets_a_long_echo_whole() {
    let path = ScratchPath::new("sock");
    let server = Serve::bare().listen("127.0.0.1:0").listen(&format!("unix:{}", path.text())).start();
    let (input, bytes) = (ScratchPath::new("bin"), Pattern::of(9).take(20_000_000));
    std::fs::write(input.text(), &bytes).expect("the temporary directory takes a file");
    for address in &server.addresses {
        let file = File::open(input.text()).expect("it was just written");
        let mut running = Client::to(address).spawn(file.into(), Stdio::piped());
        let mut out = running.out.take().expect("it is a pipe");
        // Until every buffer on the way is full.
        thread::park_timeout(Duration::from_secs(1));
        let mut received = Vec::new();
        out.read_to_end(&mut received).expect("a pipe can be read");
        same_bytes(&received, &bytes);
        running.wait().printed(b"");
    }
    assert_eq!(server.drain().summary().closed("finished"), 2);
}

#[test]
fn non_blocking_standard_streams_are_waited_for() {
    let server = Serve::new().start();
    let (reader, mut writer) = std::io::pipe().expect("descriptors are free");
    let (mut out, output) = std::io::pipe().expect("descriptors are free");
    for end in [reader.as_fd(), output.as_fd()] {
        let flags = fcntl_getfl(end).expect("the descriptor is open");
        fcntl_setfl(end, flags | OFlags::NONBLOCK).expect("the descriptor is open");
    }
    let running = Client::to(server.address()).spawn(reader.into(), output.into());
    let bytes = Pattern::of(4).take(MIB);
    let sent = bytes.clone();
    let feeder = thread::spawn(move || {
        // The client waits for input, and later for space in the pipe behind it.
        thread::park_timeout(Duration::from_millis(100));
        writer.write_all(&sent)
    });
    thread::park_timeout(Duration::from_millis(300));
    let mut received = Vec::new();
    out.read_to_end(&mut received).expect("a pipe can be read");
    same_bytes(&received, &bytes);
    feeder.join().expect("no panic").expect("all input was sent");
    running.wait().printed(b"");
    server.drain();
}

#[test]
fn a_closed_output_pipe_ends_the_client_quietly() {
    let server = Serve::new().with("--service chargen").start();
    let mut running = Client::to(server.address()).start();
    running.prints(b" !\"#");
    running.out = None;
    running.wait().printed(b"");
    server.drain();
}

/// Reads 64 MiB of what the client passes on, and checks that it stores little of it.
#[track_caller]
fn memory_is_bounded(client: Process, reader: &mut impl Read) {
    let mut buffer = vec![0; MIB];
    for _ in 0..64 {
        reader.read_exact(&mut buffer).expect("the bytes have no end");
        let memory = client.memory_bytes();
        assert!(memory < 16 * MIB, "{} KiB", memory / 1024);
    }
}

#[test]
fn a_slow_reader_pauses_the_other_end_with_bounded_memory() {
    let (listener, address) = listener();
    let running = Client::to(address).spawn(zeros(), Stdio::piped());
    let mut peer = accept(&listener);
    memory_is_bounded(running.process, &mut peer);
    assert!(running.log.all().is_empty());

    let server = Serve::new().with("--service chargen").start();
    let mut running = Client::to(server.address()).start();
    let mut out = running.out.take().expect("it is a pipe");
    memory_is_bounded(running.process, &mut out);
    drop(running);
    server.drain();
}

#[test]
fn a_blocked_output_does_not_pause_the_input() {
    let (listener, address) = listener();
    let mut running = Client::to(address).start();
    let mut peer = accept(&listener);
    let mut flood = peer.try_clone().expect("a descriptor is free");
    let flood = thread::spawn(move || {
        // More than all buffers hold together. It fails when the client exits.
        let _ = flood.write_all(&vec![b'x'; 64 * MIB]);
    });
    let mut stdin = running.input.take().expect("it is a pipe");
    let feeder = thread::spawn(move || stdin.write_all(&vec![b'y'; 4 * MIB]));
    let (received, ending) = read_to_the_end(&mut peer);
    assert_eq!((received.len(), ending), (4 * MIB, StreamEnd::Clean));
    feeder.join().expect("no panic").expect("all input was sent");
    drop(running);
    flood.join().expect("no panic");
}
