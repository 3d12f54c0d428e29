//! A network in memory: some peers, each of which sends the same message in each turn and takes every reply at once.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use readyloop::instant::Instant;
use readyloop::net::{
    ConnectOptions, DatagramOptions, Destination, Event, Layer, ListenOptions, Net, PeerAddress, PollOutcome,
    Readiness, Stream, Token, Wake,
};
use readyloop::{Address, Reactor};

/// Many, so that each has a small share of the cost of a turn.
pub(crate) const PEERS: usize = 64;

pub(crate) const MESSAGE_LEN: usize = 64;

pub(crate) struct Memory {
    message: &'static [u8],
    /// Peers that are not accepted yet.
    pending: usize,
    tokens: Vec<Token>,
}

pub(crate) struct MemoryStream(&'static [u8]);

struct NoWake;

impl Memory {
    /// The message is never freed.
    pub(crate) fn new(message: Vec<u8>) -> Self {
        Self { message: message.leak(), pending: PEERS, tokens: Vec::new() }
    }
}

impl Wake for NoWake {
    fn wake(&self) {}
}

impl Stream for MemoryStream {
    /// One message. A short read means that no more is there.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        buf[..MESSAGE_LEN].copy_from_slice(self.0);
        Ok(MESSAGE_LEN)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Net for Memory {
    type Stream = MemoryStream;
    type Listener = ();
    /// There are none.
    type Datagrams = <Reactor as Net>::Datagrams;
    type Layered<W: Layer<MemoryStream> + 'static> = W;

    fn prepare_layer<W: Layer<MemoryStream> + 'static>(&self, layer: W) -> W {
        layer
    }

    fn now(&self) -> Instant {
        Instant::ORIGIN
    }

    /// Reports the listener, then in each call one message of every peer.
    fn poll(&mut self, events: &mut Vec<Event>, _until: Option<Instant>) -> io::Result<PollOutcome> {
        let event = |&token| Event::Ready(Readiness { token, readable: true, writable: true, read_closed: false });
        events.extend(self.tokens.iter().map(event));
        Ok(PollOutcome::Complete)
    }

    fn listen(&mut self, _address: &Address, _options: &ListenOptions, token: Token) -> io::Result<()> {
        self.tokens = vec![token];
        Ok(())
    }

    fn local_address(&self, (): &()) -> Address {
        Address::Tcp("10.0.0.1:7007".to_owned())
    }

    fn hand_over(&mut self, (): &mut ()) {}

    fn accept(&mut self, (): &mut ()) -> io::Result<(MemoryStream, PeerAddress)> {
        self.pending = self.pending.checked_sub(1).ok_or(ErrorKind::WouldBlock)?;
        let source = SocketAddr::from((Ipv4Addr::LOCALHOST, 1024));
        Ok((MemoryStream(self.message), PeerAddress::Tcp(source)))
    }

    /// The first peer replaces the listener: no more will connect.
    fn register(&mut self, _stream: &mut MemoryStream, token: Token) -> io::Result<()> {
        if self.pending + 1 == PEERS {
            self.tokens.clear();
        }
        self.tokens.push(token);
        Ok(())
    }

    fn connect(&mut self, _to: &Destination, _options: &ConnectOptions, _token: Token) -> io::Result<MemoryStream> {
        Err(ErrorKind::ConnectionRefused.into())
    }

    fn is_connected(&mut self, _stream: &mut MemoryStream) -> io::Result<bool> {
        Ok(true)
    }

    fn bind(&mut self, _: &Address, _: &DatagramOptions, _: Token) -> io::Result<(Self::Datagrams, SocketAddr)> {
        Err(ErrorKind::AddrNotAvailable.into())
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::new(NoWake)
    }
}
