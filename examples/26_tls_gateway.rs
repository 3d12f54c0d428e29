//! TLS gateways: plain connections in and TLS out, and TLS in and plain connections out.
//!
//! Try it: `cargo run --example 26_tls_gateway`
//!
//! ```text
//! sent 16 MiB through both gateways and back
//! a client that does not read was stopped after … MiB, and then read all of them
//! a server with a certificate of another authority: …
//! ```
//!
//! Both gateways are the crate's [`Proxy`], which does not know about TLS. An endpoint has a layer for
//! accepted connections, and another one for outbound connections:
//!
//! ```text
//!                  ┌────────────────────── one event loop ─────────────────────┐
//! client ─ plain ──▶ gateway ── TLS, verified ──▶ gateway ── plain ──▶ echo    │
//!                  │ connect_tls                  tls                          │
//!                  └───────────────────────────────────────────────────────────┘
//! ```
//!
//! A slow side slows down the other one through both gateways, with bounded memory in each.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use readyloop::net::tls::{Pem, TlsClient, TlsClientOptions, TlsServer, TlsServerOptions, TlsTarget, Trust};
use readyloop::service::{Echo, PROXY_QUEUE, Proxy};
use readyloop::{Address, EventLoop, Handle, Limits, Listen, Raw, Reactor, ServerLimits};

/// The name in the certificate.
const NAME: &str = "localhost";
const MIB: usize = 1 << 20;
/// Bytes to send through the gateways, each way.
const VOLUME: usize = 16 * MIB;
/// A write that makes no progress for this long counts as blocked.
const BLOCKED_AFTER: Duration = Duration::from_millis(500);

/// An authority, and a certificate that it has signed.
struct Certificates {
    authority: CertifiedIssuer<'static, KeyPair>,
    cert: Pem,
    key: Pem,
}

impl Certificates {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let cert = CertificateParams::new([NAME.to_owned()])?.signed_by(&key, &authority)?;
        Ok(Self { authority, cert: Pem::Text(cert.pem().into()), key: Pem::Text(key.serialize_pem().into()) })
    }

    /// The TLS of a server with the certificate.
    fn server(&self) -> anyhow::Result<TlsServer> {
        let (cert, key) = (self.cert.clone(), self.key.clone());
        Ok(TlsServer::new(TlsServerOptions { cert, key, client_ca: None, alpn: Vec::new() })?)
    }

    /// The TLS of a client that trusts the authority.
    fn target(&self) -> anyhow::Result<TlsTarget> {
        let trust = Trust::Authorities(Pem::Text(self.authority.pem().into()));
        Ok(TlsClient::new(&TlsClientOptions { trust, ..TlsClientOptions::default() })?.to(NAME)?)
    }
}

/// Where a gateway listens, with the limits that a proxy needs.
fn gateway(address: Address) -> Listen {
    Listen { limits: Limits { queue: PROXY_QUEUE, ..Limits::default() }, ..Listen::from(address) }
}

/// The addresses of the gateways, and a handle to end their event loop.
struct Gateways {
    trusting: SocketAddr,
    not_trusting: SocketAddr,
    handle: Handle,
}

fn serve(ready: &SyncSender<Gateways>) -> anyhow::Result<()> {
    let (certificates, others) = (Certificates::new()?, Certificates::new()?);
    let any: Address = "127.0.0.1:0".parse()?;
    let mut event_loop = EventLoop::new(Reactor::new()?, ServerLimits::default());

    let echo = event_loop.listen(gateway(any.clone()), Raw, Echo::new())?;
    let echo = socket_address(event_loop.local_address(&echo))?;
    let listen = Listen { tls: Some(certificates.server()?), ..gateway("tls://127.0.0.1:0".parse()?) };
    let inner = event_loop.listen(listen, Raw, Proxy::to(echo))?;
    let inner = socket_address(event_loop.local_address(&inner))?;

    let mut outer = |target| -> anyhow::Result<SocketAddr> {
        let listen = Listen { connect_tls: Some(target), ..gateway(any.clone()) };
        let id = event_loop.listen(listen, Raw, Proxy::to(inner))?;
        socket_address(event_loop.local_address(&id))
    };
    let (trusting, not_trusting) = (outer(certificates.target()?)?, outer(others.target()?)?);
    ready.send(Gateways { trusting, not_trusting, handle: event_loop.handle() })?;
    event_loop.run()?;
    Ok(())
}

fn socket_address(address: &Address) -> anyhow::Result<SocketAddr> {
    let text = address.to_string();
    let (_, host_port) = text.split_once("://").unwrap_or(("tcp", &text));
    Ok(host_port.parse()?)
}

fn main() -> anyhow::Result<()> {
    let (ready, started) = sync_channel(1);
    let loop_thread = thread::spawn(move || serve(&ready));
    let gateways = started.recv()?;

    let echoed = echo_through(TcpStream::connect(gateways.trusting)?)?;
    println!("sent {} MiB through both gateways and back", echoed / MIB);

    let sent = send_without_reading(TcpStream::connect(gateways.trusting)?)?;
    let sent = sent as f64 / MIB as f64;
    println!("a client that does not read was stopped after {sent:.1} MiB, and then read all of them");

    let mut stream = TcpStream::connect(gateways.not_trusting)?;
    // The reset may arrive before the write.
    let written = stream.write_all(b"hello?");
    match written.and_then(|()| stream.read_to_end(&mut Vec::new())) {
        Ok(len) => anyhow::bail!("the gateway passed on {len} bytes of a server that it cannot trust"),
        Err(error) => println!("a server with a certificate of another authority: {error}"),
    }

    gateways.handle.drain();
    loop_thread.join().expect("the event loop does not panic")
}

/// The byte at `index` of the test data.
fn byte(index: usize) -> u8 {
    (index.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// Test data from `start` on.
fn data(start: usize) -> Vec<u8> {
    (start..start + MIB / 16).map(byte).collect()
}

/// Sends test data and reads it back at the same time. Returns its length, or an error if a byte differs.
fn echo_through(stream: TcpStream) -> anyhow::Result<usize> {
    let mut sending = stream.try_clone()?;
    let sender = thread::spawn(move || {
        (0..VOLUME).step_by(MIB / 16).try_for_each(|start| sending.write_all(&data(start)))?;
        sending.shutdown(Shutdown::Write)
    });
    let received = check_to_end(stream)?;
    sender.join().expect("the thread does not panic")?;
    anyhow::ensure!(received == VOLUME, "{received} of {VOLUME} bytes came back");
    Ok(received)
}

/// Sends until a write blocks, then reads. Returns the number of bytes sent.
fn send_without_reading(mut stream: TcpStream) -> anyhow::Result<usize> {
    stream.set_write_timeout(Some(BLOCKED_AFTER))?;
    let mut sent = 0;
    loop {
        match stream.write(&data(sent)) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    stream.shutdown(Shutdown::Write)?;
    let received = check_to_end(stream)?;
    anyhow::ensure!(received == sent, "{received} of {sent} bytes came back");
    Ok(sent)
}

/// Reads to the end and returns the number of bytes, or an error if one differs from the test data.
fn check_to_end(mut stream: TcpStream) -> anyhow::Result<usize> {
    let (mut chunk, mut received) = (vec![0; MIB / 16], 0);
    loop {
        let len = stream.read(&mut chunk)?;
        if len == 0 {
            return Ok(received);
        }
        let wrong = (0..len).find(|index| chunk[*index] != byte(received + index));
        anyhow::ensure!(wrong.is_none(), "byte {} differs from the one that was sent", received + wrong.unwrap_or(0));
        received += len;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::IoSlice;

    use readyloop::net::Stream;
    use readyloop::sim::{Behavior, Faults, SimNet, SimPeer, World};

    use super::*;

    /// The number of worlds with faults.
    const SEEDS: u64 = 10;
    const SERVER: &str = "10.9.9.9:443";
    const SECOND: Duration = Duration::from_secs(1);

    /// A peer's end of a simulated connection, under the TLS of the test.
    struct Wire {
        peer: SimPeer,
        input: VecDeque<u8>,
    }

    impl Wire {
        fn new(peer: SimPeer) -> Self {
            Self { peer, input: VecDeque::new() }
        }
    }

    impl Stream for Wire {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.input.extend(self.peer.received());
            match self.input.read(buf)? {
                0 if self.peer.is_ended() => Ok(0),
                0 => Err(io::ErrorKind::WouldBlock.into()),
                len => Ok(len),
            }
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.peer.send(bytes);
            Ok(bytes.len())
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            slices.iter().map(|slice| self.write(slice)).sum()
        }

        fn shutdown_write(&mut self) -> io::Result<()> {
            self.peer.finish();
            Ok(())
        }

        fn reset_on_drop(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Adds what a stream has to `received`.
    fn read_available(stream: &mut dyn Stream, received: &mut Vec<u8>) {
        let mut chunk = vec![0; 1 << 16];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return,
                Ok(len) => received.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn write_all(stream: &mut dyn Stream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match stream.write(bytes) {
                Ok(len) => bytes = &bytes[len..],
                // Records wait, and are written to the wire.
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            stream.flush().unwrap();
        }
    }

    fn listen(world: &World, listen: Listen) -> EventLoop<SimNet> {
        let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
        let server: SocketAddr = SERVER.parse().unwrap();
        event_loop.listen(listen, Raw, Proxy::to(server)).unwrap();
        world.accept_connects_at(&SERVER.parse().unwrap(), Behavior::default());
        event_loop
    }

    /// Moves bytes in both directions between a client and a server, of which one speaks TLS.
    fn check_both_directions(
        world: &World,
        event_loop: &mut EventLoop<SimNet>,
        client: &mut dyn Stream,
        server: impl FnOnce(SimPeer) -> Box<dyn Stream>,
    ) {
        let (request, reply): (Vec<u8>, Vec<u8>) = ((0..300_000).map(byte).collect(), (7..200_000).map(byte).collect());
        let (mut requested, mut replied) = (Vec::new(), Vec::new());
        let mut far_end: Option<Box<dyn Stream>> = None;
        let mut server = Some(server);
        for round in 0..600 {
            world.advance(SECOND / 10, || event_loop.turn(None)).unwrap();
            if world.peers().count() == 2
                && let Some(server) = server.take()
            {
                far_end = Some(server(world.last_peer().unwrap()));
            }
            // Handshakes move on with reads.
            read_available(client, &mut replied);
            if let Some(far_end) = &mut far_end {
                read_available(&mut **far_end, &mut requested);
            }
            // The handshakes are complete.
            if round == 200 {
                write_all(client, &request);
                write_all(&mut **far_end.as_mut().unwrap(), &reply);
            }
        }
        assert!(requested == request, "{} of {} bytes of the client", requested.len(), request.len());
        assert!(replied == reply, "{} of {} bytes of the server", replied.len(), reply.len());
        assert!(event_loop.totals().reconciles());
    }

    fn each_world(test: impl Fn(&World)) {
        test(&World::new(0));
        for seed in 0..SEEDS {
            test(&World::new(seed).with_faults(Faults::delays_drawn_from(seed)));
        }
    }

    #[test]
    fn plain_clients_reach_a_server_behind_tls() {
        let certificates = Certificates::new().unwrap();
        each_world(|world| {
            let address: Address = "10.0.0.99:7007".parse().unwrap();
            let connect_tls = Some(certificates.target().unwrap());
            let mut event_loop = listen(world, Listen { connect_tls, ..gateway(address.clone()) });
            let mut client = Wire::new(world.connect(&address));
            let tls = certificates.server().unwrap();
            check_both_directions(world, &mut event_loop, &mut client, |peer| {
                Box::new(tls.wrap(Wire::new(peer)).unwrap())
            });
        });
    }

    #[test]
    fn clients_behind_tls_reach_a_plain_server() {
        let certificates = Certificates::new().unwrap();
        each_world(|world| {
            let address: Address = "tls://10.0.0.99:7443".parse().unwrap();
            let tls = Some(certificates.server().unwrap());
            let mut event_loop = listen(world, Listen { tls, ..gateway(address.clone()) });
            let wire = Wire::new(world.connect(&address));
            let mut client = certificates.target().unwrap().wrap(wire).unwrap();
            check_both_directions(world, &mut event_loop, &mut client, |peer| Box::new(Wire::new(peer)));
        });
    }

    #[test]
    fn a_server_that_does_not_speak_tls_resets_the_client() {
        let certificates = Certificates::new().unwrap();
        let world = World::new(0);
        let address: Address = "10.0.0.99:7007".parse().unwrap();
        let connect_tls = Some(certificates.target().unwrap());
        let mut event_loop = listen(&world, Listen { connect_tls, ..gateway(address.clone()) });
        let client = world.connect(&address);
        client.send(b"hello");
        world.advance(SECOND, || event_loop.turn(None)).unwrap();
        world.last_peer().unwrap().send(b"SSH-2.0-not-tls\r\n");
        world.advance(60 * SECOND, || event_loop.turn(None)).unwrap();
        assert!(client.is_broken() && client.received().is_empty());
        assert!(event_loop.is_idle());
    }
}
