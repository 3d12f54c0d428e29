//! An echo server that delays each echo by a known time. Generators that are compared must measure that time.
//!
//! It does not sleep while an echo is due, so that no echo is late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use libc::EPOLLIN;
use socket2::SockRef;

use super::kernel::{self, Epoll, Wait};

/// The delays are 20, 21 and so on up to 40 ms, each equally often. A percentile is one of them, also of few echoes.
/// They are long compared with the time that either end of a connection adds.
const DELAY_MIN: Duration = Duration::from_millis(20);
const DELAY_STEP: Duration = Duration::from_millis(1);
const DELAYS: f64 = 21.0;

/// With more peers, the delays are longer in proportion, so that the server always has time left.
const PEERS_MAX: u32 = 1_000;

/// Accepting takes less time than connecting, but may begin late.
const BACKLOG: i32 = 4_096;

/// 2^64 divided by the golden ratio. Its multiples, wrapped, are spread evenly for any count of them
/// (Knuth, The Art of Computer Programming, 6.4).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The token of the listener; the token of a peer is its index.
const LISTENER: usize = usize::MAX;

struct Slow {
    epoll: Epoll,
    listener: TcpListener,
    /// By index; an index is never reused.
    peers: Vec<Option<TcpStream>>,
    open: u32,
    /// Delayed echoes: when each is due, and for which peer.
    due: BinaryHeap<Reverse<(Instant, usize, Vec<u8>)>>,
    echoes: u64,
}

/// Prints its address, then echoes until it is killed.
pub(crate) fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    SockRef::from(&listener).listen(BACKLOG)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on tcp://{}", listener.local_addr()?)?;
    stdout.flush()?;

    let epoll = Epoll::new()?;
    epoll.add(listener.as_raw_fd(), EPOLLIN, LISTENER)?;
    let mut slow = Slow { epoll, listener, peers: Vec::new(), open: 0, due: BinaryHeap::new(), echoes: 0 };
    let mut events = kernel::no_events();
    loop {
        let wait = if slow.due.is_empty() { Wait::SleepForever } else { Wait::Spin };
        let count = slow.epoll.wait(&mut events, wait)?;
        for event in &events[..count] {
            match event.u64 as usize {
                LISTENER => slow.accept()?,
                index => slow.read(index),
            }
        }
        slow.send_due();
    }
}

impl Slow {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((peer, _)) => {
                    peer.set_nodelay(true)?;
                    peer.set_nonblocking(true)?;
                    self.epoll.add(peer.as_raw_fd(), EPOLLIN, self.peers.len())?;
                    self.peers.push(Some(peer));
                    self.open += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the peer after any error, and at the end of its input.
    fn read(&mut self, index: usize) {
        let Some(peer) = &mut self.peers[index] else { return };
        let mut bytes = vec![0; 4096];
        match peer.read(&mut bytes) {
            Ok(count) if count > 0 => {
                bytes.truncate(count);
                let due = Instant::now() + self.next_delay();
                self.due.push(Reverse((due, index, bytes)));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => self.close(index),
        }
    }

    fn close(&mut self, index: usize) {
        self.open -= u32::from(self.peers[index].take().is_some());
    }

    fn next_delay(&mut self) -> Duration {
        self.echoes += 1;
        let part = self.echoes.wrapping_mul(STEP) as f64 / 2_f64.powi(64);
        let delay = DELAY_MIN + (part * DELAYS) as u32 * DELAY_STEP;
        delay * self.open.max(PEERS_MAX) / PEERS_MAX
    }

    fn send_due(&mut self) {
        while let Some(Reverse((at, ..))) = self.due.peek()
            && *at <= Instant::now()
        {
            let Some(Reverse((_, index, bytes))) = self.due.pop() else { break };
            let Some(peer) = &mut self.peers[index] else { continue };
            // A short message always fits into the send buffer.
            if peer.write_all(&bytes).is_err() {
                self.close(index);
            }
        }
    }
}
