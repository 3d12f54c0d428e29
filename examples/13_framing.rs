//! The same two frames in three framings: by length, by delimiter and by a fixed length.
//!
//! Try it: `cargo run --example 13_framing`
//!
//! The output shows the bytes on the wire under each framing. The frames are the same wherever the
//! network cuts the stream in two. It also shows the close reason of a peer that ends after a whole
//! frame, and of one that ends inside a frame.
//!
//! ```text
//! length     "\x00\x05hello\x00\x05world"
//!            cut at each of 15 offsets: ["hello", "world"]
//!            ends after a whole frame: finished
//!            ends 1 byte early: ["hello"], then partial-frame
//! delimiter  "hello\nworld\r\n"
//!            cut at each of 14 offsets: ["hello", "world"]
//! fixed      "helloworld"
//!            cut at each of 11 offsets: ["hello", "world"]
//! ```
//!
//! How to choose: a length carries any bytes, and an oversized frame is refused early. A delimiter can
//! be typed by hand, but a frame cannot contain it. A fixed length has no overhead, but all frames
//! must have it.

use std::marker::PhantomData;
use std::sync::mpsc::{Sender, channel};

use readyloop::codec::{ByteCodec, ByteOrder, LengthWidth};
use readyloop::sim::World;
use readyloop::{Address, CloseReason, Context, Fixed, Key, Length, Lines, Orders, Server, ServerLimits, Service};

/// A callback of the service.
enum Callback {
    Frame(String),
    Close(CloseReason),
}

/// A service that records its callbacks.
struct Recorder<C> {
    callbacks: Sender<Callback>,
    codec: PhantomData<C>,
}

impl<C> Recorder<C> {
    fn record(&self, callback: Callback) {
        self.callbacks.send(callback).expect("the receiver lives as long as the server");
    }
}

impl<C: ByteCodec> Service for Recorder<C> {
    type Codec = C;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, (): &mut (), frame: &[u8], _: &mut Context<'_, Self>) {
        self.record(Callback::Frame(String::from_utf8_lossy(frame).into_owned()));
    }

    fn on_close(&mut self, (): (), _: Key, reason: CloseReason, _: &mut Orders<'_, Self>) {
        self.record(Callback::Close(reason));
    }
}

fn main() {
    let length = Length { width: LengthWidth::U16, order: ByteOrder::Big };
    show("length", length, b"\x00\x05hello\x00\x05world");
    // A line may end with LF or CRLF.
    show("delimiter", Lines::new(), b"hello\nworld\r\n");
    show("fixed", Fixed::new(5), b"helloworld");
}

fn show(name: &str, codec: impl ByteCodec + Copy + 'static, wire: &[u8]) {
    println!("{name:<10} \"{}\"", wire.escape_ascii());
    let (frames, reason) = receive(codec, &[wire]);
    for offset in 0..=wire.len() {
        let (first, second) = wire.split_at(offset);
        assert_eq!(receive(codec, &[first, second]), (frames.clone(), reason), "cut at {offset}");
    }
    println!("{:10} cut at each of {} offsets: {frames:?}", "", wire.len() + 1);
    println!("{:10} ends after a whole frame: {reason}", "");

    // The whole frame was served. The service learns from the close reason that another was
    // incomplete, and can undo work if its protocol requires that.
    let (frames, reason) = receive(codec, &[&wire[..wire.len() - 1]]);
    println!("{:10} ends 1 byte early: {frames:?}, then {reason}", "");
}

/// The frames and the close reason of a peer that sends these pieces and ends.
///
/// The network is the simulated one, where each piece arrives in one read.
fn receive(codec: impl ByteCodec + 'static, pieces: &[&[u8]]) -> (Vec<String>, CloseReason) {
    let (world, (sender, receiver)) = (World::new(0), channel());
    let address: Address = "10.0.0.99:7007".parse().expect("the address is valid");
    let mut server = Server::new(world.net(), ServerLimits::default());
    let recorder = Recorder { callbacks: sender, codec: PhantomData };
    server.listen(address.clone(), codec, recorder).expect("the address is free");
    let peer = world.connect(&address);
    for piece in pieces {
        peer.send(piece);
        world.settle(|| server.turn(None)).expect("a simulated poll does not fail");
    }
    peer.finish();
    world.settle(|| server.turn(None)).expect("a simulated poll does not fail");

    let (mut frames, mut reasons) = (Vec::new(), Vec::new());
    for callback in receiver.try_iter() {
        match callback {
            Callback::Frame(frame) => frames.push(frame),
            Callback::Close(reason) => reasons.push(reason),
        }
    }
    assert_eq!(reasons.len(), 1, "every peer is closed once");
    (frames, reasons[0])
}
