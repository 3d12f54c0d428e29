//! `Connection`: one TCP connection to the server, which sends a pattern and checks what comes back.
//!
//! Its calls block, in short pieces, until they succeed or the deadline of the row has passed.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockRef, Socket, Type};

use super::pattern::Pattern;
use super::verdict::{Checked, Stop};
use super::wait::{CHECK_INTERVAL, Wait};
use crate::cli_error::io_message;
use crate::quantity::{counted, grouped};

/// A send that makes no progress for this time is blocked: the server has paused reading.
const BLOCKED_AFTER: Duration = Duration::from_millis(300);

/// Length of the buffer for received bytes.
const BUFFER_LEN: usize = 64 * 1024;

/// One connection. Two threads can use it, one that sends and one that receives.
pub(super) struct Connection<'a> {
    stream: TcpStream,
    pattern: Pattern,
    sent: AtomicU64,
    received: AtomicU64,
    wait: Wait<'a>,
}

/// What follows the bytes of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The connection stays open.
    Open,
    /// The client ends its direction, and the server must end the other one.
    HalfClose,
}

/// The state of an awaited answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Arrived,
    /// Neither an answer nor an end.
    Missing,
    /// The connection has ended instead.
    Ended,
}

/// Begins a connect, with a small receive buffer if `buffer` has its length.
pub(super) fn begin_connect(address: SocketAddr, buffer: Option<usize>) -> Checked<Socket> {
    let opened = Socket::new(Domain::for_address(address), Type::STREAM, None);
    let socket = opened.map_err(|error| Stop::of_call("cannot open a socket", &error))?;
    let set_up = socket.set_nonblocking(true).and_then(|()| {
        // The buffer must be set before the connect, which negotiates the window scale.
        buffer.map_or(Ok(()), |len| socket.set_recv_buffer_size(len))
    });
    set_up.map_err(|error| Stop::of_call("cannot set up a socket", &error))?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(Stop::of_call("cannot connect", &error)),
        Ok(()) | Err(_) => Ok(socket),
    }
}

/// Waits until a connect has ended well.
pub(super) fn finish_connect(socket: &Socket, wait: &Wait<'_>) -> Checked {
    let interval = Timespec::try_from(CHECK_INTERVAL).ok();
    let is_over = || {
        let events = poll(&mut [PollFd::new(socket, PollFlags::OUT)], interval.as_ref());
        Ok(events.is_ok_and(|count| count > 0).then_some(()))
    };
    wait.until(|| format!("cannot connect: no answer within {}", wait.timeout()), is_over)?;
    match socket.take_error() {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(Stop::of_call("cannot connect", &error)),
    }
}

impl<'a> Connection<'a> {
    /// A connection over a connected socket. Its pattern is that of connection number `serial`.
    pub(super) fn new(socket: Socket, serial: u64, wait: Wait<'a>) -> Checked<Self> {
        let stream = TcpStream::from(socket);
        stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_read_timeout(Some(CHECK_INTERVAL)))
            .and_then(|()| stream.set_write_timeout(Some(CHECK_INTERVAL)))
            .and_then(|()| stream.set_nodelay(true))
            .map_err(|error| Stop::of_call("cannot set up a connection", &error))?;
        Ok(Self { stream, pattern: Pattern::new(serial), sent: 0.into(), received: 0.into(), wait })
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Sends the next `len` bytes in one segment, or in several if they are many.
    pub(super) fn send(&self, len: u64) -> Checked {
        self.send_in(len, || u64::MAX)
    }

    /// Sends the next `len` bytes, each write as long as `segment` returns.
    fn send_in(&self, len: u64, mut segment: impl FnMut() -> u64) -> Checked {
        let end = self.sent() + len;
        while self.sent() < end {
            let mut bytes = self.pattern.slice(self.sent(), segment().min(end - self.sent()));
            while !bytes.is_empty() {
                bytes = &bytes[self.write(bytes)?..];
            }
        }
        Ok(())
    }

    /// Writes once, and returns the number of bytes: none if the server does not read.
    fn write(&self, bytes: &[u8]) -> Checked<usize> {
        self.check_time()?;
        match (&self.stream).write(bytes) {
            Ok(count) => {
                self.sent.fetch_add(count as u64, Ordering::Relaxed);
                Ok(count)
            }
            Err(error) if is_timeout(&error) => Ok(0),
            Err(error) => Err(self.cut(&error)),
        }
    }

    /// Sends until the server has stopped reading, or `len` bytes are sent. Returns whether it stopped.
    pub(super) fn send_until_blocked(&self, len: u64) -> Checked<bool> {
        let end = self.sent() + len;
        let mut progress = Instant::now();
        while self.sent() < end {
            if self.write(self.pattern.slice(self.sent(), end - self.sent()))? > 0 {
                progress = Instant::now();
            } else if progress.elapsed() >= BLOCKED_AFTER {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends the direction of the client.
    pub(super) fn finish(&self) -> Checked {
        self.stream.shutdown(Shutdown::Write).map_err(|error| self.cut(&error))
    }

    /// Sends `len` bytes and the end of the direction in one segment, as far as the system can do that.
    pub(super) fn send_with_end(&self, len: u64) -> Checked {
        #[cfg(target_os = "linux")]
        SockRef::from(&self.stream).set_tcp_cork(true).map_err(|error| Stop::of_call("cannot set TCP_CORK", &error))?;
        self.send(len)?;
        self.finish()
    }

    /// Closes with a reset (RST).
    pub(super) fn reset(self) -> Checked {
        let linger = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        linger.map_err(|error| Stop::of_call("cannot set SO_LINGER", &error))
    }

    /// Reads some bytes into `buffer`, and returns their number: 0 at the end.
    fn read(&self, buffer: &mut [u8]) -> Checked<usize> {
        loop {
            self.check_time()?;
            match (&self.stream).read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(self.cut(&error)),
            }
        }
    }

    /// Whether an answer has arrived. It stays unread.
    pub(super) fn answer(&self) -> Answer {
        match self.stream.peek(&mut [0]) {
            Ok(0) => Answer::Ended,
            Ok(_) => Answer::Arrived,
            Err(error) if is_timeout(&error) => Answer::Missing,
            Err(_) => Answer::Ended,
        }
    }

    /// Receives a part of the sent bytes, and then the end of the stream.
    pub(super) fn expect_early_end(&self) -> Checked {
        let mut buffer = [0; BUFFER_LEN];
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(()),
                count => self.compare(&buffer[..count])?,
            }
        }
    }

    /// Compares received bytes with the sent ones.
    fn compare(&self, mut bytes: &[u8]) -> Checked {
        while !bytes.is_empty() {
            let position = self.received();
            let expected = self.pattern.slice(position, bytes.len() as u64);
            let (now, rest) = bytes.split_at(expected.len());
            if let Some(at) = now.iter().zip(expected).position(|(is, expected)| is != expected) {
                let place = grouped(position + at as u64 + 1);
                return Err(Stop::Failed(format!("byte {place} is {:#04x} instead of {:#04x}", now[at], expected[at])));
            }
            self.received.fetch_add(now.len() as u64, Ordering::Relaxed);
            bytes = rest;
        }
        Ok(())
    }

    /// Receives `len` bytes, which must be the next ones of the pattern.
    pub(super) fn expect(&self, len: u64) -> Checked {
        let mut buffer = [0; BUFFER_LEN];
        let end = self.received() + len;
        while self.received() < end {
            let wanted = usize::try_from(end - self.received()).unwrap_or(usize::MAX).min(BUFFER_LEN);
            match self.read(&mut buffer[..wanted])? {
                0 => return Err(Stop::Failed(self.so_far("then the end of the stream"))),
                count => self.compare(&buffer[..count])?,
            }
        }
        Ok(())
    }

    /// Receives all sent bytes that are missing, and then the end of the stream.
    pub(super) fn expect_end(&self) -> Checked {
        self.expect(self.sent().saturating_sub(self.received()))?;
        match self.read(&mut [0; BUFFER_LEN])? {
            0 => Ok(()),
            count => Err(Stop::Failed(self.so_far(&format!("then {} too many", counted(count as u64, "byte"))))),
        }
    }

    /// Sends a message and receives it.
    pub(super) fn echo(&self, len: u64) -> Checked {
        self.send(len)?;
        self.expect(len)
    }

    /// Sends `len` bytes on another thread, each write as long as `segment` returns, and receives them here.
    pub(super) fn exchange(&self, len: u64, segment: impl FnMut() -> u64 + Send, after: After) -> Checked {
        let send = || {
            self.send_in(len, segment)?;
            if after == After::HalfClose { self.finish() } else { Ok(()) }
        };
        thread::scope(|scope| {
            let sender = thread::Builder::new().spawn_scoped(scope, send);
            let sender = sender.map_err(|error| Stop::of_call("cannot start a thread", &error))?;
            let received = self.expect(len);
            if received.is_err() {
                // This ends the other thread. The connection may be closed already.
                let _ = self.stream.shutdown(Shutdown::Both);
            }
            let sent = sender.join().expect("the sender does not panic");
            received.and(sent)?;
            if after == After::HalfClose { self.expect_end() } else { Ok(()) }
        })
    }

    /// Checks the deadline, also while the server makes progress.
    fn check_time(&self) -> Checked {
        self.wait.check(|| self.so_far(&format!("and no more within {}", self.wait.timeout())))
    }

    /// The numbers of sent and received bytes, and the event after them.
    fn so_far(&self, then: &str) -> String {
        format!("sent {}, received {}, {then}", counted(self.sent(), "byte"), grouped(self.received()))
    }

    fn cut(&self, error: &io::Error) -> Stop {
        // After a reset, shutdown(2) reports that the connection is not open.
        let resets = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::NotConnected];
        let is_reset = resets.contains(&error.kind());
        Stop::Failed(if is_reset {
            self.so_far("then a reset")
        } else {
            self.so_far(&format!("then {}", io_message(error)))
        })
    }
}

/// Whether a call has only used up its own timeout, or was interrupted.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
