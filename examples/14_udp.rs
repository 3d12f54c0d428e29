//! UDP: an echo server, a lossy path, and a client that counts lost and duplicate datagrams.
//!
//! Try it: `cargo run --example 14_udp`
//!
//! The client sends a hundred numbered datagrams over a path that drops every tenth and duplicates
//! every seventh. UDP reports neither, so the client must remember when it sent each number.
//!
//! ```text
//! client: 100 sent, 90 answered, 10 lost, 13 duplicates, 0 reordered
//! server: 103 datagrams received, 103 answered
//! from port 40000: answered
//! from port 7: ServicePort
//! ```
//!
//! Datagrams from port 7 are never answered. Port 7 is the echo service of another machine, which
//! answers everything. With one datagram that forges its address, two echo servers would answer each
//! other forever. Therefore datagrams from ports of such services are dropped. Also, no answer is
//! longer than its request, so a forged source address gives an attacker no amplification.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant as SystemInstant};

use readyloop::client::{Sequence, SequenceCounters};
use readyloop::datagram::{DatagramCounters, DatagramLimits, Guard, Reach, Source};
use readyloop::instant::Instant;
use readyloop::net::DatagramOptions;
use readyloop::service::Echo;
use readyloop::{Address, Handle, Reactor, Server, ServerLimits};

const COUNT: u64 = 100;
/// How long to wait for a reply before a datagram counts as lost.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> anyhow::Result<()> {
    let (sender, receiver) = sync_channel(1);
    let server = thread::spawn(move || serve(&sender));
    let (address, handle) = receiver.recv()?;
    let path = lossy_path_to(address)?;

    let SequenceCounters { sent, answered, lost, duplicates, reordered, .. } = count(path)?;
    println!("client: {sent} sent, {answered} answered, {lost} lost, {duplicates} duplicates, {reordered} reordered");
    handle.drain();
    let DatagramCounters { received, answered, .. } = server.join().expect("the server does not panic")?;
    println!("server: {received} datagrams received, {answered} answered");

    let mut guard = Guard::new(DatagramLimits::default());
    for port in [40_000, 7] {
        match guard.admit(&Source { prefix: 1, port, reach: Reach::Unicast }, Instant::ORIGIN) {
            Ok(()) => println!("from port {port}: answered"),
            Err(refusal) => println!("from port {port}: {refusal:?}"),
        }
    }
    Ok(())
}

/// The echo server.
fn serve(sender: &SyncSender<(SocketAddr, Handle)>) -> io::Result<DatagramCounters> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let address: Address = "udp://127.0.0.1:0".parse().expect("the address is valid");
    let (options, limits) = (DatagramOptions::default(), DatagramLimits::default());
    let Address::Udp(bound) = server.listen_datagrams(&address, &options, limits, Echo::new())? else {
        unreachable!("the server listens for datagrams")
    };
    let bound = bound.parse().expect("the bound address is an IP address");
    sender.send((bound, server.handle())).expect("main waits for it");
    Ok(server.run()?.datagrams)
}

/// Sends a datagram each millisecond and receives the replies in between. Each datagram holds its number.
fn count(to: SocketAddr) -> io::Result<SequenceCounters> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(Duration::from_millis(1)))?;
    let (started, mut sequence) = (SystemInstant::now(), Sequence::new(REPLY_TIMEOUT));
    let now = || Instant::ORIGIN + started.elapsed();
    let mut reply = [0; 16];
    while sequence.counters().sent < COUNT || sequence.counters().awaited > 0 {
        if sequence.counters().sent < COUNT {
            let number = sequence.handle_sent(sequence.counters().sent, now());
            socket.send(&number.to_be_bytes())?;
        }
        match socket.recv(&mut reply) {
            Ok(8) => {
                let number = reply[..8].try_into().expect("eight bytes");
                sequence.handle_reply(u64::from_be_bytes(number), now());
            }
            // Not a reply to one of our datagrams.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        // UDP reports no loss. A datagram without a reply counts as lost after the timeout.
        while sequence.poll_lost(now()).is_some() {}
    }
    Ok(*sequence.counters())
}

/// A lossy path from one client to the server. Returns the address to send to.
fn lossy_path_to(server: SocketAddr) -> io::Result<SocketAddr> {
    let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    far.connect(server)?;
    let entry = near.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        let mut buffer = [0; 64];
        for number in 1_u64.. {
            let (len, client) = near.recv_from(&mut buffer)?;
            let copies = match number {
                number if number % 10 == 0 => 0,
                number if number % 7 == 0 => 2,
                _ => 1,
            };
            for _ in 0..copies {
                far.send(&buffer[..len])?;
            }
            for _ in 0..copies {
                let len = far.recv(&mut buffer)?;
                near.send_to(&buffer[..len], client)?;
            }
        }
        Ok(())
    });
    Ok(entry)
}
