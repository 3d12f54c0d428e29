//! Level- and edge-triggered readiness side by side, and the trap of each, on bare epoll.
//!
//! Try it: `cargo run --example 20_level_triggered`
//!
//! What you see is what it observed, talking to itself:
//!
//! ```text
//!                                                                   level   edge
//! wake-ups in 1000 looks while nothing moves
//!   a message waits, nobody reads it                                 1000      1
//!   nothing to write, interest in writing                            1000      1
//!   the same, interest given up by one more call                        0      0
//! bytes stranded, when 4 of 10 were read before going to sleep
//!   no more is sent                                                     0      6
//!   the reader remembers that it was not done                           0      0
//!   the peer happens to send one byte more                              0      0
//! ```
//!
//! *Level-triggered*, the system tells what holds, as often as it is asked: nothing can be missed,
//! but a fact on which nobody acts ends every sleep at once. That is the busy loop, and its cure is
//! to change the interest, with a system call each time. *Edge-triggered*, it tells a fact when it
//! begins to hold, once: nobody is woken in vain, but who stops before `WouldBlock` is not told
//! again. That is the lost wake-up, and its cure is to remember what one was told.
//!
//! mio is edge-triggered, and so is the crate: it never changes an interest after the accept, and
//! remembers readiness in two bits for each peer.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

/// How often one asks while nothing moves. Any number shows the same.
const LOOKS: usize = 1000;
/// How long to wait for a fact that is not expected to come. Asking does not take that long.
const PATIENCE: Duration = Duration::from_millis(100);

const MESSAGE: &[u8] = b"0123456789";
/// What a hasty reader takes of it.
const SIP: usize = 4;

#[derive(Clone, Copy)]
enum Trigger {
    Level,
    Edge,
}

/// One end of a connection, watched, and the other end.
struct Watched {
    epoll: OwnedFd,
    ours: UnixStream,
    theirs: UnixStream,
    trigger: Trigger,
}

impl Watched {
    fn new(trigger: Trigger, interest: epoll::EventFlags) -> std::io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &ours, epoll::EventData::new_u64(0), flags(trigger, interest))?;
        Ok(Self { epoll, ours, theirs, trigger })
    }

    /// Whether a fact comes in this time.
    fn wakes_up(&self, within: Duration) -> std::io::Result<bool> {
        let timeout = Timespec::try_from(within).expect("a short time fits");
        let mut events = Vec::with_capacity(1);
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout))?;
        Ok(!events.is_empty())
    }

    /// How many looks would have ended a sleep though nothing has moved.
    fn wake_ups(&self) -> std::io::Result<usize> {
        let mut count = 0;
        for _ in 0..LOOKS {
            count += usize::from(self.wakes_up(Duration::ZERO)?);
        }
        Ok(count)
    }

    fn change_interest(&self, interest: epoll::EventFlags) -> std::io::Result<()> {
        Ok(epoll::modify(&self.epoll, &self.ours, epoll::EventData::new_u64(0), flags(self.trigger, interest))?)
    }

    /// How many bytes still wait to be read.
    fn drain(&mut self) -> std::io::Result<usize> {
        let mut count = 0;
        loop {
            match self.ours.read(&mut [0; 64]) {
                Ok(0) => return Ok(count),
                Ok(len) => count += len,
                // The only sign that nothing is left: from here on a new fact is sure to come.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(count),
                Err(error) => return Err(error),
            }
        }
    }
}

fn flags(trigger: Trigger, interest: epoll::EventFlags) -> epoll::EventFlags {
    match trigger {
        Trigger::Level => interest,
        Trigger::Edge => interest | epoll::EventFlags::ET,
    }
}

/// A message waits, and its reader has other things to do: it is paused, or out of its budget.
fn nobody_reads(trigger: Trigger) -> std::io::Result<usize> {
    let mut watched = Watched::new(trigger, epoll::EventFlags::IN)?;
    watched.theirs.write_all(MESSAGE)?;
    watched.wake_ups()
}

/// There is nothing to write, and the stream could take it.
fn nothing_to_write(trigger: Trigger) -> std::io::Result<usize> {
    Watched::new(trigger, epoll::EventFlags::IN | epoll::EventFlags::OUT)?.wake_ups()
}

/// The same, by a program that is interested in writing only while it has something to write.
fn nothing_to_write_and_no_interest(trigger: Trigger) -> std::io::Result<usize> {
    let watched = Watched::new(trigger, epoll::EventFlags::IN | epoll::EventFlags::OUT)?;
    // Two such calls for every message that does not leave at once.
    watched.change_interest(epoll::EventFlags::IN)?;
    watched.wake_ups()
}

/// The reader takes a part, then sleeps until it is told of the rest: how much is stranded?
fn hasty_reader(trigger: Trigger) -> std::io::Result<usize> {
    let mut watched = Watched::new(trigger, epoll::EventFlags::IN)?;
    watched.theirs.write_all(MESSAGE)?;
    watched.wakes_up(PATIENCE)?;
    watched.ours.read_exact(&mut [0; SIP])?;
    if watched.wakes_up(PATIENCE)? { Ok(0) } else { watched.drain() }
}

/// The same, but the reader remembers that it was told and never saw `WouldBlock`, so it does not sleep.
fn hasty_reader_that_remembers(trigger: Trigger) -> std::io::Result<usize> {
    let mut watched = Watched::new(trigger, epoll::EventFlags::IN)?;
    watched.theirs.write_all(MESSAGE)?;
    let is_readable = watched.wakes_up(PATIENCE)?;
    watched.ours.read_exact(&mut [0; SIP])?;
    if is_readable || watched.wakes_up(PATIENCE)? {
        watched.drain()?;
    }
    watched.drain()
}

/// The hasty reader is lucky: its peer sends one byte more. Everything is told again.
fn hasty_reader_and_one_more_byte(trigger: Trigger) -> std::io::Result<usize> {
    let mut watched = Watched::new(trigger, epoll::EventFlags::IN)?;
    watched.theirs.write_all(MESSAGE)?;
    watched.wakes_up(PATIENCE)?;
    watched.ours.read_exact(&mut [0; SIP])?;
    watched.theirs.write_all(b"!")?;
    if watched.wakes_up(PATIENCE)? { Ok(0) } else { watched.drain() }
}

/// One line of what was observed.
fn show(what: &str, observe: fn(Trigger) -> std::io::Result<usize>) -> std::io::Result<()> {
    println!("  {what:<62} {:>6} {:>6}", observe(Trigger::Level)?, observe(Trigger::Edge)?);
    Ok(())
}

fn main() -> std::io::Result<()> {
    println!("  {:<62} {:>6} {:>6}", "", "level", "edge");
    println!("wake-ups in {LOOKS} looks while nothing moves");
    show("a message waits, nobody reads it", nobody_reads)?;
    show("nothing to write, interest in writing", nothing_to_write)?;
    show("the same, interest given up by one more call", nothing_to_write_and_no_interest)?;
    println!("bytes stranded, when {SIP} of {} were read before going to sleep", MESSAGE.len());
    show("no more is sent", hasty_reader)?;
    show("the reader remembers that it was not done", hasty_reader_that_remembers)?;
    show("the peer happens to send one byte more", hasty_reader_and_one_more_byte)?;
    Ok(())
}
