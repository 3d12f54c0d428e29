//! Level- and edge-triggered readiness side by side, and the trap of each, on bare epoll.
//!
//! Try it: `cargo run --example 20_level_triggered`
//!
//! ```text
//!                                                                   level   edge
//! wake-ups in 1000 polls while no bytes move
//!   unread input                                                     1000      1
//!   nothing to write, interest in writing                            1000      1
//!   nothing to write, interest removed by one more system call          0      0
//! stranded bytes after reading 4 of 10 and going to sleep
//!   the peer sends no more                                              0      6
//!   the reader remembers the readiness                                  0      0
//!   the peer sends one more byte                                        0      0
//! ```
//!
//! *Level-triggered*, epoll reports readiness on every poll while it holds. Nothing is missed, but
//! readiness that is not used ends every sleep at once: a busy loop. The cure is to change the
//! interest, which costs a system call each time. *Edge-triggered*, epoll reports readiness once,
//! when it begins. There are no needless wake-ups, but a reader that stops before `WouldBlock` gets
//! no further event: a lost wake-up. The cure is to remember the readiness.
//!
//! mio is edge-triggered, and so is this crate. It never changes the interest after the accept, and
//! remembers readiness in two bits for each peer.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

/// The number of polls while no bytes move. Any number shows the same.
const POLLS: usize = 1000;
/// How long to wait for an event that should not come.
const TIMEOUT: Duration = Duration::from_millis(100);

const MESSAGE: &[u8] = b"0123456789";
/// How much of it the partial reader reads.
const PART_LEN: usize = 4;

#[derive(Clone, Copy)]
enum Trigger {
    Level,
    Edge,
}

/// A connection: our end, registered with epoll, and the peer's end.
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

    /// Whether an event comes within this time.
    fn wakes_up(&self, within: Duration) -> std::io::Result<bool> {
        let timeout = Timespec::try_from(within).expect("a short time fits");
        let mut events = Vec::with_capacity(1);
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout))?;
        Ok(!events.is_empty())
    }

    /// How many polls report an event although no bytes moved.
    fn wake_ups(&self) -> std::io::Result<usize> {
        let mut count = 0;
        for _ in 0..POLLS {
            count += usize::from(self.wakes_up(Duration::ZERO)?);
        }
        Ok(count)
    }

    fn change_interest(&self, interest: epoll::EventFlags) -> std::io::Result<()> {
        Ok(epoll::modify(&self.epoll, &self.ours, epoll::EventData::new_u64(0), flags(self.trigger, interest))?)
    }

    /// Reads until `WouldBlock`. Returns the number of bytes.
    fn drain(&mut self) -> std::io::Result<usize> {
        let mut count = 0;
        loop {
            match self.ours.read(&mut [0; 64]) {
                Ok(0) => return Ok(count),
                Ok(len) => count += len,
                // Only this proves that no input is left. From now on a new event is certain.
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

/// Input is available, and the reader does not read it: it is paused, or its budget is used up.
fn unread_input(trigger: Trigger) -> std::io::Result<usize> {
    let mut watched = Watched::new(trigger, epoll::EventFlags::IN)?;
    watched.theirs.write_all(MESSAGE)?;
    watched.wake_ups()
}

/// The stream is writable, and there is nothing to write.
fn nothing_to_write(trigger: Trigger) -> std::io::Result<usize> {
    Watched::new(trigger, epoll::EventFlags::IN | epoll::EventFlags::OUT)?.wake_ups()
}

/// The same, with interest in writing only while there is something to write.
fn nothing_to_write_and_no_interest(trigger: Trigger) -> std::io::Result<usize> {
    let watched = Watched::new(trigger, epoll::EventFlags::IN | epoll::EventFlags::OUT)?;
    // This takes two such calls for each message that cannot be written at once.
    watched.change_interest(epoll::EventFlags::IN)?;
    watched.wake_ups()
}

/// Reads a part, then sleeps until an event reports the rest. Returns the number of stranded bytes.
fn partial_reader(trigger: Trigger) -> std::io::Result<usize> {
    let mut watched = Watched::new(trigger, epoll::EventFlags::IN)?;
    watched.theirs.write_all(MESSAGE)?;
    watched.wakes_up(TIMEOUT)?;
    watched.ours.read_exact(&mut [0; PART_LEN])?;
    if watched.wakes_up(TIMEOUT)? { Ok(0) } else { watched.drain() }
}

/// The same, but the reader remembers that it has not seen `WouldBlock`, and does not sleep.
fn partial_reader_that_remembers(trigger: Trigger) -> std::io::Result<usize> {
    let mut watched = Watched::new(trigger, epoll::EventFlags::IN)?;
    watched.theirs.write_all(MESSAGE)?;
    let is_readable = watched.wakes_up(TIMEOUT)?;
    watched.ours.read_exact(&mut [0; PART_LEN])?;
    if is_readable || watched.wakes_up(TIMEOUT)? {
        watched.drain()?;
    }
    watched.drain()
}

/// The same, but the peer sends one more byte, which causes another event.
fn partial_reader_and_one_more_byte(trigger: Trigger) -> std::io::Result<usize> {
    let mut watched = Watched::new(trigger, epoll::EventFlags::IN)?;
    watched.theirs.write_all(MESSAGE)?;
    watched.wakes_up(TIMEOUT)?;
    watched.ours.read_exact(&mut [0; PART_LEN])?;
    watched.theirs.write_all(b"!")?;
    if watched.wakes_up(TIMEOUT)? { Ok(0) } else { watched.drain() }
}

/// Prints one observation for both triggers.
fn show(case: &str, observe: fn(Trigger) -> std::io::Result<usize>) -> std::io::Result<()> {
    println!("  {case:<62} {:>6} {:>6}", observe(Trigger::Level)?, observe(Trigger::Edge)?);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    println!("  {:<62} {:>6} {:>6}", "", "level", "edge");
    println!("wake-ups in {POLLS} polls while no bytes move");
    show("unread input", unread_input)?;
    show("nothing to write, interest in writing", nothing_to_write)?;
    show("nothing to write, interest removed by one more system call", nothing_to_write_and_no_interest)?;
    println!("stranded bytes after reading {PART_LEN} of {} and going to sleep", MESSAGE.len());
    show("the peer sends no more", partial_reader)?;
    show("the reader remembers the readiness", partial_reader_that_remembers)?;
    show("the peer sends one more byte", partial_reader_and_one_more_byte)?;
    Ok(())
}
