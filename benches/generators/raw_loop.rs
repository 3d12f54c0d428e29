//! The baseline: a closed-loop client as a good C programmer writes it on raw epoll, call for call.
//!
//! It is level-triggered. For each event it makes one `recv` into one buffer, compares the bytes with
//! the expected ones, and makes one `send` of the next message. It has no latencies, deadlines or
//! counters, and does not support short sends, so its cost is the cost of the kernel.

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

/// One connection. Positions are bytes since its start.
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
            // The drop is a reset: connections in TIME_WAIT would use up all ports.
            SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO))?;
            epoll.add(stream.as_raw_fd(), EPOLLIN, number)?;
            flows.push(Flow { stream, sent: 0, received: 0 });
        }
        let (pattern, events, buffer) = (Pattern::new(), kernel::no_events(), vec![0; BUFFER_BYTES]);
        Ok(Self { message_len, pattern, epoll, events, buffer, flows })
    }

    /// Exchanges `messages` messages, one at a time over each connection.
    pub(crate) fn exchange(&mut self, messages: usize) -> Result<()> {
        let mut unsent = messages;
        for number in 0..self.flows.len().min(messages) {
            self.send(number)?;
            unsent -= 1;
        }
        let mut missing = messages;
        while 0 < missing {
            let count = self.epoll.wait(&mut self.events, Wait::Sleep(STALL_TIMEOUT))?;
            ensure!(0 < count, "no echo for {STALL_TIMEOUT:?}, {missing} missing");
            for index in 0..count {
                let number = self.events[index].u64 as usize;
                if !self.receive(number)? {
                    continue;
                }
                missing -= 1;
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
        ensure!(count == message.len(), "connection {number}: short send of {count} bytes");
        flow.sent += count;
        Ok(())
    }

    /// Reads once; returns whether the whole message has arrived.
    fn receive(&mut self, number: usize) -> Result<bool> {
        let flow = &mut self.flows[number];
        let read = kernel::receive(flow.stream.as_raw_fd(), &mut self.buffer);
        let count = read.with_context(|| format!("connection {number}"))?;
        ensure!(0 < count && flow.received + count <= flow.sent, "connection {number}: {count} unexpected bytes");
        let is_right = self.buffer[..count] == *self.pattern.piece(number, flow.received, count);
        ensure!(is_right, "connection {number}: wrong bytes after byte {}", flow.received);
        flow.received += count;
        Ok(flow.received == flow.sent)
    }
}
