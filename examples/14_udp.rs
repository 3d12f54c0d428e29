//! UDP: an echo, a client that counts what is lost and what comes twice, and a path that sees to both.
//!
//! Try it: `cargo run --example 14_udp`
//!
//! What you see: a hundred numbered datagrams go out over a path that drops every tenth and doubles
//! every seventh, on their way there. The server knows nothing of that: a datagram stands for
//! itself. It is the client that gives each a number, remembers when it left, and so can tell.
//!
//! ```text
//! client: 100 sent, 90 answered, 10 lost, 13 duplicates, 0 reordered
//! server: 103 datagrams came, 103 were answered
//! from port 40000: answered
//! from port 7: ServicePort
//! ```
//!
//! Why port 7 is never answered: the echo of another machine listens there, and answers whatever
//! comes. One datagram in its name, which anybody can forge, and the two would answer each other
//! for ever. So whatever comes from a port where such a service listens, or our own kind, is met
//! with silence; and no answer is longer than what was asked, so that nobody gains by asking in
//! another's name.

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
/// After how long a datagram is held for lost.
const PATIENCE: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    let (tell, told) = sync_channel(1);
    let server = thread::spawn(move || serve(&tell));
    let (address, handle) = told.recv().expect("the server tells where it listens");
    let path = bad_path_to(address)?;

    let SequenceCounters { sent, answered, lost, duplicates, reordered, .. } = count(path)?;
    println!("client: {sent} sent, {answered} answered, {lost} lost, {duplicates} duplicates, {reordered} reordered");
    handle.drain();
    let DatagramCounters { received, answered, .. } = server.join().expect("the server does not panic")?;
    println!("server: {received} datagrams came, {answered} were answered");

    let mut guard = Guard::new(DatagramLimits::default());
    for port in [40_000, 7] {
        match guard.admit(&Source { prefix: 1, port, reach: Reach::Unicast }, Instant::ORIGIN) {
            Ok(()) => println!("from port {port}: answered"),
            Err(refusal) => println!("from port {port}: {refusal:?}"),
        }
    }
    Ok(())
}

/// The echo, in four lines.
fn serve(tell: &SyncSender<(SocketAddr, Handle)>) -> io::Result<DatagramCounters> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let address: Address = "udp://127.0.0.1:0".parse().expect("an address");
    let (options, limits) = (DatagramOptions::default(), DatagramLimits::default());
    let endpoint = server.listen_datagrams(&address, &options, limits, Echo::new())?;
    let Address::Udp(bound) = server.local_address(&endpoint) else { unreachable!("it was asked for datagrams") };
    let bound = bound.parse().expect("it is bound to an address and no name");
    tell.send((bound, server.handle())).expect("somebody waits for it");
    Ok(server.run()?.datagrams)
}

/// Sends a datagram each millisecond and takes what comes in between. Each begins with its number,
/// by which its reply is known.
fn count(to: SocketAddr) -> io::Result<SequenceCounters> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(Duration::from_millis(1)))?;
    let (begun, mut sequence) = (SystemInstant::now(), Sequence::new(PATIENCE));
    let now = || Instant::ORIGIN + begun.elapsed();
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
            // Not ours, as far as we can tell; or nothing for now.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        // UDP tells of no loss. That nothing came for so long is all there is to know.
        while sequence.poll_lost(now()).is_some() {}
    }
    Ok(*sequence.counters())
}

/// A path to the server for one client, and where it begins.
fn bad_path_to(server: SocketAddr) -> io::Result<SocketAddr> {
    let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    far.connect(server)?;
    let begin = near.local_addr()?;
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
    Ok(begin)
}
