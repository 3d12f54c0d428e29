//! Datagrams: which get a reply, what the reply is, and that a flood does not affect connections.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Attempt, Serve, Server, TIMEOUT, echoes, exclusive_machine, p99_within, print_note, repeat_attempts,
    retry_if_interrupted,
};

/// The time without a datagram after which none is expected: about a thousand round trips.
const SILENCE: Duration = Duration::from_millis(100);

pub(crate) fn udp_address(server: &Server) -> SocketAddr {
    let udp = server.addresses.iter().find_map(|address| address.strip_prefix("udp://"));
    udp.and_then(|address| address.parse().ok()).expect("the server listens on a UDP address")
}

pub(crate) fn socket_at(local: &str) -> UdpSocket {
    let socket = UdpSocket::bind(local).expect("a port is free");
    socket.set_read_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
    socket
}

/// Sends a datagram and returns the reply.
#[track_caller]
pub(crate) fn ask(socket: &UdpSocket, server: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    socket.send_to(datagram, server).expect("the datagram is sent");
    let mut buf = vec![0; 1 << 16];
    let (len, from) = retry_if_interrupted(|| socket.recv_from(&mut buf)).expect("a reply arrives in time");
    assert_eq!(from, server);
    buf.truncate(len);
    buf
}

#[track_caller]
fn check_silent(socket: &UdpSocket) {
    socket.set_read_timeout(Some(SILENCE)).expect("the timeout is not zero");
    match retry_if_interrupted(|| socket.recv_from(&mut [0; 64])) {
        Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
        Ok((len, from)) => panic!("an unexpected reply of {len} bytes from {from}"),
    }
}

/// A number of the summary about datagrams.
#[track_caller]
fn counted(log: &[String], what: &str) -> u64 {
    let mut parts = log.iter().rev().flat_map(|line| line.split("; "));
    let part = parts.find(|part| part.contains(" datagrams, ")).expect("the log has a summary of datagrams");
    let before = part.split_once(&format!(" {what}")).expect("the summary has this number").0;
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("it is a number")
}

#[track_caller]
fn serve(flags: &str) -> Server {
    Serve::bare().listen("udp://127.0.0.1:0").with(flags).start()
}

#[test]
fn datagrams_of_every_size_are_echoed() {
    for (listen, local) in [("udp://127.0.0.1:0", "127.0.0.1:0"), ("udp://[::1]:0", "[::1]:0")] {
        let server = Serve::bare().listen(listen).start();
        let socket = socket_at(local);
        for len in [0, 1, 1472, 65_507] {
            let datagram: Vec<u8> = (0..len).map(|index: u32| index.to_le_bytes()[0] ^ 0x5a).collect();
            assert_eq!(ask(&socket, udp_address(&server), &datagram), datagram);
        }
        let ended = server.drain();
        assert_eq!((counted(&ended.log, "datagrams"), counted(&ended.log, "answered")), (4, 4));
    }
}

#[test]
fn a_socket_for_all_addresses_answers_from_the_address_that_was_asked() {
    let asked = [
        ("udp://0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"),
        ("udp://0.0.0.0:0", "127.0.0.3:0", "127.0.0.1"),
        ("udp://[::]:0", "[::1]:0", "::1"),
        // A socket for IPv6 also receives over IPv4.
        ("udp://[::]:0", "127.0.0.1:0", "127.0.0.2"),
    ];
    for (listen, local, host) in asked {
        let server = Serve::bare().listen(listen).start();
        let host: IpAddr = host.parse().expect("an address");
        let (socket, to) = (socket_at(local), SocketAddr::new(host, udp_address(&server).port()));
        // A connected socket drops what comes from another address.
        socket.connect(to).expect("the address is valid");
        for datagram in [&b"first"[..], b"second"] {
            socket.send(datagram).expect("the datagram is sent");
            let mut buf = [0; 64];
            let len = retry_if_interrupted(|| socket.recv(&mut buf)).unwrap_or_else(|error| panic!("{to}: {error}"));
            assert_eq!(&buf[..len], datagram);
        }
        server.drain();
    }
}

#[test]
fn a_broadcast_is_answered_from_an_address_of_the_machine() {
    for listen in ["udp://0.0.0.0:0", "udp://[::]:0"] {
        let server = Serve::bare().listen(listen).start();
        let socket = socket_at("127.0.0.1:0");
        socket.set_broadcast(true).expect("the option is known");
        let everyone = SocketAddr::from(([127, 255, 255, 255], udp_address(&server).port()));
        socket.send_to(b"hello", everyone).expect("the datagram is sent");
        let mut buf = [0; 64];
        let (len, from) = retry_if_interrupted(|| socket.recv_from(&mut buf)).expect("a reply arrives in time");
        assert_eq!((&buf[..len], from.ip()), (&b"hello"[..], IpAddr::V4(Ipv4Addr::LOCALHOST)));
        server.drain();
    }
}

#[test]
fn without_a_udp_listener_datagrams_are_refused() {
    let server = Serve::new().start();
    let socket = socket_at("127.0.0.1:0");
    socket.connect(server.address()).expect("the address is valid");
    socket.send(b"hello").expect("the datagram is sent");
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
fn closed_client_sockets_affect_no_other_client() {
    let server = serve("");
    for _ in 0..200 {
        socket_at("127.0.0.1:0").send_to(b"gone", udp_address(&server)).expect("the datagram is sent");
    }
    assert_eq!(ask(&socket_at("127.0.0.1:0"), udp_address(&server), b"here"), b"here");
    server.drain();
}

#[test]
fn discard_sends_nothing_and_chargen_no_more_than_the_request() {
    let discard = serve("--service discard");
    let socket = socket_at("127.0.0.1:0");
    socket.send_to(b"hello", udp_address(&discard)).expect("the datagram is sent");
    check_silent(&socket);

    let chargen = serve("--service chargen");
    let socket = socket_at("127.0.0.1:0");
    assert_eq!(ask(&socket, udp_address(&chargen), b"12345"), b" !\"#$");
}

#[test]
fn datagrams_that_could_loop_get_no_reply() {
    let server = serve("");
    let address = udp_address(&server);
    let twin = Serve::bare().listen(&format!("udp://127.0.0.2:{}", address.port())).start();
    // The port of another echo server, and ports of services that reply to any datagram.
    let mut sources = vec![format!("127.0.0.3:{}", address.port())];
    sources.extend([7, 19, 53].map(|port| format!("127.0.0.4:{port}")));
    let mut refused = 0;
    for source in sources {
        let forger = match UdpSocket::bind(&source) {
            Ok(forger) => forger,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                print_note(&format!(
                    "replies to {source} were NOT tested: binding it needs root (the simulated world tests it)"
                ));
                continue;
            }
            Err(error) => panic!("cannot bind {source}: {error}"),
        };
        for to in [address, udp_address(&twin)] {
            forger.send_to(b"bounce", to).expect("the datagram is sent");
            check_silent(&forger);
        }
        refused += 1;
    }
    assert_eq!(ask(&socket_at("127.0.0.1:0"), address, b"honest"), b"honest");
    let ended = server.drain();
    assert_eq!((counted(&ended.log, "answered"), counted(&ended.log, "refused")), (1, refused));
    assert_eq!(counted(&twin.drain().log, "refused"), refused);
}

/// Sends 100 datagrams from these sources and checks that the replies keep a rate of 50 a second.
#[track_caller]
fn check_rate(flags: &str, sources: &[&str]) {
    let server = serve(flags);
    let sockets: Vec<UdpSocket> = sources.iter().map(|source| socket_at(source)).collect();
    let started = Instant::now();
    for socket in sockets.iter().cycle().take(100) {
        socket.send_to(b"more", udp_address(&server)).expect("the datagram is sent");
    }
    for socket in &sockets {
        socket.set_read_timeout(Some(SILENCE)).expect("the timeout is not zero");
        let replies = (0..1000).take_while(|_| socket.recv_from(&mut [0; 64]).is_ok()).count();
        assert!(replies < 1000, "the replies do not end");
    }
    let ended = server.drain();
    // A burst of a tenth of a second, plus the rate times the elapsed time.
    let allowed = 6 + (started.elapsed().as_secs_f64() * 50.0) as u64;
    let answered = counted(&ended.log, "answered");
    assert!((1..=allowed).contains(&answered), "{answered} of {allowed}");
    assert_eq!(counted(&ended.log, "refused"), 100 - answered);
}

#[test]
fn the_source_rate_limits_replies() {
    check_rate("--udp-source-rate 50", &["127.0.0.1:0"]);
}

#[test]
fn the_total_rate_limits_replies() {
    // Sources in two networks have separate source rates and one total rate.
    check_rate("--udp-total-rate 50", &["127.0.1.1:0", "127.0.2.1:0"]);
}

#[test]
fn datagrams_to_a_joined_group_are_answered() {
    let server = Serve::bare().listen("udp://0.0.0.0:0").with("--multicast 239.255.7.7@127.0.0.1").start();
    let socket = socket2::Socket::from(socket_at("127.0.0.1:0"));
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).expect("there is a loopback interface");
    let socket = UdpSocket::from(socket);
    let group = SocketAddr::from(([239, 255, 7, 7], udp_address(&server).port()));
    socket.send_to(b"hello", group).expect("the datagram is sent");
    let mut buf = [0; 64];
    let (len, from) = socket.recv_from(&mut buf).expect("a reply arrives in time");
    assert_eq!(&buf[..len], b"hello");
    assert_ne!(from, group, "a reply comes from a unicast address");
}

#[test]
fn a_flood_of_datagrams_does_not_delay_connections() {
    let _machine = exclusive_machine();
    let server = Serve::new().listen("udp://127.0.0.1:0").start();
    let mut pinger = server.connect();
    repeat_attempts("pings during a flood of datagrams", || {
        let alone = ping(&mut pinger);
        let is_over = AtomicBool::new(false);
        let (started, waited_before) = (Instant::now(), server.process.waited_for_cpu());
        let flooded = thread::scope(|scope| {
            scope.spawn(|| flood(udp_address(&server), &is_over));
            let flooded = ping(&mut pinger);
            is_over.store(true, Ordering::Relaxed);
            flooded
        });
        let (elapsed, server_waited) = (started.elapsed(), server.process.waited_for_cpu() - waited_before);
        println!("p99 alone {alone:?}, flooded {flooded:?}; the server waited {server_waited:?} of {elapsed:?}");
        Attempt {
            is_good: flooded <= Duration::from_millis(5).max(3 * alone),
            is_disturbed: server_waited > elapsed / 20,
            is_bounded: flooded < Duration::from_millis(100),
        }
    });
    drop(pinger);
    let ended = server.drain();
    let (received, answered) = (counted(&ended.log, "datagrams"), counted(&ended.log, "answered"));
    assert!(answered <= received && received > 1000, "{answered} of {received}");
}

/// The 99th percentile of the round trips within half a second.
fn ping(stream: &mut TcpStream) -> Duration {
    p99_within(Duration::from_millis(500), || echoes(stream, b"ping"))
}

/// Sends datagrams as fast as possible until `is_over` is set, and reads no replies.
fn flood(server: SocketAddr, is_over: &AtomicBool) {
    let socket = socket_at("127.0.0.1:0");
    let deadline = Instant::now() + TIMEOUT;
    while !is_over.load(Ordering::Relaxed) && Instant::now() < deadline {
        for _ in 0..64 {
            // Fails if the socket buffer is full. A flood ignores that.
            let _ = socket.send_to(&[7; 512], server);
        }
        // On two CPUs, one is for the server, and the other for the flood and the pings.
        thread::yield_now();
    }
}
