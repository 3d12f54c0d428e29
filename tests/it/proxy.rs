//! A proxy between real sockets: bytes, ends and resets of two coupled connections, and how much of
//! what nobody takes it takes.
//!
//! The proxy runs on a thread of this process, before a server of the standard library's sockets.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use readyloop::net::Destination;
use readyloop::service::Proxy;
use readyloop::{Address, Handle, Limits, Listen, Raw, Reactor, Server, ServerLimits, Totals};

use crate::support::{
    KIB, MIB, Pattern, StreamEnd, TIMEOUT, exchange, read_exactly, read_to_the_end, same_bytes, shared_machine,
};

/// A proxy on a thread of its own.
struct Running {
    address: SocketAddr,
    handle: Handle,
    thread: JoinHandle<Totals>,
}

impl Running {
    fn before(upstream: SocketAddr) -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let mut server = Server::new(Reactor::new().expect("a reactor"), ServerLimits::default());
            let address: Address = "127.0.0.1:0".parse().expect("an address");
            let limits = Limits { queue: Proxy::QUEUE, ..Limits::default() };
            let proxy = Proxy::to(Destination::Tcp(upstream));
            let endpoint = server.listen(Listen { limits, ..Listen::from(address) }, Raw, proxy).expect("it is free");
            let bound = server.local_address(&endpoint).to_string();
            let bound = bound.trim_start_matches("tcp://").parse().expect("a bound address is a number");
            tell.send((bound, server.handle())).expect("somebody waits for it");
            server.run().expect("a poll never fails")
        });
        let (address, handle) = told.recv().expect("it listens");
        Self { address, handle, thread }
    }

    fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(self.address).expect("it listens"))
    }

    /// Ends it; nothing may be left of anybody.
    fn end(self) -> Totals {
        self.handle.drain();
        let totals = self.thread.join().expect("it does not panic");
        assert!(totals.reconciles() && totals.open == 0, "{totals:?}");
        totals
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(TIMEOUT)).expect("it is open");
    stream.set_write_timeout(Some(TIMEOUT)).expect("it is open");
    stream
}

/// An upstream of which each connection is handed to the test.
struct Upstream(TcpListener);

impl Upstream {
    fn new() -> (Self, Running) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let running = Running::before(listener.local_addr().expect("it is bound"));
        (Self(listener), running)
    }

    /// Both ends of a new couple.
    fn couple(&self, running: &Running) -> (TcpStream, TcpStream) {
        let near = running.connect();
        (near, patient(self.0.accept().expect("the proxy connects").0))
    }
}

fn resets(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("it is open");
}

#[test]
fn every_byte_is_passed_on_both_ways_whatever_the_size() {
    let _machine = shared_machine();
    let (upstream, running) = Upstream::new();
    for len in [1, 2, KIB, 64 * KIB, 300 * KIB, 16 * MIB] {
        let (mut near, far) = upstream.couple(&running);
        let echo = thread::spawn(move || {
            let (mut from, mut to) = (far.try_clone().expect("it is open"), far);
            io::copy(&mut from, &mut to).expect("it is echoed");
        });
        let bytes = Pattern::of(len).take(len);
        let (echoed, ending) = exchange(&mut near, &bytes, MIB);
        same_bytes(&echoed, &bytes);
        assert_eq!(ending, StreamEnd::Clean, "{len} bytes");
        echo.join().expect("it does not panic");
    }
    let totals = running.end();
    assert_eq!(totals.closed(readyloop::CloseReason::Finished), 12);
}

#[test]
fn the_end_of_either_direction_is_passed_on_and_the_other_goes_on() {
    let _machine = shared_machine();
    let (upstream, running) = Upstream::new();
    for is_near in [true, false] {
        let (near, far) = upstream.couple(&running);
        let (mut one, mut other) = if is_near { (near, far) } else { (far, near) };
        one.write_all(b"first").and_then(|()| one.shutdown(Shutdown::Write)).expect("it is open");
        assert_eq!(read_to_the_end(&mut other), (b"first".to_vec(), StreamEnd::Clean));
        let bytes = Pattern::of(9).take(3 * MIB);
        let late = bytes.clone();
        let writer = thread::spawn(move || other.write_all(&late).expect("the other direction is open"));
        let (heard, ending) = read_to_the_end(&mut one);
        writer.join().expect("it does not panic");
        same_bytes(&heard, &bytes);
        assert_eq!(ending, StreamEnd::Clean);
    }
    running.end();
}

#[test]
fn a_reset_of_either_is_passed_on_as_one() {
    let _machine = shared_machine();
    let (upstream, running) = Upstream::new();
    for is_near in [true, false] {
        let (near, far) = upstream.couple(&running);
        let (mut one, mut other) = if is_near { (near, far) } else { (far, near) };
        one.write_all(b"half a st").expect("it is open");
        assert_eq!(read_exactly(&mut other, 9), b"half a st");
        resets(one);
        let error = other.read(&mut [0]).expect_err("half passes for the whole");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    running.end();
}

#[test]
fn who_is_answered_by_nobody_is_reset() {
    let _machine = shared_machine();
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("there is a port");
    let running = Running::before(nobody);
    let error = running.connect().read(&mut [0]).expect_err("nobody answered");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(running.end().connects_failed, 1);
}

#[test]
fn what_nobody_reads_is_not_taken_without_end_and_none_of_it_is_lost() {
    let _machine = shared_machine();
    const FAR_TOO_MUCH: usize = 256 * MIB;
    let (upstream, running) = Upstream::new();
    let (mut near, mut far) = upstream.couple(&running);
    near.set_write_timeout(Some(Duration::from_secs(1))).expect("it is open");
    let pattern = Pattern::of(3);
    let mut sent = 0;
    while sent < FAR_TOO_MUCH {
        match near.write(pattern.at(sent as u64, MIB as u64)) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    // Two kernels' buffers on each side, of some MiB each; of the proxy's own there is less than one.
    assert!(sent < FAR_TOO_MUCH, "all of it was taken");
    near.shutdown(Shutdown::Write).expect("it is open");
    let (heard, ending) = read_to_the_end(&mut far);
    assert_eq!((heard.len(), ending), (sent, StreamEnd::Clean));
    pattern.check(0, &heard);
    drop((near, far));
    running.end();
}
