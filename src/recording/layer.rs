//! [`RecordingLayer`]: records the calls above a layer such as TLS, because its random numbers cannot be repeated.

use std::io;

use super::entry::{Call, CallResult};
use super::recorded_error::RecordedError;
use super::streams::RecordingStream;
use crate::net::{Layer, Origin, PeerAddress, Stream};
use crate::service::Role;

/// A layer with a recording of its calls. The replay needs no cryptography.
pub struct RecordingLayer<W>(pub(super) W);

impl<T: Stream, W: Layer<RecordingStream<T>>> Layer<RecordingStream<T>> for RecordingLayer<W> {
    type Stream = RecordingStream<W::Stream>;

    fn has_handshake(&self, role: Role) -> bool {
        self.0.has_handshake(role)
    }

    fn is_slow_to_open(&self) -> bool {
        self.0.is_slow_to_open()
    }

    fn wrap(&self, mut stream: RecordingStream<T>, role: Role) -> io::Result<Self::Stream> {
        let (number, log) = (stream.number, stream.take_log());
        let result = self.0.wrap(stream, role);
        if let Some(log) = &log {
            log.append(Call::Wrap { stream: number }, CallResult::of(&result, |_| CallResult::Done));
        }
        result.map(|inner| RecordingStream::new(inner, number, log))
    }

    fn inner<'a>(&self, stream: &'a mut Self::Stream) -> &'a mut RecordingStream<T> {
        self.0.inner(&mut stream.inner)
    }

    fn open(&self, stream: &mut Self::Stream) -> io::Result<()> {
        let result = self.0.open(&mut stream.inner);
        let opened = CallResult::of(&result, |()| CallResult::Opened {
            original: stream.inner.original_address(),
            tls: stream.inner.tls(),
        });
        stream.append(|stream| Call::Open { stream }, opened);
        result
    }

    fn origin(&self, address: &PeerAddress) -> Origin {
        self.0.origin(address)
    }

    fn has_received(&self, stream: &mut Self::Stream) -> bool {
        let has_received = self.0.has_received(&mut stream.inner);
        stream.append(|stream| Call::HasReceived { stream }, CallResult::Answer(has_received));
        has_received
    }

    fn failure(&self, stream: &Self::Stream) -> Option<io::Error> {
        let failure = self.0.failure(&stream.inner);
        let result = failure.as_ref().map_or(CallResult::Done, |error| CallResult::Failed(RecordedError::of(error)));
        stream.append(|stream| Call::LayerFailure { stream }, result);
        failure
    }

    fn reload(&mut self) -> Option<io::Result<()>> {
        self.0.reload()
    }
}
