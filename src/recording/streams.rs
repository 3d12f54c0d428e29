//! The streams, listeners and UDP sockets of a [`Recording`](super::Recording).

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};

use super::entry::{Call, CallResult, Entry};
use super::entry_log::EntryLog;
use crate::net::{DatagramRoute, Datagrams, PeerAddress, Stream};
use crate::service::TlsInfo;

/// A stream with a recording of its calls.
///
/// Below a layer, such as TLS, the calls of the layer are recorded instead.
pub struct RecordingStream<T> {
    pub(super) inner: T,
    pub(super) number: u64,
    /// `None` if nothing is recorded.
    log: Option<EntryLog>,
}

/// A listener with a recording of its connections.
pub struct RecordingListener<L> {
    pub(super) inner: L,
    /// `None` if its connections are not recorded.
    pub(super) number: Option<u64>,
}

/// A UDP socket with a recording of its calls.
pub struct RecordingDatagrams<D> {
    pub(super) inner: D,
    pub(super) number: u64,
    pub(super) log: EntryLog,
}

impl<T> RecordingStream<T> {
    pub(super) fn new(inner: T, number: u64, log: Option<EntryLog>) -> Self {
        Self { inner, number, log }
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.log.is_some()
    }

    /// Takes the log for a layer above this stream, which records nothing more.
    pub(super) fn take_log(&mut self) -> Option<EntryLog> {
        self.log.take()
    }

    /// Records a call on this stream.
    pub(super) fn append(&self, call: impl FnOnce(u64) -> Call, result: CallResult<'_>) {
        if let Some(log) = &self.log {
            log.append(call(self.number), result);
        }
    }
}

impl<T: Stream> RecordingStream<T> {
    fn append_write(&self, slices: &[IoSlice<'_>], result: &io::Result<usize>) {
        let Some(log) = &self.log else { return };
        let mut log = log.lock();
        let written = CallResult::of(result, |len| CallResult::Output {
            len: *len,
            checksum: log.checksum(slices.iter().map(|slice| &slice[..]), *len),
        });
        let len = slices.iter().map(|slice| slice.len()).sum();
        log.append(&Entry::Call(Call::Write { stream: self.number, len }, written));
    }
}

impl<T: Stream> Stream for RecordingStream<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buf);
        if let Some(log) = &self.log {
            let mut log = log.lock();
            let input = CallResult::of(&result, |len| CallResult::Input {
                len: *len,
                short_read_means_empty: self.inner.short_read_means_empty(),
                content: log.content(&buf[..*len]),
            });
            log.append(&Entry::Call(Call::Read { stream: self.number, len: buf.len() }, input));
        }
        result
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        self.append_write(&[IoSlice::new(bytes)], &result);
        result
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.inner.write_vectored(slices);
        self.append_write(slices, &result);
        result
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let result = self.inner.shutdown_write();
        self.append(|stream| Call::ShutDownWrite { stream }, CallResult::of(&result, |()| CallResult::Done));
        result
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        let result = self.inner.reset_on_drop();
        self.append(|stream| Call::ResetOnDrop { stream }, CallResult::of(&result, |()| CallResult::Done));
        result
    }

    fn local_address(&self) -> Option<PeerAddress> {
        self.inner.local_address()
    }

    fn peer_address(&self) -> Option<PeerAddress> {
        self.inner.peer_address()
    }

    fn original_address(&self) -> Option<PeerAddress> {
        self.inner.original_address()
    }

    fn tls(&self) -> Option<TlsInfo> {
        self.inner.tls()
    }

    fn short_read_means_empty(&self) -> bool {
        self.inner.short_read_means_empty()
    }

    /// Only a flush that fails is recorded, because nearly all of them have nothing to do.
    fn flush(&mut self) -> io::Result<()> {
        let result = self.inner.flush();
        if result.is_err() {
            self.append(|stream| Call::Flush { stream }, CallResult::of(&result, |()| CallResult::Done));
        }
        result
    }

    fn send_close_notify(&mut self) -> io::Result<()> {
        let result = self.inner.send_close_notify();
        self.append(|stream| Call::SendCloseNotify { stream }, CallResult::of(&result, |()| CallResult::Done));
        result
    }
}

impl<T> Drop for RecordingStream<T> {
    fn drop(&mut self) {
        self.append(|stream| Call::Drop { stream }, CallResult::Done);
    }
}

impl<D: Datagrams> Datagrams for RecordingDatagrams<D> {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, DatagramRoute)> {
        let result = self.inner.receive(buf);
        let mut log = self.log.lock();
        let received = CallResult::of(&result, |(len, route)| CallResult::Datagram {
            len: *len,
            route: *route,
            content: log.content(&buf[..*len]),
        });
        log.append(&Entry::Call(Call::Receive { socket: self.number, len: buf.len() }, received));
        result
    }

    fn send(&mut self, bytes: &[u8], route: &DatagramRoute) -> io::Result<()> {
        let result = self.inner.send(bytes, route);
        let mut log = self.log.lock();
        let sent = CallResult::of(&result, |()| CallResult::Output {
            len: bytes.len(),
            checksum: log.checksum(std::iter::once(bytes), bytes.len()),
        });
        log.append(&Entry::Call(Call::Send { socket: self.number, len: bytes.len(), route: *route }, sent));
        result
    }
}

impl<L: AsFd> AsFd for RecordingListener<L> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<D: AsFd> AsFd for RecordingDatagrams<D> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
