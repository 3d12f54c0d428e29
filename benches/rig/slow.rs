//! A server whose answers take their time, each a known one: what is measured over it is the
//! server's and not the generator's own.
//!
//! It echoes. As long as an answer is due it does not sleep, so that none is late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use libc::EPOLLIN;

use super::kernel::{self, Epoll, Wait};

/// The times of the answers lie evenly between these two, so that the median is in their middle.
/// Long beside what either end of the connection adds.
const TIME_MIN: Duration = Duration::from_millis(20);
const TIME_MAX: Duration = Duration::from_millis(40);

/// 2^64 over the golden ratio: its multiples, wrapped, are spread as evenly as can be however many
/// there are, and never two equal ones in a row (Knuth, The Art of Computer Programming, 6.4).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The token of the listener; peers have their places.
const LISTENER: usize = usize::MAX;

struct Slow {
    epoll: Epoll,
    listener: TcpListener,
    /// By place, which is never given twice.
    peers: Vec<Option<TcpStream>>,
    /// What is due when, for which place.
    due: BinaryHeap<Reverse<(Instant, usize, Vec<u8>)>>,
    answers: u64,
}

/// Prints where it listens, then echoes until it is killed.
pub(crate) fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on tcp://{}", listener.local_addr()?)?;
    stdout.flush()?;

    let epoll = Epoll::new()?;
    epoll.add(listener.as_raw_fd(), EPOLLIN, LISTENER)?;
    let mut slow = Slow { epoll, listener, peers: Vec::new(), due: BinaryHeap::new(), answers: 0 };
    let mut events = kernel::no_events();
    loop {
        let wait = if slow.due.is_empty() { Wait::SleepForever } else { Wait::Spin };
        let count = slow.epoll.wait(&mut events, wait)?;
        for event in &events[..count] {
            match event.u64 as usize {
                LISTENER => slow.accept()?,
                place => slow.read(place),
            }
        }
        slow.answer();
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
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Any error ends the peer, its end of input among them.
    fn read(&mut self, place: usize) {
        let Some(peer) = &mut self.peers[place] else { return };
        let mut bytes = vec![0; 4096];
        match peer.read(&mut bytes) {
            Ok(count) if count > 0 => {
                bytes.truncate(count);
                let due = Instant::now() + self.next_time();
                self.due.push(Reverse((due, place, bytes)));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => self.peers[place] = None,
        }
    }

    fn next_time(&mut self) -> Duration {
        self.answers += 1;
        let part = self.answers.wrapping_mul(STEP) as f64 / u64::MAX as f64;
        TIME_MIN + (TIME_MAX - TIME_MIN).mul_f64(part)
    }

    fn answer(&mut self) {
        while let Some(Reverse((at, ..))) = self.due.peek()
            && *at <= Instant::now()
        {
            let Some(Reverse((_, place, bytes))) = self.due.pop() else { break };
            let Some(peer) = &mut self.peers[place] else { continue };
            // A short message always finds room.
            if peer.write_all(&bytes).is_err() {
                self.peers[place] = None;
            }
        }
    }
}
