//! Datagrams: who is answered, with what, and that nobody else notices a flood of them.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Serve, Server, TIMEOUT, echoes, exclusive_machine, print_note};

/// Long enough for an answer that should not come: a thousand round trips.
const SILENCE: Duration = Duration::from_millis(100);

pub(crate) fn udp_address(server: &Server) -> SocketAddr {
    let udp = server.addresses.iter().find_map(|address| address.strip_prefix("udp://"));
    udp.and_then(|address| address.parse().ok()).expect("it listens on a UDP address")
}

pub(crate) fn socket_at(local: &str) -> UdpSocket {
    let socket = UdpSocket::bind(local).expect("a free port");
    socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout above zero");
    socket
}

/// Sends a datagram and takes the answer.
#[track_caller]
pub(crate) fn ask(socket: &UdpSocket, server: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    socket.send_to(datagram, server).expect("a datagram goes out");
    let mut buf = vec![0; 1 << 16];
    let (len, from) = socket.recv_from(&mut buf).expect("an answer in time");
    assert_eq!(from, server);
    buf.truncate(len);
    buf
}

#[track_caller]
fn hears_nothing(socket: &UdpSocket) {
    socket.set_read_timeout(Some(SILENCE)).expect("a timeout above zero");
    match socket.recv_from(&mut [0; 64]) {
        Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
        Ok((len, from)) => panic!("{len} bytes from {from} where silence was due"),
    }
}

/// A number of the part of the summary that is about datagrams.
#[track_caller]
fn counted(log: &[String], what: &str) -> u64 {
    let parts = log.iter().rev().flat_map(|line| line.split("; "));
    let part = parts.into_iter().find(|part| part.contains(" datagrams, ")).expect("a summary with datagrams");
    let before = part.split_once(&format!(" {what}")).expect("the summary counts that").0;
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn datagrams_of_every_size_come_back_whole() {
    for (listen, local) in [("udp://127.0.0.1:0", "127.0.0.1:0"), ("udp://[::1]:0", "[::1]:0")] {
        let server = Serve::bare().listen(listen).start();
        let socket = socket_at(local);
        for len in [0, 1, 1472, 65_507] {
            let datagram: Vec<u8> = (0..len).map(|place: u32| place.to_le_bytes()[0] ^ 0x5a).collect();
            assert_eq!(ask(&socket, udp_address(&server), &datagram), datagram);
        }
        let ended = server.drain();
        assert_eq!((counted(&ended.log, "datagrams"), counted(&ended.log, "answered")), (4, 4));
    }
}

#[test]
fn no_datagram_is_answered_where_none_was_asked_for() {
    let server = Serve::new().start();
    let socket = socket_at("127.0.0.1:0");
    socket.connect(server.address()).expect("an address");
    socket.send(b"anybody there").expect("a datagram goes out");
    assert_eq!(socket.recv(&mut [0; 64]).map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
    server.drain();
}

#[test]
fn datagrams_and_connections_share_one_loop() {
    let server = Serve::new().listen("udp://127.0.0.1:0").start();
    let socket = socket_at("127.0.0.1:0");
    let mut stream = server.connect();
    assert_eq!(ask(&socket, udp_address(&server), b"both"), b"both");
    echoes(&mut stream, b"both");
    assert_eq!(server.process.threads(), 1);
}

#[test]
fn one_who_asks_and_leaves_harms_nobody() {
    let server = Serve::bare().listen("udp://127.0.0.1:0").start();
    for _ in 0..200 {
        socket_at("127.0.0.1:0").send_to(b"gone", udp_address(&server)).expect("a datagram goes out");
    }
    assert_eq!(ask(&socket_at("127.0.0.1:0"), udp_address(&server), b"here"), b"here");
    server.drain();
}

#[test]
fn discard_is_silent_and_chargen_no_longer_than_the_question() {
    let discard = Serve::bare().listen("udp://127.0.0.1:0").with("--service discard").start();
    let socket = socket_at("127.0.0.1:0");
    socket.send_to(b"hello", udp_address(&discard)).expect("a datagram goes out");
    hears_nothing(&socket);

    let chargen = Serve::bare().listen("udp://127.0.0.1:0").with("--service chargen").start();
    let socket = socket_at("127.0.0.1:0");
    assert_eq!(ask(&socket, udp_address(&chargen), b"12345"), b" !\"#$");
}

#[test]
fn what_could_bounce_for_ever_is_met_with_silence() {
    let server = Serve::bare().listen("udp://127.0.0.1:0").start();
    let address = udp_address(&server);
    let twin = Serve::bare().listen(&format!("udp://127.0.0.2:{}", address.port())).start();
    // A third of our kind, and the small services: all would answer an answer.
    let mut sources = vec![format!("127.0.0.3:{}", address.port())];
    sources.extend([7, 19, 53].map(|port| format!("127.0.0.4:{port}")));
    let mut refused = 0;
    for source in sources {
        let forger = match UdpSocket::bind(&source) {
            Ok(forger) => forger,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                print_note(&format!("{source} is for root: the simulated world alone forges datagrams from there"));
                continue;
            }
            Err(error) => panic!("cannot bind {source}: {error}"),
        };
        for to in [address, udp_address(&twin)] {
            forger.send_to(b"bounce", to).expect("a datagram goes out");
            hears_nothing(&forger);
        }
        refused += 1;
    }
    assert_eq!(ask(&socket_at("127.0.0.1:0"), address, b"honest"), b"honest");
    let ended = server.drain();
    assert_eq!((counted(&ended.log, "answered"), counted(&ended.log, "refused")), (1, refused));
    assert_eq!(counted(&twin.drain().log, "refused"), refused);
}

#[test]
fn a_source_that_asks_too_much_is_answered_at_its_rate() {
    let server = Serve::bare().listen("udp://127.0.0.1:0").with("--udp-source-rate 50").start();
    let socket = socket_at("127.0.0.1:0");
    let started = Instant::now();
    for _ in 0..100 {
        socket.send_to(b"more", udp_address(&server)).expect("a datagram goes out");
    }
    hears_nothing_more(&socket);
    let ended = server.drain();
    // A burst of a tenth of a second, and what the time in between gave back.
    let share = 6 + (started.elapsed().as_secs_f64() * 50.0) as u64;
    let answered = counted(&ended.log, "answered");
    assert!((1..=share).contains(&answered), "{answered} of {share}");
    assert_eq!(counted(&ended.log, "refused"), 100 - answered);
}

#[test]
fn all_sources_together_are_answered_at_the_total_rate() {
    let server = Serve::bare().listen("udp://127.0.0.1:0").with("--udp-total-rate 50").start();
    // Two networks: each has its own share, and both together have one.
    let sockets = ["127.0.1.1:0", "127.0.2.1:0"].map(socket_at);
    let started = Instant::now();
    for _ in 0..50 {
        for socket in &sockets {
            socket.send_to(b"more", udp_address(&server)).expect("a datagram goes out");
        }
    }
    sockets.iter().for_each(hears_nothing_more);
    let ended = server.drain();
    let share = 6 + (started.elapsed().as_secs_f64() * 50.0) as u64;
    let answered = counted(&ended.log, "answered");
    assert!((1..=share).contains(&answered), "{answered} of {share}");
    assert_eq!(counted(&ended.log, "refused"), 100 - answered);
}

/// Takes answers until none comes any more.
fn hears_nothing_more(socket: &UdpSocket) {
    socket.set_read_timeout(Some(SILENCE)).expect("a timeout above zero");
    while socket.recv_from(&mut [0; 64]).is_ok() {}
}

#[test]
fn a_group_that_was_joined_is_heard() {
    let server = Serve::bare().listen("udp://0.0.0.0:0").with("--multicast 239.255.7.7@127.0.0.1").start();
    let socket = socket2::Socket::from(socket_at("127.0.0.1:0"));
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).expect("the loopback interface");
    let socket = UdpSocket::from(socket);
    let group = SocketAddr::from(([239, 255, 7, 7], udp_address(&server).port()));
    socket.send_to(b"anybody there", group).expect("a datagram goes out");
    let mut buf = [0; 64];
    let (len, from) = socket.recv_from(&mut buf).expect("an answer in time");
    assert_eq!(&buf[..len], b"anybody there");
    assert_ne!(from, group, "an answer has an address of one host");
}

#[test]
fn a_flood_of_datagrams_does_not_delay_the_connected() {
    const PINGS: usize = 1500;
    let _quiet = exclusive_machine();
    let server = Serve::new().listen("udp://127.0.0.1:0").start();
    let mut pinger = server.connect();
    let undisturbed = slowest_percent(&mut pinger, PINGS);
    let is_over = AtomicBool::new(false);
    let flooded = thread::scope(|scope| {
        scope.spawn(|| flood(udp_address(&server), &is_over));
        let flooded = slowest_percent(&mut pinger, PINGS);
        is_over.store(true, Ordering::Relaxed);
        flooded
    });
    let bound = (undisturbed * 3).max(Duration::from_millis(5));
    assert!(flooded <= bound, "p99 {flooded:?} under the flood, {undisturbed:?} without");
    drop(pinger);
    let ended = server.drain();
    let (received, answered) = (counted(&ended.log, "datagrams"), counted(&ended.log, "answered"));
    assert!(answered <= received && received > 1000, "{answered} of {received}");
}

/// The 99th percentile of the round trips of so many pings, one after another.
fn slowest_percent(stream: &mut TcpStream, pings: usize) -> Duration {
    let mut trips: Vec<Duration> = (0..pings)
        .map(|_| {
            let started = Instant::now();
            echoes(stream, b"ping");
            started.elapsed()
        })
        .collect();
    trips.sort_unstable();
    trips[pings * 99 / 100]
}

/// Sends as fast as it can and reads no answer, until it is told that it is over.
fn flood(server: SocketAddr, is_over: &AtomicBool) {
    let socket = socket_at("127.0.0.1:0");
    let deadline = Instant::now() + TIMEOUT;
    while !is_over.load(Ordering::Relaxed) && Instant::now() < deadline {
        for _ in 0..64 {
            // A full buffer drops the datagram, which is what a flood is for.
            let _ = socket.send_to(&[7; 512], server);
        }
        // There are two processors: one for the server, one for this flood and the pinger.
        thread::yield_now();
    }
}
