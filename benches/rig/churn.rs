//! The load of connections that come and go: connect, echo one message, close.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use libc::{EPOLLET, EPOLLIN};
use socket2::{Domain, Socket, Type};

use super::kernel::{self, Epoll, Events, Wait};
use super::pattern::{PIECE_LEN_MAX, Pattern};
use super::steady::STALL_TIMEOUT;
use super::tally::Tally;

/// Addresses to connect from, `127.0.0.2` and on. A closed connection holds its port for a minute, and one
/// address has no more than 28,000.
const SOURCES: usize = 16;

/// A number of connections that are open at any time to one server, each for one message.
pub(crate) struct Churn {
    address: SocketAddr,
    message_len: usize,
    pattern: Pattern,
    epoll: Epoll,
    events: Events,
    wait: Wait,
    buffer: Vec<u8>,
    /// One place for each concurrent connection.
    calls: Vec<Option<Call>>,
    /// Connections so far.
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

    /// Makes `messages` connections, the next as soon as one is done. A round trip is from before `connect`
    /// until the whole echo is there.
    pub(crate) fn exchange(&mut self, messages: usize, tally: &mut Tally) -> Result<()> {
        let last = self.opened + messages;
        for place in 0..self.calls.len().min(messages) {
            self.open(place)?;
        }
        let mut unfinished = messages;
        let mut moved = Instant::now();
        while 0 < unfinished {
            let count = self.epoll.wait(&mut self.events, self.wait)?;
            if 0 < count {
                moved = Instant::now();
            }
            ensure!(moved.elapsed() < STALL_TIMEOUT, "{unfinished} messages got no answer for {STALL_TIMEOUT:?}");
            for index in 0..count {
                let place = self.events[index].u64 as usize;
                let call = self.calls[place].as_mut().expect("a closed call has no facts");
                if !call.receive(self.message_len, &self.pattern, &mut self.buffer)? {
                    continue;
                }
                tally.record_round_trip(call.began.elapsed());
                unfinished -= 1;
                self.calls[place] = None;
                if self.opened < last {
                    self.open(place)?;
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, place: usize) -> Result<()> {
        let message = self.pattern.piece(self.opened, 0, self.message_len);
        let call = Call::open(self.address, self.opened, message)?;
        self.epoll.add(call.stream.as_raw_fd(), EPOLLIN | EPOLLET, place)?;
        self.calls[place] = Some(call);
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
    /// Connects and sends the message. On loopback `connect` waits for nobody: the kernel answers it.
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
        // A new connection has room for far more than one short message.
        stream.write_all(message).with_context(|| format!("connection {number} took no message"))?;
        Ok(Call { stream, number, received: 0, began })
    }

    /// Takes what has come back; says whether that is the whole message.
    fn receive(&mut self, message_len: usize, pattern: &Pattern, buffer: &mut [u8]) -> Result<bool> {
        let count = match self.stream.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("connection {} was lost", self.number)),
        };
        ensure!(0 < count, "connection {} was lost: the server ended it", self.number);
        ensure!(self.received + count <= message_len, "connection {}: more came back than was sent", self.number);
        let is_right = buffer[..count] == *pattern.piece(self.number, self.received, count);
        ensure!(is_right, "connection {}: wrong bytes behind byte {}", self.number, self.received);
        self.received += count;
        Ok(self.received == message_len)
    }
}
