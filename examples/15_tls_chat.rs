//! Chat over TLS: a server with a certificate of its own making, and two clients that trust it.
//!
//! Try it: `cargo run --example 15_tls_chat`
//!
//! What you see: an authority signs a certificate, the server shows it, and each client checks
//! that it has reached who it asked for before it says a word. The chat itself is the crate's
//! `Chat`, which knows nothing of all that: TLS is a layer, and lies under any service.
//!
//! ```text
//! … listening on tls://127.0.0.1:…
//! ann is in
//! bob is in
//! ann heard: bob: is anybody there?
//! bob heard: ann: I am
//! mallory did not get in: …
//! ```
//!
//! Mallory trusts another authority: for such a client the same server is a stranger. A certificate
//! as files, for `readyloop serve`, is made by `readyloop cert`.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use readyloop::client::{Client, ClientLimits, look_up};
use readyloop::net::Destination;
use readyloop::net::tls::{Pem, TlsClient, TlsClientOptions, TlsServer, TlsServerOptions, TlsTarget, Trust};
use readyloop::service::Chat;
use readyloop::{Address, Context, Handle, Lines, Listen, Reactor, Server, ServerLimits, Service};

/// What the server is called in its certificate, whatever its address.
const NAME: &str = "localhost";

/// What the guests of this process do.
#[derive(Default)]
struct Guests {
    here: usize,
    is_over: bool,
}

impl Service for Guests {
    /// A guest's name.
    type Peer = &'static str;
    type Message = ();

    /// From here on everything is encrypted, and the server is who it should be.
    fn on_open(&mut self, name: &mut &'static str, _: &dyn Display, cx: &mut Context<'_, '_>) {
        println!("{} is in", name);
        self.here += 1;
        // Who comes alone would speak to nobody.
        if self.here == 2 {
            cx.send(format!("{}: is anybody there?", name).as_bytes());
        }
    }

    fn on_frame(&mut self, name: &mut &'static str, line: &[u8], cx: &mut Context<'_, '_>) {
        println!("{} heard: {}", name, line.escape_ascii());
        if line.ends_with(b"?") {
            cx.send(format!("{}: I am", name).as_bytes());
        } else {
            self.is_over = true;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (authority, stranger) = (authority()?, authority()?);
    let (cert, key) = certificate_of(&authority)?;
    let (tell, told) = sync_channel(1);
    let server = thread::spawn(move || serve(cert, key, &tell));
    let (address, handle) = told.recv()?;
    println!("a server is listening on {address}");
    let Address::Tls(host_port) = &address else { unreachable!("it was asked for TLS") };
    let to = Destination::Tcp(look_up(host_port, ClientLimits::default().connect_timeout)?[0]);

    talk(target_trusting(&authority)?, &to, &["ann", "bob"])?;
    talk(target_trusting(&stranger)?, &to, &["mallory"])?;
    handle.drain();
    server.join().expect("the server does not panic")?;
    Ok(())
}

fn serve(cert: Pem, key: Pem, tell: &SyncSender<(Address, Handle)>) -> io::Result<()> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let options = TlsServerOptions { cert, key, client_ca: None, alpn: Vec::new() };
    let tls = TlsServer::new(options).map_err(io::Error::other)?;
    let address: Address = "tls://127.0.0.1:0".parse().expect("an address");
    let listen = Listen { tls: Some(tls), ..Listen::from(address) };
    let endpoint = server.listen(listen, Lines::new(), Chat::new())?;
    tell.send((server.local_address(&endpoint).clone(), server.handle())).expect("somebody waits for it");
    server.run().map(drop)
}

/// Lets them in one after another, and talk until the talk is over or somebody is not let in.
fn talk(target: TlsTarget, to: &Destination, names: &[&'static str]) -> io::Result<()> {
    let reactor = Reactor::new()?;
    let mut client = Client::under(target, reactor, Lines::new(), Guests::default(), ClientLimits::default());
    for (number, name) in names.iter().enumerate() {
        client.connect(to.clone(), None, *name);
        while client.service().here <= number && !client.service().is_over {
            client.turn(None)?;
            if let Some(failure) = client.poll_failure() {
                println!("{} did not get in: {}", failure.peer, failure.error);
                return Ok(());
            }
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

/// TLS to the server of that name, for a client that trusts that authority and no other.
fn target_trusting(authority: &CertifiedIssuer<'_, KeyPair>) -> Result<TlsTarget, Box<dyn Error>> {
    let trust = Trust::Authorities(Pem::Text(authority.pem().into()));
    Ok(TlsClient::new(&TlsClientOptions { trust, ..TlsClientOptions::default() })?.to(NAME)?)
}
