//! A connection driven by hand, without a socket, a clock or a thread.
//!
//! Try it: `cargo run --example 01_by_hand`
//!
//! The output shows a peer of a line echo. A line arrives in two pieces, the stream takes a reply in
//! two pieces, and the peer ends in the middle of a line. The counters then account for every byte.
//! The second part shows the echo of a peer without framing, which is not copied. Each step is the call
//! that a driver makes at that point with the result of a socket call.
//!
//! ```text
//! After 1 second half a line arrives: …
//!   read:     "hel"
//! The rest arrives with a second line; …
//!   frame:    "hello"
//!   frame:    "world"
//!   written:  "hello\nwo"
//!   closed:   partial-frame
//! The byte counters: …
//! ```

use std::ops::ControlFlow;
use std::time::Duration;

use readyloop::buffer::Reserve;
use readyloop::codec::{Codec, FrameError};
use readyloop::connection::{Connection, Ledger, Reply, Resources, Role};
use readyloop::instant::Instant;
use readyloop::{Limits, Lines, Raw};

/// The most memory that all connections together can borrow.
const LENT_BYTES_MAX: usize = 1 << 20;

fn main() {
    show_lines();
    show_raw();
}

fn show_lines() {
    // Each call borrows what a connection does not own.
    let (codec, limits) = (Lines::new(), Limits::default());
    let (mut reserve, mut ledger) = (Reserve::new(LENT_BYTES_MAX), Ledger::default());
    let mut resources =
        Resources { codec: &codec, limits: &limits, reserve: &mut reserve, ledger: &mut ledger, now: Instant::ORIGIN };
    let mut peer = Connection::<Lines>::new(Role::Accepted, resources.now);

    println!("A peer connects.");
    print_deadline(&peer, &resources);

    println!("\nAfter 1 second half a line arrives: it is stored, and the frame timeout starts.");
    resources.now = resources.now + Duration::from_secs(1);
    receive(&mut peer, b"hel", usize::MAX, &mut resources);
    print_deadline(&peer, &resources);

    println!("\nThe rest arrives with a second line; the stream takes only 8 bytes of the replies.");
    receive(&mut peer, b"lo\nworld\n", 8, &mut resources);
    println!("  queued:   {}", quoted(peer.unsent()));
    print_deadline(&peer, &resources);

    println!("\nThe stream takes bytes again.");
    flush(&mut peer, usize::MAX, &mut resources);

    println!("\nPart of a line arrives, and then the peer's FIN: the partial line is discarded.");
    receive(&mut peer, b"never finis", usize::MAX, &mut resources);
    peer.handle_end(&mut resources);
    println!("  {:?}", peer.halves());
    assert!(peer.wants_finish(), "all output is written, so the driver shuts down our direction");
    peer.handle_finished(resources.now);
    println!("  closed:   {}", peer.closed().expect("both halves have ended"));

    peer.release(resources.reserve, resources.ledger);
    println!("\nThe byte counters: {ledger:#?}");
    assert!(ledger.reconciles(0, 0), "every byte is accounted for, with nothing stored or queued");
    assert_eq!(reserve.lent_bytes(), 0, "all memory is returned");
}

fn show_raw() {
    let (limits, mut reserve, mut ledger) = (Limits::default(), Reserve::new(LENT_BYTES_MAX), Ledger::default());
    let mut resources =
        Resources { codec: &Raw, limits: &limits, reserve: &mut reserve, ledger: &mut ledger, now: Instant::ORIGIN };
    let mut peer = Connection::<Raw>::new(Role::Accepted, resources.now);

    println!("\nWithout framing, an echo is written from the buffer it was read into.");
    receive(&mut peer, b"not copied", usize::MAX, &mut resources);
    println!("  lent:     {} bytes", resources.reserve.lent_bytes());

    println!("\nOnly the bytes that the stream does not take at once are copied.");
    receive(&mut peer, b"too much", 3, &mut resources);
    println!("  queued:   {}", quoted(peer.unsent()));
    println!("  lent:     {} bytes", resources.reserve.lent_bytes());
    flush(&mut peer, usize::MAX, &mut resources);
    println!("  lent:     {} bytes", resources.reserve.lent_bytes());
}

/// One read and the replies to it, of which the stream takes at most `write_len_max` bytes.
fn receive<C: Codec>(peer: &mut Connection<C>, input: &[u8], write_len_max: usize, resources: &mut Resources<'_, C>) {
    println!("  read:     {}", quoted(input));
    let input_range = peer.handle_input(input, resources, echo);

    // The queue is written first. The input range is the end of the replies: it is not in the queue,
    // because it still lies in `input`.
    let write_len_max = write_len_max - flush(peer, write_len_max, resources);
    let unwritten = &input[input_range];
    let (taken, rest) = unwritten.split_at(unwritten.len().min(write_len_max));
    if !taken.is_empty() {
        println!("  written:  {}, from the input", quoted(taken));
        peer.handle_written(0, taken.len(), resources);
    }
    // The next read overwrites the input, so the rest is stored.
    peer.store(rest, resources);
    peer.apply_watermarks(resources);
}

/// Writes at most `len_max` bytes of the queue, and returns how many it wrote.
fn flush<C: Codec>(peer: &mut Connection<C>, len_max: usize, resources: &mut Resources<'_, C>) -> usize {
    let len = peer.unsent().len().min(len_max);
    if len > 0 {
        println!("  written:  {}", quoted(&peer.unsent()[..len]));
        peer.handle_written(len, 0, resources);
    }
    len
}

/// The service: sends every frame back.
fn echo<C: Codec>(frame: &[u8], reply: &mut Reply<'_, C>) -> Result<ControlFlow<()>, FrameError> {
    println!("  frame:    {}", quoted(frame));
    reply.send(&[frame]);
    Ok(ControlFlow::Continue(()))
}

fn print_deadline<C: Codec>(peer: &Connection<C>, resources: &Resources<'_, C>) {
    println!("  deadline: in {:?}", peer.poll_deadline(resources.codec, resources.limits).since(resources.now));
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
