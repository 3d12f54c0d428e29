//! The baseline: an echo server as a good C programmer writes it on raw epoll, call for call.
//!
//! It is level-triggered, with one `recv` into one 64 KiB buffer and one `send` for each event. The rest
//! of a short send is kept by descriptor until `EPOLLOUT`. It has no limits, deadlines or counters, so
//! its cost is the cost of the kernel.

use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};

use anyhow::Result;
use libc::{EPOLLIN, EPOLLOUT};
use socket2::{Domain, Socket, Type};

use super::kernel::{self, Epoll, Wait};

/// The default limit of the kernel (`somaxconn`) and the default of `readyloop serve`.
const BACKLOG: i32 = 4096;

/// The only buffer. It is aligned to a page, because copies of the kernel to some offsets within a page
/// take longer, and the baseline should be as fast as possible.
#[repr(align(4096))]
struct Buffer([u8; 64 * 1024]);

struct RawLoop {
    epoll: Epoll,
    buffer: Box<Buffer>,
    /// The rest of short sends, by descriptor.
    unsent: Vec<Vec<u8>>,
}

/// Prints its address, then echoes until it is killed.
pub(crate) fn serve() -> Result<()> {
    let listener = listen()?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on tcp://{}", listener.local_addr()?)?;
    stdout.flush()?;

    let listener_fd = listener.as_raw_fd();
    let mut raw_loop = RawLoop { epoll: Epoll::new()?, buffer: Box::new(Buffer([0; 64 * 1024])), unsent: Vec::new() };
    raw_loop.epoll.add(listener_fd, EPOLLIN, listener_fd as usize)?;
    let mut events = kernel::no_events();
    loop {
        let count = raw_loop.epoll.wait(&mut events, Wait::SleepForever)?;
        for event in &events[..count] {
            let fd = event.u64 as RawFd;
            if fd == listener_fd {
                raw_loop.accept(listener_fd)?;
            } else {
                raw_loop.serve(fd);
            }
        }
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl RawLoop {
    fn accept(&mut self, listener: RawFd) -> io::Result<()> {
        loop {
            match kernel::accept(listener) {
                Ok(fd) => {
                    if self.unsent.len() <= fd as usize {
                        self.unsent.resize_with(fd as usize + 1, Vec::new);
                    }
                    self.epoll.add(fd, EPOLLIN, fd as usize)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the peer after any error, and at the end of its input.
    fn serve(&mut self, fd: RawFd) {
        let unsent = &self.unsent[fd as usize];
        let outcome = if unsent.is_empty() { self.echo(fd) } else { self.flush(fd) };
        if outcome.is_err() {
            self.unsent[fd as usize] = Vec::new();
            kernel::close(fd);
        }
    }

    fn echo(&mut self, fd: RawFd) -> io::Result<()> {
        let count = match kernel::receive(fd, &mut self.buffer.0) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) => return unless_would_block(error),
        };
        let sent = match kernel::send(fd, &self.buffer.0[..count]) {
            Ok(sent) => sent,
            Err(error) => unless_would_block(error).map(|()| 0)?,
        };
        if sent < count {
            self.unsent[fd as usize].extend_from_slice(&self.buffer.0[sent..count]);
            self.epoll.modify(fd, EPOLLOUT, fd as usize)?;
        }
        Ok(())
    }

    fn flush(&mut self, fd: RawFd) -> io::Result<()> {
        let unsent = &mut self.unsent[fd as usize];
        match kernel::send(fd, unsent) {
            Ok(sent) => drop(unsent.drain(..sent)),
            Err(error) => return unless_would_block(error),
        }
        if unsent.is_empty() {
            self.epoll.modify(fd, EPOLLIN, fd as usize)?;
        }
        Ok(())
    }
}

fn unless_would_block(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::WouldBlock { Ok(()) } else { Err(error) }
}
