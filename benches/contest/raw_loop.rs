//! The baseline: a closed loop of requests as a good C programmer writes it on raw epoll, call for call.
//!
//! Level-triggered; for each event one `recv` into one buffer, a comparison with what is due, and one
//! `send` of the next message. It has no latencies, no deadlines and no tallies, and a server that
//! takes half a message is beyond it: whatever it costs is what the kernel costs.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use libc::EPOLLIN;
use socket2::SockRef;

use crate::rig::kernel::{self, Epoll, Events, Wait};
use crate::rig::pattern::Pattern;
use crate::rig::steady::STALL_TIMEOUT;

const BUFFER_BYTES: usize = 64 * 1024;

/// Open connections to one server.
pub(crate) struct RawLoop {
    message_len: usize,
    pattern: Pattern,
    epoll: Epoll,
    events: Events,
    buffer: Vec<u8>,
    flows: Vec<Flow>,
}

/// One connection. Places are bytes since it began.
struct Flow {
    stream: TcpStream,
    sent: usize,
    received: usize,
}

impl RawLoop {
    pub(crate) fn open(address: SocketAddr, connections: usize, message_len: usize) -> Result<Self> {
        let epoll = Epoll::new()?;
        let mut flows = Vec::with_capacity(connections);
        for number in 0..connections {
            let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            // Reset at the end: closed connections that linger would leave no port free.
            SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO))?;
            epoll.add(stream.as_raw_fd(), EPOLLIN, number)?;
            flows.push(Flow { stream, sent: 0, received: 0 });
        }
        let (pattern, events, buffer) = (Pattern::new(), kernel::no_events(), vec![0; BUFFER_BYTES]);
        Ok(Self { message_len, pattern, epoll, events, buffer, flows })
    }

    /// Sends so many messages, one at a time over each connection, and takes back as many.
    pub(crate) fn exchange(&mut self, messages: usize) -> Result<()> {
        let mut unsent = messages;
        for number in 0..self.flows.len().min(messages) {
            self.send(number)?;
            unsent -= 1;
        }
        let mut unanswered = messages;
        while 0 < unanswered {
            let count = self.epoll.wait(&mut self.events, Wait::Sleep(STALL_TIMEOUT))?;
            ensure!(0 < count, "{unanswered} messages got no answer for {STALL_TIMEOUT:?}");
            for index in 0..count {
                let number = self.events[index].u64 as usize;
                if !self.receive(number)? {
                    continue;
                }
                unanswered -= 1;
                if 0 < unsent {
                    unsent -= 1;
                    self.send(number)?;
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, number: usize) -> Result<()> {
        let flow = &mut self.flows[number];
        let message = self.pattern.piece(number, flow.sent, self.message_len);
        let count = kernel::send(flow.stream.as_raw_fd(), message).with_context(|| format!("connection {number}"))?;
        ensure!(count == message.len(), "connection {number} took {count} bytes of a message");
        flow.sent += count;
        Ok(())
    }

    /// Takes what has come; says whether that makes the message whole.
    fn receive(&mut self, number: usize) -> Result<bool> {
        let flow = &mut self.flows[number];
        let read = kernel::receive(flow.stream.as_raw_fd(), &mut self.buffer);
        let count = read.with_context(|| format!("connection {number}"))?;
        ensure!(0 < count && flow.received + count <= flow.sent, "connection {number}: {count} bytes came back");
        let is_right = self.buffer[..count] == *self.pattern.piece(number, flow.received, count);
        ensure!(is_right, "connection {number}: wrong bytes behind byte {}", flow.received);
        flow.received += count;
        Ok(flow.received == flow.sent)
    }
}
