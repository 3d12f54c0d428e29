//! Wake-ups: a message of another thread is an event only if the sender makes it one.
//!
//! Try it: `cargo run --example 09_wake_up`
//!
//! ```text
//! without a wake-up: the loop sees the message when its sleep of 1000 ms is over, after … ms
//! with a wake-up:    the loop sees the message at once, after … ms
//! ```
//!
//! An event loop sleeps in `poll`, and `poll` knows sockets only. A message in a queue of the program
//! does not end the sleep. So the sender writes to a descriptor that the poll watches, here an `eventfd`
//! behind [`mio::Waker`]. The order matters: first the message, then the wake-up.
//!
//! In this crate, a [`Sender`](readyloop::Sender) does both.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

/// The longest sleep of the loop, which a deadline of a peer would give.
const SLEEP: Duration = Duration::from_millis(1000);

fn main() -> io::Result<()> {
    let waited = time_to_message(false)?;
    println!(
        "without a wake-up: the loop sees the message when its sleep of 1000 ms is over, after {} ms",
        waited.as_millis()
    );
    let waited = time_to_message(true)?;
    println!("with a wake-up:    the loop sees the message at once, after {} ms", waited.as_millis());
    assert!(waited < SLEEP / 2, "the wake-up ends the sleep");
    Ok(())
}

/// The time from the start of a loop until it sees the message of another thread.
fn time_to_message(with_wake_up: bool) -> io::Result<Duration> {
    let mut poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), Token(0))?);
    let (sender, messages) = channel();
    let started = Instant::now();
    // The first look at the queue is before the message, as in a loop that has nothing to do.
    let seen = |messages: &Receiver<&str>| messages.try_recv().is_ok();
    assert!(!seen(&messages));
    // The loop keeps its own `Arc`. When the last one is dropped, the descriptor is closed, and its event is lost.
    let remote = Arc::clone(&waker);
    let thread = thread::spawn(move || -> io::Result<()> {
        sender.send("work is done").map_err(io::Error::other)?;
        if with_wake_up { remote.wake() } else { Ok(()) }
    });
    let mut events = Events::with_capacity(8);
    loop {
        let end = started + SLEEP;
        poll.poll(&mut events, Some(end.saturating_duration_since(Instant::now())))?;
        if seen(&messages) {
            break;
        }
    }
    thread.join().expect("the thread does not panic")?;
    Ok(started.elapsed())
}
