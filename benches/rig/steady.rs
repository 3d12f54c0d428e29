//! The load of connections that stay: closed loop, each with a window of whole messages in flight.

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
use super::pattern::{PIECE_LEN_MAX, Pattern};
use super::tally::Tally;

/// Connections that are opened before any of them is used: well below the backlog, beyond which a
/// connection waits a second for its second try.
const OPENED_AT_ONCE: usize = 1024;

/// An echo that has not moved for this long will not come.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What each connection carries.
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
    /// Connects, and sends one message over each connection, so that the server has met them all.
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
            steady.exchange_over(first..steady.flows.len(), 1, 0, &mut Tally::default())?;
        }
        Ok(steady)
    }

    /// Sends so many messages in all and takes them back, each byte checked; at least a window over
    /// each connection. For each answer another leaves, so that nobody waits for the slowest.
    pub(crate) fn exchange(&mut self, messages: usize, tally: &mut Tally) -> Result<()> {
        let further = messages.saturating_sub(self.messages_min());
        self.exchange_over(0..self.flows.len(), self.depth(), further, tally)
    }

    /// A window over each connection.
    pub(crate) fn messages_min(&self) -> usize {
        self.depth() * self.flows.len()
    }

    /// How many messages fit in the window.
    fn depth(&self) -> usize {
        self.plan.window_bytes / self.plan.message_len
    }

    /// `depth` messages over each of these, and so many more as answers come.
    fn exchange_over(
        &mut self,
        numbers: Range<usize>,
        depth: usize,
        mut further: usize,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut unfinished = numbers.len();
        for flow in &mut self.flows[numbers] {
            flow.quota += depth * self.plan.message_len;
            flow.send(self.plan, &self.pattern)?;
        }
        let mut moved = Instant::now();
        while 0 < unfinished {
            let count = self.epoll.wait(&mut self.events, self.wait)?;
            if 0 < count {
                moved = Instant::now();
            }
            ensure!(moved.elapsed() < STALL_TIMEOUT, "{unfinished} connections got no answer for {STALL_TIMEOUT:?}");
            for event in &self.events[..count] {
                let flow = &mut self.flows[event.u64 as usize];
                if flow.is_finished() {
                    continue;
                }
                let answers = flow.receive(self.plan, &self.pattern, &mut self.buffer, tally)?;
                let granted = answers.min(further);
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

/// One connection. Places are bytes since it began.
struct Flow {
    stream: TcpStream,
    number: usize,
    /// Where it ends for now: a whole number of messages.
    quota: usize,
    sent: usize,
    received: usize,
    /// Messages of which at least the first byte was tried.
    departed: usize,
    /// When each message that is still out departed.
    departures: VecDeque<Instant>,
}

impl Flow {
    fn open(address: SocketAddr, number: usize) -> Result<Flow> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        // Reset at the end, not finished: tens of thousands of closed connections that linger would leave no port free.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        Ok(Flow { stream, number, quota: 0, sent: 0, received: 0, departed: 0, departures: VecDeque::new() })
    }

    fn is_finished(&self) -> bool {
        self.received == self.quota
    }

    /// Sends what the window allows, as far as the stream takes it.
    fn send(&mut self, plan: Plan, pattern: &Pattern) -> Result<()> {
        loop {
            let started = self.sent % plan.message_len;
            let has_room = self.sent - self.received + plan.message_len <= plan.window_bytes;
            if started == 0 && (self.sent == self.quota || !has_room) {
                return Ok(());
            }
            if self.sent == self.departed * plan.message_len {
                self.departures.push_back(Instant::now());
                self.departed += 1;
            }
            let rest = pattern.piece(self.number, self.sent, plan.message_len - started);
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

    /// Takes what has come back and compares it with what left. Returns how many answers are whole now.
    fn receive(&mut self, plan: Plan, pattern: &Pattern, buffer: &mut [u8], tally: &mut Tally) -> Result<usize> {
        let mut answers = 0;
        while !self.is_finished() {
            let count = match self.stream.read(buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(answers),
                Err(error) => return Err(error).with_context(|| self.lost()),
            };
            let arrived = Instant::now();
            ensure!(0 < count, "{}: the server ended it", self.lost());
            ensure!(self.received + count <= self.sent, "connection {}: more came back than was sent", self.number);
            let is_right = buffer[..count] == *pattern.piece(self.number, self.received, count);
            ensure!(is_right, "connection {}: wrong bytes behind byte {}", self.number, self.received);
            let arrived_before = self.received / plan.message_len;
            self.received += count;
            for _ in arrived_before..self.received / plan.message_len {
                let departed = self.departures.pop_front().expect("what came back had departed");
                tally.record_round_trip(arrived - departed);
                answers += 1;
            }
            if count < buffer.len() {
                return Ok(answers);
            }
        }
        Ok(answers)
    }

    fn lost(&self) -> String {
        format!("connection {} was lost after {} of {} bytes came back", self.number, self.received, self.quota)
    }
}
