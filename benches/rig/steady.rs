//! The load of connections that stay open: a closed loop, each with a window of whole messages in flight.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libc::{EPOLLET, EPOLLIN, EPOLLOUT};
use socket2::SockRef;

use super::kernel::{self, Epoll, Events, Wait};
use super::measurements::Measurements;
use super::pattern::{PIECE_LEN_MAX, Pattern};

/// Connections that are opened before any of them is used. With a full backlog the kernel would retry a
/// connection only after a second, so this is well below the backlog.
const OPENED_AT_ONCE: usize = 1024;

/// Without progress for this long, the run fails.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The traffic of each connection.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) message_len: usize,
    pub(crate) window_bytes: usize,
}

/// Open connections to one server.
pub(crate) struct Steady {
    plan: Plan,
    pattern: Pattern,
    epoll: Epoll,
    events: Events,
    wait: Wait,
    buffer: Vec<u8>,
    flows: Vec<Flow>,
}

impl Steady {
    /// Connects, and sends one message over each connection, so that the server has accepted all of them.
    pub(crate) fn open(address: SocketAddr, connections: usize, plan: Plan, wait: Wait) -> Result<Steady> {
        let mut steady = Steady {
            plan,
            pattern: Pattern::new(),
            epoll: Epoll::new()?,
            events: kernel::no_events(),
            wait,
            buffer: vec![0; PIECE_LEN_MAX],
            flows: Vec::with_capacity(connections),
        };
        while steady.flows.len() < connections {
            let first = steady.flows.len();
            for number in first..connections.min(first + OPENED_AT_ONCE) {
                let flow = Flow::open(address, number)?;
                steady.epoll.add(flow.stream.as_raw_fd(), EPOLLIN | EPOLLOUT | EPOLLET, number)?;
                steady.flows.push(flow);
            }
            steady.exchange_over(first..steady.flows.len(), 1, 0, &mut Measurements::default())?;
        }
        Ok(steady)
    }

    /// Sends `messages` messages in total, at least a window over each connection, and checks every byte
    /// of the echoes. Each echo allows one further message on its connection, so that no connection waits
    /// for a slower one.
    pub(crate) fn exchange(&mut self, messages: usize, measurements: &mut Measurements) -> Result<()> {
        let further = messages.saturating_sub(self.messages_min());
        self.exchange_over(0..self.flows.len(), self.depth(), further, measurements)
    }

    /// One window over each connection, in messages.
    pub(crate) fn messages_min(&self) -> usize {
        self.depth() * self.flows.len()
    }

    /// The number of messages in a window.
    fn depth(&self) -> usize {
        self.plan.window_bytes / self.plan.message_len
    }

    /// Sends `depth` messages over each of these connections, and `further` more as echoes arrive.
    fn exchange_over(
        &mut self,
        numbers: Range<usize>,
        depth: usize,
        mut further: usize,
        measurements: &mut Measurements,
    ) -> Result<()> {
        let mut unfinished = numbers.len();
        for flow in &mut self.flows[numbers] {
            flow.quota += depth * self.plan.message_len;
            flow.send(self.plan, &self.pattern)?;
        }
        let mut progress_at = Instant::now();
        while 0 < unfinished {
            let count = self.epoll.wait(&mut self.events, self.wait)?;
            if 0 < count {
                progress_at = Instant::now();
            }
            ensure!(
                progress_at.elapsed() < STALL_TIMEOUT,
                "no echo for {STALL_TIMEOUT:?}, {unfinished} connections waiting"
            );
            for event in &self.events[..count] {
                let flow = &mut self.flows[event.u64 as usize];
                if flow.is_finished() {
                    continue;
                }
                let echoes = flow.receive(self.plan, &self.pattern, &mut self.buffer, measurements)?;
                let granted = echoes.min(further);
                further -= granted;
                flow.quota += granted * self.plan.message_len;
                flow.send(self.plan, &self.pattern)?;
                if flow.is_finished() {
                    unfinished -= 1;
                }
            }
        }
        Ok(())
    }
}

/// One connection. Positions are bytes since its start.
struct Flow {
    stream: TcpStream,
    number: usize,
    /// The position at which sending ends: a whole number of messages.
    quota: usize,
    sent: usize,
    received: usize,
    /// Messages that have started.
    started: usize,
    /// The start of each message that is in flight.
    started_at: VecDeque<Instant>,
}

impl Flow {
    fn open(address: SocketAddr, number: usize) -> Result<Flow> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        // The drop is a reset: tens of thousands of connections in TIME_WAIT would use up all ports.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        Ok(Flow { stream, number, quota: 0, sent: 0, received: 0, started: 0, started_at: VecDeque::new() })
    }

    fn is_finished(&self) -> bool {
        self.received == self.quota
    }

    /// Sends as much as the window and the socket allow.
    fn send(&mut self, plan: Plan, pattern: &Pattern) -> Result<()> {
        loop {
            let part = self.sent % plan.message_len;
            let fits_window = self.sent - self.received + plan.message_len <= plan.window_bytes;
            if part == 0 && (self.sent == self.quota || !fits_window) {
                return Ok(());
            }
            if self.sent == self.started * plan.message_len {
                self.started_at.push_back(Instant::now());
                self.started += 1;
            }
            let rest = pattern.piece(self.number, self.sent, plan.message_len - part);
            match self.stream.write(rest) {
                Ok(count) => {
                    self.sent += count;
                    if count < rest.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).with_context(|| self.lost()),
            }
        }
    }

    /// Reads and checks echoed bytes. Returns how many echoes are complete.
    fn receive(
        &mut self,
        plan: Plan,
        pattern: &Pattern,
        buffer: &mut [u8],
        measurements: &mut Measurements,
    ) -> Result<usize> {
        let mut echoes = 0;
        while !self.is_finished() {
            let count = match self.stream.read(buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(echoes),
                Err(error) => return Err(error).with_context(|| self.lost()),
            };
            let arrived = Instant::now();
            ensure!(0 < count, "{}: the server closed it", self.lost());
            ensure!(self.received + count <= self.sent, "connection {}: more bytes were echoed than sent", self.number);
            let is_right = buffer[..count] == *pattern.piece(self.number, self.received, count);
            ensure!(is_right, "connection {}: wrong bytes after byte {}", self.number, self.received);
            let complete_before = self.received / plan.message_len;
            self.received += count;
            for _ in complete_before..self.received / plan.message_len {
                let started_at = self.started_at.pop_front().expect("an echoed message was sent");
                measurements.record_round_trip(started_at, arrived);
                echoes += 1;
            }
            if count < buffer.len() {
                return Ok(echoes);
            }
        }
        Ok(echoes)
    }

    fn lost(&self) -> String {
        format!("connection {} was lost after {} of {} echoed bytes", self.number, self.received, self.quota)
    }
}
