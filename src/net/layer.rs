//! A layer: what an endpoint lays over the streams it accepts.
//!
//! Which layer an endpoint has is part of its type, so that an endpoint without one pays nothing.

use std::io;

use super::Stream;

/// What is laid over accepted streams.
pub trait Layer<T: Stream> {
    /// A stream with the layer over it.
    type Stream: Stream;

    /// Whether such a stream must agree on something with its peer before it is open.
    const OPENS: bool;

    /// Lays it over one stream.
    ///
    /// # Errors
    /// There is no memory or no randomness for it.
    fn lay_over(&self, stream: T) -> io::Result<Self::Stream>;

    /// Goes on with opening a stream, as far as that goes now.
    ///
    /// # Errors
    /// `WouldBlock`: not open yet, a fact will come, in either direction. Or the peer does not
    /// agree, or is gone.
    fn open(&self, stream: &mut Self::Stream) -> io::Result<()>;

    /// Reads again what it was made from, for the streams from now on; `None` when it was made
    /// from nothing.
    ///
    /// # Errors
    /// Something cannot be read or used; then all stays as it was.
    fn reload(&mut self) -> Option<io::Result<()>>;
}

/// No layer: the stream itself.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

impl<T: Stream> Layer<T> for Bare {
    type Stream = T;
    const OPENS: bool = false;

    #[inline]
    fn lay_over(&self, stream: T) -> io::Result<T> {
        Ok(stream)
    }

    fn open(&self, _stream: &mut T) -> io::Result<()> {
        Ok(())
    }

    fn reload(&mut self) -> Option<io::Result<()>> {
        None
    }
}
