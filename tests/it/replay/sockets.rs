//! Random runs over real sockets: TLS, PROXY headers and datagrams. The replay needs no socket and no key.

use std::io::{Cursor, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;

use readyloop::datagram::DatagramLimits;
use readyloop::net::tls::{TlsClientOptions, TlsServer, TlsServerOptions, Trust};
use readyloop::net::{DatagramOptions, Net, TrustedProxies};
use readyloop::recording::{Recording, RecordingOptions, Replay};
use readyloop::service::Echo;
use readyloop::sim::Rng;
use readyloop::{Address, Lines, Listen, Raw, Reactor, Server, ServerLimits};

use super::Memory;
use crate::support::certs::Authority;
use crate::support::tls::{ManualClient, SERVER_NAME, VERSIONS};
use crate::support::{TIMEOUT, connect, shared_machine};

/// The number of random runs.
const SEEDS: u64 = 40;

/// The turns, the hash and the totals of a run.
type Report = (u64, u64, String);

/// A server with an endpoint for TLS, one for PROXY headers and one for datagrams. Returns their addresses.
fn server<N: Net + 'static>(net: N, tls: &TlsServer) -> (Server<N>, [SocketAddr; 3]) {
    let mut server = Server::new(net, ServerLimits::default());
    let secure = Listen { tls: Some(tls.clone()), ..Listen::from(Address::Tls("127.0.0.1:0".to_owned())) };
    let proxied =
        Listen { proxy: Some(TrustedProxies::default()), ..Listen::from(Address::Tcp("127.0.0.1:0".to_owned())) };
    let secure = server.listen(secure, Lines::new(), Echo::new()).expect("a port is free");
    let proxied = server.listen(proxied, Lines::new(), Echo::new()).expect("a port is free");
    let udp = Address::Udp("127.0.0.1:0".to_owned());
    let udp = server.listen_datagrams(&udp, &DatagramOptions::default(), DatagramLimits::default(), Echo::<Raw>::new());
    let addresses = [server.local_address(&secure), server.local_address(&proxied), &udp.expect("a port is free")];
    let addresses = addresses.map(|address| {
        let text = address.to_string();
        text.split_once("://").expect("an address with its scheme").1.parse().expect("a socket address")
    });
    (server, addresses)
}

/// Records a server while `clients` use it. Then the server drains.
fn record(tls: &TlsServer, clients: impl FnOnce([SocketAddr; 3])) -> (Vec<u8>, Report) {
    let (memory, tls) = (Memory::default(), tls.clone());
    let (start_sender, started) = mpsc::channel();
    let (end_sender, ended) = mpsc::channel();
    let writer = memory.clone();
    thread::spawn(move || {
        let net = Reactor::new().expect("descriptors are free");
        let net = Recording::to_writer(net, writer, &RecordingOptions::default()).expect("a recording");
        let (mut server, addresses) = server(net, &tls);
        start_sender.send((addresses, server.handle())).expect("the test waits for it");
        let totals = format!("{:?}", server.run().expect("the poll works"));
        let report = (server.net().turns(), server.net().trace_hash(), totals);
        drop(server);
        end_sender.send(report).expect("the test waits for it");
    });
    let (addresses, handle) = started.recv_timeout(TIMEOUT).expect("the server starts");
    clients(addresses);
    handle.drain();
    let report = ended.recv_timeout(TIMEOUT).expect("the server ends");
    (memory.bytes(), report)
}

fn replay(recording: Vec<u8>, tls: &TlsServer) -> Report {
    let (mut server, _) = server(Replay::from_reader(Cursor::new(recording)).expect("a recording"), tls);
    let totals = format!("{:?}", server.run().expect("an equal replay"));
    (server.net().turns(), server.net().trace_hash(), totals)
}

fn tls_client(rng: &mut Rng, address: SocketAddr, options: &TlsClientOptions) {
    let options = TlsClientOptions { version: Some(rng.pick(&VERSIONS)), ..options.clone() };
    let mut client = ManualClient::open(connect(address), &options).expect("the handshake succeeds");
    for _ in 0..rng.below(4) {
        let mut line = vec![b'x'; rng.below(30_000)];
        line.push(b'\n');
        client.echoes(&line);
    }
    if rng.chance(0.5) {
        client.finish();
        client.expect_end();
    }
}

/// Sends bytes, ends the output and reads until the end or an error.
fn plain_client(address: SocketAddr, bytes: &[u8]) {
    let mut client: TcpStream = connect(address);
    // The server may have reset the connection already.
    let _ = client.write_all(bytes).and_then(|()| client.shutdown(std::net::Shutdown::Write));
    let _ = client.read_to_end(&mut Vec::new());
}

fn datagrams(rng: &mut Rng, address: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.set_read_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
    for _ in 0..=rng.below(5) {
        let datagram = vec![b'd'; 1 + rng.below(1400)];
        socket.send_to(&datagram, address).expect("loopback takes it");
        let mut answer = [0; 2000];
        assert_eq!(socket.recv(&mut answer).expect("an answer"), datagram.len());
    }
}

#[test]
fn runs_with_tls_proxy_headers_and_datagrams_replay_without_sockets() {
    let _machine = shared_machine();
    let authority = Authority::new();
    let (cert, key) = authority.issue(SERVER_NAME);
    let options = TlsServerOptions { cert, key, client_ca: None, alpn: Vec::new() };
    let tls = TlsServer::new(options).expect("a certificate");
    let options = TlsClientOptions { trust: Trust::Authorities(authority.pem()), ..TlsClientOptions::default() };
    // Its key is another one.
    let (cert, key) = Authority::new().issue(SERVER_NAME);
    let other = TlsServer::new(TlsServerOptions { cert, key, client_ca: None, alpn: Vec::new() });
    let other = other.expect("a certificate");
    for seed in 0..SEEDS {
        let rng = &mut Rng::new(seed);
        let (recording, report) = record(&tls, |[secure, proxied, udp]| {
            for _ in 0..=rng.below(8) {
                match rng.below(7) {
                    0 | 1 => tls_client(rng, secure, &options),
                    2 => plain_client(secure, b"GET / HTTP/1.1\r\n\r\n"),
                    3 => drop(connect(secure)),
                    4 => plain_client(proxied, b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\nhello\n"),
                    5 => plain_client(proxied, b"hello\n"),
                    _ => datagrams(rng, udp),
                }
            }
        });
        assert_eq!(replay(recording, &other), report, "seed {seed}");
    }
}
