//! The sockets of a faulty network: each wraps a real one.

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};

use libc::{EAGAIN, EINTR};

use super::injector::SharedInjector;
use super::plan::FaultKind;
use crate::instant::Instant;
use crate::net::{DatagramRoute, Datagrams, Readiness, Stream, Token};
use crate::peer_address::PeerAddress;
use crate::service::TlsInfo;

/// A direction of a socket.
#[derive(Clone, Copy, Debug)]
enum Direction {
    Read,
    Write,
}

/// The faults of one socket.
#[derive(Debug)]
pub(super) struct SocketFaults {
    shared: SharedInjector,
    /// `None` until the socket is registered.
    pub(super) token: Option<Token>,
    /// For each direction, whether the last call has failed by a fault that costs only time. The next one then has no
    /// such fault, so that a loop which repeats the call cannot spin.
    skips_next_fault: [bool; 2],
}

impl SocketFaults {
    pub(super) const fn new(shared: SharedInjector, token: Option<Token>) -> Self {
        Self { shared, token, skips_next_fault: [false; 2] }
    }

    /// May fail a call that costs only time.
    fn delay_call(&mut self, direction: Direction) -> io::Result<()> {
        if mem::take(&mut self.skips_next_fault[direction as usize]) {
            return Ok(());
        }
        let mut injector = self.shared.lock();
        let errno = if injector.inject(FaultKind::Interrupted) {
            EINTR
        } else if self.token.is_some() && injector.inject(FaultKind::WouldBlock) {
            EAGAIN
        } else {
            return Ok(());
        };
        drop(injector);
        self.skips_next_fault[direction as usize] = true;
        if errno == EAGAIN {
            self.report_in_next_poll(direction);
        }
        Err(io::Error::from_raw_os_error(errno))
    }

    /// Makes the next poll report that a call in this direction may succeed.
    fn report_in_next_poll(&self, direction: Direction) {
        if let Some(token) = self.token {
            let (readable, writable) = match direction {
                Direction::Read => (true, false),
                Direction::Write => (false, true),
            };
            self.shared.lock().report_in_next_poll(Readiness { token, readable, writable, read_closed: false });
        }
    }

    /// May fail an accept as if no connection waited.
    pub(super) fn delay_accept(&mut self) -> io::Result<()> {
        if mem::take(&mut self.skips_next_fault[Direction::Read as usize])
            || !self.shared.lock().inject(FaultKind::WouldBlock)
        {
            return Ok(());
        }
        self.skips_next_fault[Direction::Read as usize] = true;
        self.report_in_next_poll(Direction::Read);
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// A stream that injects faults.
#[derive(Debug)]
pub struct FaultyStream<T> {
    pub(super) stream: T,
    pub(super) faults: SocketFaults,
    /// The errno of every call, once a fault has broken the connection.
    broken: Option<i32>,
}

impl<T: Stream> FaultyStream<T> {
    pub(super) const fn new(stream: T, faults: SocketFaults) -> Self {
        Self { stream, faults, broken: None }
    }

    /// May break the connection. The drop of the stream then resets it, so that the peer sees it too.
    fn check_connection(&mut self) -> io::Result<()> {
        if self.broken.is_none() {
            self.broken = self.faults.shared.lock().break_connection();
            if self.broken.is_some() {
                self.stream.reset_on_drop()?;
            }
        }
        self.broken.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    /// The most bytes that a call may move.
    fn begin(&mut self, direction: Direction, short: FaultKind, len: usize) -> io::Result<usize> {
        self.check_connection()?;
        self.faults.delay_call(direction)?;
        Ok(self.faults.shared.lock().call_len(short, len))
    }

    /// Ends a call that moved all bytes it was allowed to, fewer than the caller wanted. The caller takes it
    /// for the end of readiness, so an event must follow.
    fn end_short(&self, direction: Direction, short: FaultKind) {
        self.faults.shared.lock().count(short);
        self.faults.report_in_next_poll(direction);
    }
}

impl<T: Stream> Stream for FaultyStream<T> {
    /// A read that finds nothing draws no numbers, so that the same bytes meet the same faults however they are timed.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rng = self.faults.shared.lock().rng.clone();
        let len_max = self.begin(Direction::Read, FaultKind::ShortRead, buf.len())?;
        let read = self.stream.read(&mut buf[..len_max]);
        if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.faults.shared.lock().rng = rng;
        }
        let len = read?;
        if len == len_max && len < buf.len() {
            self.end_short(Direction::Read, FaultKind::ShortRead);
        }
        Ok(len)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len_max = self.begin(Direction::Write, FaultKind::ShortWrite, bytes.len())?;
        let len = self.stream.write(&bytes[..len_max])?;
        if len == len_max && len < bytes.len() {
            self.end_short(Direction::Write, FaultKind::ShortWrite);
        }
        Ok(len)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        let len_max = self.begin(Direction::Write, FaultKind::ShortWrite, wanted)?;
        if len_max == wanted {
            return self.stream.write_vectored(slices);
        }
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        let len = self.stream.write(&first[..first.len().min(len_max)])?;
        self.end_short(Direction::Write, FaultKind::ShortWrite);
        Ok(len)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.check_connection()?;
        self.stream.shutdown_write()
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.stream.reset_on_drop()
    }

    fn local_address(&self) -> Option<PeerAddress> {
        self.stream.local_address()
    }

    fn peer_address(&self) -> Option<PeerAddress> {
        self.stream.peer_address()
    }

    fn original_address(&self) -> Option<PeerAddress> {
        self.stream.original_address()
    }

    fn tls(&self) -> Option<TlsInfo> {
        self.stream.tls()
    }

    fn short_read_means_empty(&self) -> bool {
        self.stream.short_read_means_empty()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }

    fn send_close_notify(&mut self) -> io::Result<()> {
        self.stream.send_close_notify()
    }

    fn woke_at(&self) -> Option<Instant> {
        self.stream.woke_at()
    }
}

/// A listener that injects faults.
#[derive(Debug)]
pub struct FaultyListener<L> {
    pub(super) listener: L,
    pub(super) faults: SocketFaults,
}

impl<L: AsFd> AsFd for FaultyListener<L> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// A UDP socket that injects faults.
#[derive(Debug)]
pub struct FaultyDatagrams<D> {
    pub(super) socket: D,
    pub(super) faults: SocketFaults,
}

impl<D: Datagrams> Datagrams for FaultyDatagrams<D> {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, DatagramRoute)> {
        self.faults.delay_call(Direction::Read)?;
        let received = self.socket.receive(buf)?;
        if self.faults.shared.lock().inject(FaultKind::DatagramLoss) {
            // One loss ends the round. Otherwise a flood of lost datagrams would keep the caller here.
            self.faults.report_in_next_poll(Direction::Read);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(received)
    }

    fn send(&mut self, bytes: &[u8], route: &DatagramRoute) -> io::Result<()> {
        self.faults.delay_call(Direction::Write)?;
        if self.faults.shared.lock().inject(FaultKind::DatagramLoss) {
            return Ok(());
        }
        self.socket.send(bytes, route)
    }
}

impl<D: AsFd> AsFd for FaultyDatagrams<D> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
