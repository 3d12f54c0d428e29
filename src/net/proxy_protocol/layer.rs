//! [`ProxyLayer`]: reads the PROXY header of accepted streams, below the layer that is used otherwise.
//!
//! The header is read exactly: never a byte more. After it, a stream only remembers the announced address.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Ipv6Addr, SocketAddr};

use crate::instant::Instant;
use crate::net::{Layer, Origin, Stream};
use crate::peer_address::PeerAddress;
use crate::service::{Role, TlsInfo};

use super::header::{HeaderProgress, ProxyHeaderError, parse};
use super::trusted::TrustedProxies;

/// The most bytes of one read. Longer headers are read in several.
const READ_LEN: usize = 512;

/// Requires a PROXY header on accepted streams. `above` is the layer above it, such as TLS.
#[derive(Clone, Debug)]
pub(crate) struct ProxyLayer<W> {
    pub(crate) trusted: TrustedProxies,
    pub(crate) above: W,
}

/// A stream that begins with a PROXY header, or a connected one without it.
pub(crate) struct ProxyStream<T> {
    inner: T,
    header: HeaderState,
}

/// The state of the header. It is kept small, because each peer has one.
#[derive(Debug)]
enum HeaderState {
    /// These bytes of it are received.
    Reading(Vec<u8>),
    /// There is none, or the proxy announced no address.
    NoAddress,
    /// The client is a peer of a Unix socket.
    Unix,
    /// The announced address. An IPv4 address is mapped into IPv6.
    Original { ip: Ipv6Addr, port: u16 },
}

impl HeaderState {
    fn of(address: Option<PeerAddress>) -> Self {
        match address {
            None => Self::NoAddress,
            Some(PeerAddress::Unix) => Self::Unix,
            Some(PeerAddress::Tcp(address)) => {
                let ip = match address {
                    SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
                    SocketAddr::V6(v6) => *v6.ip(),
                };
                Self::Original { ip, port: address.port() }
            }
        }
    }
}

impl<T: Stream> ProxyStream<T> {
    fn new(inner: T, role: Role) -> Self {
        let header = match role {
            Role::Accepted => HeaderState::Reading(Vec::new()),
            Role::Connected => HeaderState::NoAddress,
        };
        Self { inner, header }
    }

    /// Continues to read the header. `Ok` once it is complete.
    ///
    /// # Errors
    /// `WouldBlock`: call again after the next event. `InvalidData` with a [`ProxyHeaderError`] inside: there
    /// is no valid header. `UnexpectedEof`: the peer ended before it sent anything.
    fn read_header(&mut self) -> io::Result<()> {
        while let HeaderState::Reading(received) = &mut self.header {
            match parse(received).map_err(invalid)? {
                HeaderProgress::Missing(len) => {
                    let mut buf = [0; READ_LEN];
                    let count = self.inner.read(&mut buf[..len.min(READ_LEN)])?;
                    if count == 0 {
                        let has_begun = !received.is_empty();
                        let ended = || ErrorKind::UnexpectedEof.into();
                        return Err(if has_begun { invalid(ProxyHeaderError::Incomplete) } else { ended() });
                    }
                    received.extend_from_slice(&buf[..count]);
                }
                HeaderProgress::Complete(address) => self.header = HeaderState::of(address),
            }
        }
        Ok(())
    }

    fn has_received(&self) -> bool {
        !matches!(&self.header, HeaderState::Reading(received) if received.is_empty())
    }
}

fn invalid(error: ProxyHeaderError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl<T: Stream, W: Layer<ProxyStream<T>>> Layer<T> for ProxyLayer<W> {
    type Stream = W::Stream;

    fn has_handshake(&self, role: Role) -> bool {
        role == Role::Accepted || self.above.has_handshake(role)
    }

    fn is_slow_to_open(&self) -> bool {
        self.above.is_slow_to_open()
    }

    fn wrap(&self, stream: T, role: Role) -> io::Result<W::Stream> {
        self.above.wrap(ProxyStream::new(stream, role), role)
    }

    fn inner<'a>(&self, stream: &'a mut W::Stream) -> &'a mut T {
        &mut self.above.inner(stream).inner
    }

    fn open(&self, stream: &mut W::Stream) -> io::Result<()> {
        self.above.inner(stream).read_header()?;
        self.above.open(stream)
    }

    fn origin(&self, address: &PeerAddress) -> Origin {
        if self.trusted.contains(address) { Origin::Proxy } else { Origin::Untrusted }
    }

    fn has_received(&self, stream: &mut W::Stream) -> bool {
        self.above.inner(stream).has_received()
    }

    fn failure(&self, stream: &W::Stream) -> Option<io::Error> {
        self.above.failure(stream)
    }

    fn reload(&mut self) -> Option<io::Result<()>> {
        self.above.reload()
    }
}

impl<T: Stream> Stream for ProxyStream<T> {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write_vectored(slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.inner.shutdown_write()
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.inner.reset_on_drop()
    }

    fn local_address(&self) -> Option<PeerAddress> {
        self.inner.local_address()
    }

    fn peer_address(&self) -> Option<PeerAddress> {
        self.inner.peer_address()
    }

    fn original_address(&self) -> Option<PeerAddress> {
        match &self.header {
            HeaderState::Reading(_) | HeaderState::NoAddress => None,
            HeaderState::Unix => Some(PeerAddress::Unix),
            HeaderState::Original { ip, port } => Some(PeerAddress::Tcp(SocketAddr::new(ip.to_canonical(), *port))),
        }
    }

    fn tls(&self) -> Option<TlsInfo> {
        self.inner.tls()
    }

    #[inline]
    fn short_read_means_empty(&self) -> bool {
        self.inner.short_read_means_empty()
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    fn send_close_notify(&mut self) -> io::Result<()> {
        self.inner.send_close_notify()
    }

    #[inline]
    fn woke_at(&self) -> Option<Instant> {
        self.inner.woke_at()
    }
}
