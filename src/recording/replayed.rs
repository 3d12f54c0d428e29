//! The streams, listeners, UDP sockets and layers of a [`Replay`](super::Replay).

use std::io::{self, IoSlice};

use super::entry::{Call, CallResult};
use super::entry_log::checksum;
use super::recorded_calls::{RecordedCalls, done};
use crate::net::{Address, DatagramRoute, Datagrams, Layer, Origin, PeerAddress, Stream};
use crate::service::{Role, TlsInfo};

/// A stream that returns recorded results.
pub struct ReplayStream {
    pub(super) number: u64,
    peer: Option<PeerAddress>,
    pub(super) local: Option<PeerAddress>,
    original: Option<PeerAddress>,
    tls: Option<TlsInfo>,
    short_read_means_empty: bool,
    calls: RecordedCalls,
}

/// A listener that returns recorded results.
pub struct ReplayListener {
    /// `None` if its connections were not recorded.
    pub(super) number: Option<u64>,
    pub(super) address: Address,
}

/// A UDP socket that returns recorded results.
pub struct ReplayDatagrams {
    pub(super) number: u64,
    pub(super) calls: RecordedCalls,
}

/// A layer that returns recorded results. It moves no bytes.
pub struct ReplayLayer<W>(pub(super) W);

impl ReplayStream {
    pub(super) fn new(
        number: u64,
        peer: Option<PeerAddress>,
        local: Option<PeerAddress>,
        calls: RecordedCalls,
    ) -> Self {
        Self { number, peer, local, original: None, tls: None, short_read_means_empty: true, calls }
    }

    fn call(&self, call: &Call) -> io::Result<()> {
        self.calls.answer(call, done)
    }
}

impl Stream for ReplayStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let call = Call::Read { stream: self.number, len: buf.len() };
        let (len, short_read_means_empty) = self.calls.answer(&call, |_, result| {
            let CallResult::Input { len, short_read_means_empty, content } = result else { return None };
            fill(buf, len, content)?;
            Some((len, short_read_means_empty))
        })?;
        self.short_read_means_empty = short_read_means_empty;
        Ok(len)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let asked = slices.iter().map(|slice| slice.len()).sum();
        let call = Call::Write { stream: self.number, len: asked };
        self.calls.answer(&call, |run, result| {
            let CallResult::Output { len, checksum: recorded } = result else { return None };
            if run.header.has_content && checksum(slices.iter().map(|slice| &slice[..]), len) != recorded {
                run.differ(&call, "other bytes");
            }
            (len <= asked).then_some(len)
        })
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.call(&Call::ShutDownWrite { stream: self.number })
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.call(&Call::ResetOnDrop { stream: self.number })
    }

    fn local_address(&self) -> Option<PeerAddress> {
        self.local
    }

    fn peer_address(&self) -> Option<PeerAddress> {
        self.peer
    }

    fn original_address(&self) -> Option<PeerAddress> {
        self.original
    }

    fn tls(&self) -> Option<TlsInfo> {
        self.tls.clone()
    }

    fn short_read_means_empty(&self) -> bool {
        self.short_read_means_empty
    }

    fn flush(&mut self) -> io::Result<()> {
        let call = Call::Flush { stream: self.number };
        if self.calls.lock().is_next(&call) { self.call(&call) } else { Ok(()) }
    }

    fn send_close_notify(&mut self) -> io::Result<()> {
        self.call(&Call::SendCloseNotify { stream: self.number })
    }
}

impl Drop for ReplayStream {
    fn drop(&mut self) {
        // A difference is remembered, and the next poll returns it.
        let _ = self.call(&Call::Drop { stream: self.number });
    }
}

impl Datagrams for ReplayDatagrams {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, DatagramRoute)> {
        let call = Call::Receive { socket: self.number, len: buf.len() };
        self.calls.answer(&call, |_, result| {
            let CallResult::Datagram { len, route, content } = result else { return None };
            fill(buf, len, content)?;
            Some((len, route))
        })
    }

    fn send(&mut self, bytes: &[u8], route: &DatagramRoute) -> io::Result<()> {
        let call = Call::Send { socket: self.number, len: bytes.len(), route: *route };
        self.calls.answer(&call, |run, result| {
            let CallResult::Output { checksum: recorded, .. } = result else { return None };
            if run.header.has_content && checksum(std::iter::once(bytes), bytes.len()) != recorded {
                run.differ(&call, "other bytes");
            }
            Some(())
        })
    }
}

/// Fills the front of `buf` with recorded bytes, or with zeros if none are recorded. `None` if they do not fit.
fn fill(buf: &mut [u8], len: usize, content: &[u8]) -> Option<()> {
    let front = buf.get_mut(..len)?;
    match content {
        [] => front.fill(0),
        content if content.len() == len => front.copy_from_slice(content),
        _ => return None,
    }
    Some(())
}

impl<W: Layer<ReplayStream>> Layer<ReplayStream> for ReplayLayer<W> {
    type Stream = ReplayStream;

    fn has_handshake(&self, role: Role) -> bool {
        self.0.has_handshake(role)
    }

    fn is_slow_to_open(&self) -> bool {
        self.0.is_slow_to_open()
    }

    fn wrap(&self, stream: ReplayStream, _role: Role) -> io::Result<ReplayStream> {
        stream.call(&Call::Wrap { stream: stream.number })?;
        Ok(stream)
    }

    fn inner<'a>(&self, stream: &'a mut ReplayStream) -> &'a mut ReplayStream {
        stream
    }

    fn open(&self, stream: &mut ReplayStream) -> io::Result<()> {
        let call = Call::Open { stream: stream.number };
        let (original, tls) = stream.calls.answer(&call, |_, result| {
            let CallResult::Opened { original, tls } = result else { return None };
            Some((original, tls))
        })?;
        (stream.original, stream.tls) = (original, tls);
        Ok(())
    }

    fn origin(&self, address: &PeerAddress) -> Origin {
        self.0.origin(address)
    }

    fn has_received(&self, stream: &mut ReplayStream) -> bool {
        let call = Call::HasReceived { stream: stream.number };
        let answer = stream.calls.answer(&call, |_, result| {
            let CallResult::Answer(answer) = result else { return None };
            Some(answer)
        });
        answer.unwrap_or(true)
    }

    fn failure(&self, stream: &ReplayStream) -> Option<io::Error> {
        stream.calls.answer(&Call::LayerFailure { stream: stream.number }, done).err()
    }
}
