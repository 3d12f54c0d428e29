//! Chat over TLS: a server with a generated certificate, and two clients that trust it.
//!
//! Try it: `cargo run --example 15_tls_chat`
//!
//! An authority signs the server's certificate, and each client verifies it before it sends a line.
//! The service is the crate's `Chat`, which does not know about TLS: a layer works with any service.
//!
//! ```text
//! … listening on tls://127.0.0.1:…
//! ann is connected
//! bob is connected
//! ann received: bob: hello?
//! bob received: ann: welcome
//! mallory cannot connect: …
//! ```
//!
//! Mallory trusts another authority, so it refuses the server's certificate. `readyloop cert` makes
//! certificate files for `readyloop serve`.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use readyloop::client::{Client, ConnectFailure, look_up};
use readyloop::net::Destination;
use readyloop::net::tls::{Pem, TlsClient, TlsClientOptions, TlsServer, TlsServerOptions, TlsTarget, Trust};
use readyloop::service::Chat;
use readyloop::{Address, Context, Handle, Lines, Listen, Orders, PeerInfo, Reactor, Server, ServerLimits, Service};

/// The name in the server's certificate.
const NAME: &str = "localhost";

/// The clients of this process.
#[derive(Default)]
struct Talkers {
    open: usize,
    is_over: bool,
}

impl Service for Talkers {
    type Codec = Lines;
    /// The name of the client.
    type Peer = &'static str;
    type Message = ();

    /// The handshake is complete: the server is verified, and all bytes are encrypted.
    fn on_open(&mut self, name: &mut &'static str, _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        println!("{name} is connected");
        self.open += 1;
        // The first client would talk to an empty room.
        if self.open == 2 {
            cx.send(format!("{name}: hello?").as_bytes());
        }
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<&'static str>, _: &mut Orders<'_, Self>) {
        println!("{} cannot connect: {}", failure.peer, failure.error);
        self.is_over = true;
    }

    fn on_frame(&mut self, name: &mut &'static str, line: &[u8], cx: &mut Context<'_, Self>) {
        println!("{name} received: {}", line.escape_ascii());
        if line.ends_with(b"?") {
            cx.send(format!("{name}: welcome").as_bytes());
        } else {
            self.is_over = true;
        }
    }
}

fn main() -> anyhow::Result<()> {
    let (authority, other_authority) = (authority()?, authority()?);
    let (cert, key) = certificate_of(&authority)?;
    let (sender, receiver) = sync_channel(1);
    let server = thread::spawn(move || serve(cert, key, &sender));
    let (address, handle) = receiver.recv()?;
    println!("a server is listening on {address}");
    let Address::Tls(host_port) = &address else { unreachable!("the server listens on a TLS address") };
    let to = Destination::Tcp(look_up(host_port, ServerLimits::default().connect_timeout)?[0]);

    talk(target_trusting(&authority)?, &to, &["ann", "bob"])?;
    talk(target_trusting(&other_authority)?, &to, &["mallory"])?;
    handle.drain();
    server.join().expect("the server does not panic")?;
    Ok(())
}

fn serve(cert: Pem, key: Pem, sender: &SyncSender<(Address, Handle)>) -> io::Result<()> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let options = TlsServerOptions { cert, key, client_ca: None, alpn: Vec::new() };
    let tls = TlsServer::new(options).map_err(io::Error::other)?;
    let address: Address = "tls://127.0.0.1:0".parse().expect("the address is valid");
    let listen = Listen { tls: Some(tls), ..Listen::from(address) };
    let endpoint = server.listen(listen, Lines::new(), Chat::new())?;
    sender.send((server.local_address(&endpoint).clone(), server.handle())).expect("main waits for it");
    server.run().map(drop)
}

/// Connects the clients one after another, and runs them until they have talked, or one cannot connect.
fn talk(target: TlsTarget, to: &Destination, names: &[&'static str]) -> io::Result<()> {
    let (reactor, limits) = (Reactor::new()?, ServerLimits::default());
    let mut client = Client::new(reactor, target.into(), Lines::new(), Talkers::default(), limits);
    for (number, name) in names.iter().enumerate() {
        client.connect(to.clone(), None, *name);
        while client.service().open <= number && !client.service().is_over {
            client.turn(None)?;
        }
    }
    while !client.service().is_over {
        client.turn(None)?;
    }
    Ok(())
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// A certificate for [`NAME`] and its key.
fn certificate_of(authority: &CertifiedIssuer<'_, KeyPair>) -> Result<(Pem, Pem), rcgen::Error> {
    let key = KeyPair::generate()?;
    let cert = CertificateParams::new([NAME.to_owned()])?.signed_by(&key, authority)?;
    Ok((Pem::Text(cert.pem().into()), Pem::Text(key.serialize_pem().into())))
}

/// The TLS layer of a client that trusts only this authority.
fn target_trusting(authority: &CertifiedIssuer<'_, KeyPair>) -> anyhow::Result<TlsTarget> {
    let trust = Trust::Authorities(Pem::Text(authority.pem().into()));
    Ok(TlsClient::new(&TlsClientOptions { trust, ..TlsClientOptions::default() })?.to(NAME)?)
}
