//! The load of short connections: connect, echo one message, close.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use libc::{EPOLLET, EPOLLIN};
use socket2::{Domain, Socket, Type};

use super::kernel::{self, Epoll, Events, Wait};
use super::measurements::Measurements;
use super::pattern::{PIECE_LEN_MAX, Pattern};
use super::steady::STALL_TIMEOUT;

/// Source addresses, from `127.0.0.2` on. A closed connection keeps its port for a minute (TIME_WAIT), and
/// Linux offers about 28,000 ports for each address.
const SOURCES: usize = 16;

/// Keeps a fixed number of connections open to one server, each for one message.
pub(crate) struct Churn {
    address: SocketAddr,
    message_len: usize,
    pattern: Pattern,
    epoll: Epoll,
    events: Events,
    wait: Wait,
    buffer: Vec<u8>,
    /// One slot for each concurrent connection.
    calls: Vec<Option<Call>>,
    /// Number of connections so far.
    opened: usize,
}

impl Churn {
    pub(crate) fn new(address: SocketAddr, concurrent: usize, message_len: usize, wait: Wait) -> Result<Churn> {
        Ok(Churn {
            address,
            message_len,
            pattern: Pattern::new(),
            epoll: Epoll::new()?,
            events: kernel::no_events(),
            wait,
            buffer: vec![0; PIECE_LEN_MAX],
            calls: (0..concurrent).map(|_| None).collect(),
            opened: 0,
        })
    }

    /// Makes `messages` connections; the next one starts as soon as one is done. A round trip begins before
    /// `connect` and ends when the whole echo has arrived.
    pub(crate) fn exchange(&mut self, messages: usize, measurements: &mut Measurements) -> Result<()> {
        let last = self.opened + messages;
        for slot in 0..self.calls.len().min(messages) {
            self.open(slot)?;
        }
        let mut unfinished = messages;
        let mut progress_at = Instant::now();
        while 0 < unfinished {
            let count = self.epoll.wait(&mut self.events, self.wait)?;
            if 0 < count {
                progress_at = Instant::now();
            }
            ensure!(progress_at.elapsed() < STALL_TIMEOUT, "no echo for {STALL_TIMEOUT:?}, {unfinished} missing");
            for index in 0..count {
                let slot = self.events[index].u64 as usize;
                let call = self.calls[slot].as_mut().expect("a closed socket has no events");
                if !call.receive(self.message_len, &self.pattern, &mut self.buffer)? {
                    continue;
                }
                measurements.record_round_trip(call.began, Instant::now());
                unfinished -= 1;
                self.calls[slot] = None;
                if self.opened < last {
                    self.open(slot)?;
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, slot: usize) -> Result<()> {
        let message = self.pattern.piece(self.opened, 0, self.message_len);
        let call = Call::open(self.address, self.opened, message)?;
        self.epoll.add(call.stream.as_raw_fd(), EPOLLIN | EPOLLET, slot)?;
        self.calls[slot] = Some(call);
        self.opened += 1;
        Ok(())
    }
}

/// One connection for one message.
struct Call {
    stream: TcpStream,
    number: usize,
    received: usize,
    began: Instant,
}

impl Call {
    /// Connects and sends the message. On loopback the kernel completes `connect` without waiting for the server.
    fn open(address: SocketAddr, number: usize, message: &[u8]) -> Result<Call> {
        let began = Instant::now();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        kernel::choose_port_at_connect(&socket)?;
        let source = Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect(&address.into()).with_context(|| format!("cannot connect to {address}"))?;
        let mut stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        // The send buffer of a new connection holds far more than one short message.
        stream.write_all(message).with_context(|| format!("cannot send a message on connection {number}"))?;
        Ok(Call { stream, number, received: 0, began })
    }

    /// Reads once; returns whether the whole message has arrived.
    fn receive(&mut self, message_len: usize, pattern: &Pattern, buffer: &mut [u8]) -> Result<bool> {
        let count = match self.stream.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("connection {} was lost", self.number)),
        };
        ensure!(0 < count, "connection {} was lost: the server closed it", self.number);
        ensure!(self.received + count <= message_len, "connection {}: more bytes were echoed than sent", self.number);
        let is_right = buffer[..count] == *pattern.piece(self.number, self.received, count);
        ensure!(is_right, "connection {}: wrong bytes after byte {}", self.number, self.received);
        self.received += count;
        Ok(self.received == message_len)
    }
}
