//! [`TlsLayer`]: TLS for the accepted streams of an endpoint, for its connected ones, or for both.

use std::io::{self, IoSlice};

use crate::instant::Instant;
use crate::net::{Layer, Stream};
use crate::peer_address::PeerAddress;
use crate::service::{Role, TlsInfo};

use super::{TlsServer, TlsStream, TlsTarget};

/// The TLS of one endpoint. A side without TLS is plain.
#[derive(Clone, Debug, Default)]
pub struct TlsLayer {
    /// TLS of accepted streams.
    pub accept: Option<TlsServer>,
    /// TLS of connected streams.
    pub connect: Option<TlsTarget>,
}

/// A stream with or without TLS.
pub enum MaybeTls<T> {
    /// The stream itself.
    Plain(T),
    /// The stream under TLS.
    Tls(TlsStream<T>),
}

impl<T: Stream> Layer<T> for TlsLayer {
    type Stream = MaybeTls<T>;

    fn has_handshake(&self, role: Role) -> bool {
        match role {
            Role::Accepted => self.accept.is_some(),
            Role::Connected => self.connect.is_some(),
        }
    }

    fn is_slow_to_open(&self) -> bool {
        true
    }

    fn wrap(&self, stream: T, role: Role) -> io::Result<MaybeTls<T>> {
        match (role, &self.accept, &self.connect) {
            (Role::Accepted, Some(tls), _) => tls.wrap(stream).map(MaybeTls::Tls),
            (Role::Connected, _, Some(tls)) => tls.wrap(stream).map(MaybeTls::Tls),
            (Role::Accepted, None, _) | (Role::Connected, _, None) => Ok(MaybeTls::Plain(stream)),
        }
    }

    fn inner<'a>(&self, stream: &'a mut MaybeTls<T>) -> &'a mut T {
        match stream {
            MaybeTls::Plain(plain) => plain,
            MaybeTls::Tls(tls) => tls.inner_mut(),
        }
    }

    fn open(&self, stream: &mut MaybeTls<T>) -> io::Result<()> {
        match stream {
            MaybeTls::Plain(_) => Ok(()),
            MaybeTls::Tls(tls) => tls.handshake(),
        }
    }

    fn has_received(&self, stream: &mut MaybeTls<T>) -> bool {
        match stream {
            MaybeTls::Plain(_) => true,
            MaybeTls::Tls(tls) => tls.has_received(),
        }
    }

    fn failure(&self, stream: &MaybeTls<T>) -> Option<io::Error> {
        match stream {
            MaybeTls::Plain(_) => None,
            MaybeTls::Tls(tls) => tls.failure().map(io::Error::from),
        }
    }

    fn reload(&mut self) -> Option<io::Result<()>> {
        self.accept.as_mut().map(|tls| tls.reload().map_err(io::Error::other))
    }
}

impl<T: Stream> MaybeTls<T> {
    fn stream(&self) -> &(dyn Stream + '_) {
        match self {
            Self::Plain(plain) => plain,
            Self::Tls(tls) => tls,
        }
    }

    fn stream_mut(&mut self) -> &mut (dyn Stream + '_) {
        match self {
            Self::Plain(plain) => plain,
            Self::Tls(tls) => tls,
        }
    }
}

impl<T: Stream> Stream for MaybeTls<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream_mut().read(buf)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream_mut().write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream_mut().write_vectored(slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream_mut().shutdown_write()
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.stream_mut().reset_on_drop()
    }

    fn local_address(&self) -> Option<PeerAddress> {
        self.stream().local_address()
    }

    fn peer_address(&self) -> Option<PeerAddress> {
        self.stream().peer_address()
    }

    fn original_address(&self) -> Option<PeerAddress> {
        self.stream().original_address()
    }

    fn tls(&self) -> Option<TlsInfo> {
        self.stream().tls()
    }

    fn short_read_means_empty(&self) -> bool {
        self.stream().short_read_means_empty()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream_mut().flush()
    }

    fn send_close_notify(&mut self) -> io::Result<()> {
        self.stream_mut().send_close_notify()
    }

    fn woke_at(&self) -> Option<Instant> {
        self.stream().woke_at()
    }
}
