//! A layer: what is laid over streams that were accepted or connected.
//!
//! Which layer a program has is part of its type, so that one without any pays nothing.

use std::io;

use super::Stream;

/// What is laid over streams.
pub trait Layer<T: Stream> {
    /// A stream with the layer over it.
    type Stream: Stream;

    /// Whether such a stream must agree on something with its peer before it is open.
    const HAS_HANDSHAKE: bool;

    /// Lays it over one stream.
    ///
    /// # Errors
    /// There is no memory or no randomness for it.
    fn wrap(&self, stream: T) -> io::Result<Self::Stream>;

    /// The stream beneath.
    fn inner<'a>(&self, stream: &'a mut Self::Stream) -> &'a mut T;

    /// Goes on with opening a stream, as far as that goes now.
    ///
    /// # Errors
    /// `WouldBlock`: not open yet, a fact will come, in either direction. Or the peer does not
    /// agree, or is gone.
    fn open(&self, stream: &mut Self::Stream) -> io::Result<()>;

    /// Why a stream failed, where it did so for a reason of the layer.
    fn failure(&self, stream: &Self::Stream) -> Option<io::Error>;

    /// Reads again what it was made from, for the streams from now on; `None` when it was made
    /// from nothing.
    ///
    /// # Errors
    /// Something cannot be read or used; then all stays as it was.
    fn reload(&mut self) -> Option<io::Result<()>>;
}

/// No layer: the stream itself.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl<T: Stream> Layer<T> for Plain {
    type Stream = T;
    const HAS_HANDSHAKE: bool = false;

    #[inline]
    fn wrap(&self, stream: T) -> io::Result<T> {
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

    fn failure(&self, _stream: &T) -> Option<io::Error> {
        None
    }

    fn reload(&mut self) -> Option<io::Result<()>> {
        None
    }
}
