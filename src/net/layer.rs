//! [`Layer`]: a protocol between the service and the socket, such as TLS.
//!
//! The layer is part of the endpoint's type, so a plain endpoint pays nothing for it.

use std::io;

use super::stream::Stream;
use crate::peer_address::PeerAddress;
use crate::service::Role;

/// What connects from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The peer itself.
    Peer,
    /// A proxy. [`Layer::open`] reads the address of the peer.
    Proxy,
    /// Nothing that is trusted. The connection is closed for
    /// [`CloseReason::UntrustedProxy`](crate::CloseReason::UntrustedProxy).
    Untrusted,
}

/// Wraps every accepted or connected stream of an endpoint in a protocol of its own.
pub trait Layer<T: Stream> {
    /// The wrapped stream.
    type Stream: Stream;

    /// Whether a wrapped stream needs [`Self::open`] to succeed before it carries application bytes.
    fn has_handshake(&self, role: Role) -> bool;

    /// Whether a step of [`Self::open`] takes far longer than serving a message, as cryptography does. Other peers
    /// wait meanwhile, so few of these steps are done in a turn.
    fn is_slow_to_open(&self) -> bool;

    /// Wraps one stream. Moves no bytes.
    ///
    /// # Errors
    /// No memory or no randomness for it.
    fn wrap(&self, stream: T, role: Role) -> io::Result<Self::Stream>;

    /// The stream inside a wrapped one.
    fn inner<'a>(&self, stream: &'a mut Self::Stream) -> &'a mut T;

    /// Continues the handshake as far as possible without blocking. `Ok` means that it is complete.
    ///
    /// A successful handshake may already have read application bytes. No event announces them:
    /// the caller must read once after `Ok`.
    ///
    /// # Errors
    /// `WouldBlock`: call again after the next event, in either direction. Anything else is final:
    /// the handshake failed or the peer has left.
    fn open(&self, stream: &mut Self::Stream) -> io::Result<()>;

    /// What connects from this address.
    fn origin(&self, address: &PeerAddress) -> Origin {
        let _ = address;
        Origin::Peer
    }

    /// Whether a stream in its handshake has received any byte.
    fn has_received(&self, stream: &mut Self::Stream) -> bool {
        let _ = stream;
        true
    }

    /// The layer's own reason why the stream failed, if it has one.
    fn failure(&self, stream: &Self::Stream) -> Option<io::Error> {
        let _ = stream;
        None
    }

    /// Reads the layer's files again; streams wrapped afterwards use the new contents. `None` if
    /// the layer has no files.
    ///
    /// # Errors
    /// A file cannot be read or used. The layer then keeps its old contents.
    fn reload(&mut self) -> Option<io::Result<()>> {
        None
    }
}

/// No layer: the stream itself.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl<T: Stream> Layer<T> for Plain {
    type Stream = T;

    #[inline]
    fn has_handshake(&self, _role: Role) -> bool {
        false
    }

    #[inline]
    fn is_slow_to_open(&self) -> bool {
        false
    }

    #[inline]
    fn wrap(&self, stream: T, _role: Role) -> io::Result<T> {
        Ok(stream)
    }

    #[inline]
    fn inner<'a>(&self, stream: &'a mut T) -> &'a mut T {
        stream
    }

    #[inline]
    fn open(&self, _stream: &mut T) -> io::Result<()> {
        Ok(())
    }
}
