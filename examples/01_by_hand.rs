//! A connection driven by hand: no socket, no clock, no thread.
//!
//! Try it: `cargo run --example 01_by_hand`
//!
//! What you see: a peer of an echo that speaks in lines. A line comes in two pieces, the stream
//! takes a reply in two pieces, the peer ends in the middle of a line, and the books say where
//! every byte went. Then a peer without framing, whose echo is never copied. Each step is the
//! call that a driver makes at that point; the real one makes it with what a socket gave it.
//!
//! ```text
//! A second later comes half a line: …
//!   read:    "hel"
//! The rest comes with a second line; …
//!   frame:   "hello"
//!   frame:   "world"
//!   written: "hello\nwo"
//!   closed:  partial-frame
//! The books: …
//! ```

use std::ops::ControlFlow;
use std::time::Duration;

use readyloop::buffer::Reserve;
use readyloop::codec::Codec;
use readyloop::connection::{Connection, Ledger, Reply, Resources};
use readyloop::instant::Instant;
use readyloop::{Limits, Lines, Raw};

/// All the memory that connections may be lent for what they must keep.
const LENT_BYTES_MAX: usize = 1 << 20;

fn main() {
    a_peer_that_speaks_in_lines();
    a_peer_without_framing();
}

fn a_peer_that_speaks_in_lines() {
    // What a connection does not own, it is lent for each call.
    let (codec, limits) = (Lines::new(), Limits::default());
    let (mut reserve, mut ledger) = (Reserve::new(LENT_BYTES_MAX), Ledger::default());
    let mut resources =
        Resources { codec: &codec, limits: &limits, reserve: &mut reserve, ledger: &mut ledger, now: Instant::ORIGIN };
    let mut peer = Connection::<Lines>::new(resources.now);

    println!("A peer connects.");
    print_deadline(&peer, &resources);

    println!("\nA second later comes half a line: no frame yet, so it is kept, and the rest is due.");
    resources.now = resources.now + Duration::from_secs(1);
    receive(&mut peer, b"hel", usize::MAX, &mut resources);
    print_deadline(&peer, &resources);

    println!("\nThe rest comes with a second line; the stream takes only eight bytes of the replies.");
    receive(&mut peer, b"lo\nworld\n", 8, &mut resources);
    println!("  waits:   {}", shown(peer.unsent()));
    print_deadline(&peer, &resources);

    println!("\nThe stream takes bytes again.");
    flush(&mut peer, usize::MAX, &mut resources);

    println!("\nPart of a line comes, and then the peer's end: nothing more can become of that part.");
    receive(&mut peer, b"never finis", usize::MAX, &mut resources);
    peer.handle_end(&mut resources);
    println!("  {:?}", peer.halves());
    assert!(peer.wants_finish(), "all is written, so the driver shuts down our direction");
    peer.handle_finished(resources.now);
    println!("  closed:  {}", peer.closed().expect("both halves have ended"));

    peer.release(resources.reserve, resources.ledger);
    println!("\nThe books: {ledger:#?}");
    assert!(ledger.reconciles(0, 0), "they balance: nothing is stored, nothing waits");
    assert_eq!(reserve.lent_bytes(), 0, "all memory came back");
}

fn a_peer_without_framing() {
    let (limits, mut reserve, mut ledger) = (Limits::default(), Reserve::new(LENT_BYTES_MAX), Ledger::default());
    let mut resources =
        Resources { codec: &Raw, limits: &limits, reserve: &mut reserve, ledger: &mut ledger, now: Instant::ORIGIN };
    let mut peer = Connection::<Raw>::new(resources.now);

    println!("\nWithout framing a reply that repeats its input is written from where it was read.");
    receive(&mut peer, b"as it came", usize::MAX, &mut resources);
    println!("  lent:    {} bytes", resources.reserve.lent_bytes());

    println!("\nOnly what the stream does not take at once is copied.");
    receive(&mut peer, b"too much", 3, &mut resources);
    println!("  waits:   {}", shown(peer.unsent()));
    println!("  lent:    {} bytes", resources.reserve.lent_bytes());
    flush(&mut peer, usize::MAX, &mut resources);
    println!("  lent:    {} bytes", resources.reserve.lent_bytes());
}

/// One read and what follows from it; the stream takes `room` bytes of the replies.
fn receive<C: Codec>(peer: &mut Connection<C>, input: &[u8], room: usize, resources: &mut Resources<'_, C>) {
    println!("  read:    {}", shown(input));
    let quote = peer.handle_input(input, resources, echo);

    // What is stored leaves first. Behind it comes the quote: the end of the replies, which is
    // stored nowhere because it still lies in `input`.
    let room = room - flush(peer, room, resources);
    let quoted = &input[quote];
    let (now, later) = quoted.split_at(quoted.len().min(room));
    if !now.is_empty() {
        println!("  written: {}, out of the input", shown(now));
        peer.handle_written(0, now.len(), resources);
    }
    // The input is about to be overwritten.
    peer.store(later, resources);
    peer.settle(resources);
}

/// Writes what is stored, as far as there is room; says how much that was.
fn flush<C: Codec>(peer: &mut Connection<C>, room: usize, resources: &mut Resources<'_, C>) -> usize {
    let len = peer.unsent().len().min(room);
    if len > 0 {
        println!("  written: {}", shown(&peer.unsent()[..len]));
        peer.handle_written(len, 0, resources);
    }
    len
}

/// The service: sends every frame back.
fn echo(frame: &[u8], reply: &mut Reply<'_>) -> ControlFlow<()> {
    println!("  frame:   {}", shown(frame));
    reply.send(&[frame]);
    ControlFlow::Continue(())
}

fn print_deadline<C: Codec>(peer: &Connection<C>, resources: &Resources<'_, C>) {
    println!("  patient: for {:?}", peer.poll_deadline(resources.limits).since(resources.now));
}

fn shown(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
