//! The same conversation framed three ways: by a length, by a delimiter, by counting.
//!
//! Try it: `cargo run --example 13_framing`
//!
//! What you see: two frames under each framing, as they are on the wire; that they are the same
//! wherever the stream is cut in two, which is for the network to decide and for nobody else; and
//! what it means when the peer ends where a frame does, or in the middle of one.
//!
//! ```text
//! length     "\x00\x05hello\x00\x05world"
//!            cut at each of 15 places: ["hello", "world"]
//!            ends behind a frame: finished
//!            ends a byte too soon: ["hello"], then partial-frame
//! delimiter  "hello\nworld\r\n"
//!            cut at each of 14 places: ["hello", "world"]
//! fixed      "helloworld"
//!            cut at each of 11 places: ["hello", "world"]
//! ```
//!
//! Which to choose: a length carries any bytes, and tells early that a frame is too long; a
//! delimiter can be typed by hand, and must not be in a frame; counting costs nothing, where all
//! frames are alike.

use std::sync::mpsc::{Sender, channel};

use readyloop::codec::{ByteOrder, Codec, LengthWidth};
use readyloop::sim::World;
use readyloop::{Address, CloseReason, Context, Fixed, Key, Length, Lines, Orders, Server, ServerLimits, Service};

/// What a peer said, and how it ended.
enum Heard {
    Frame(String),
    End(CloseReason),
}

/// Passes on what it hears, frame by frame.
struct Ears(Sender<Heard>);

impl Ears {
    fn tell(&self, heard: Heard) {
        self.0.send(heard).expect("somebody listens to us");
    }
}

impl Service for Ears {
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, (): &mut (), frame: &[u8], _: &mut Context<'_, '_>) {
        self.tell(Heard::Frame(String::from_utf8_lossy(frame).into_owned()));
    }

    fn on_close(&mut self, (): (), _: Key, reason: CloseReason, _: &mut Orders<'_>) {
        self.tell(Heard::End(reason));
    }
}

fn main() {
    let length = Length { width: LengthWidth::U16, order: ByteOrder::Big };
    show("length", length, b"\x00\x05hello\x00\x05world");
    // One end of a line is as good as the other.
    show("delimiter", Lines::new(), b"hello\nworld\r\n");
    show("fixed", Fixed::new(5), b"helloworld");
}

fn show(name: &str, codec: impl Codec + Copy + 'static, wire: &[u8]) {
    println!("{name:<10} \"{}\"", wire.escape_ascii());
    let (frames, end) = hear(codec, &[wire]);
    for place in 0..=wire.len() {
        let (before, behind) = wire.split_at(place);
        assert_eq!(hear(codec, &[before, behind]), (frames.clone(), end), "cut at {place}");
    }
    println!("{:10} cut at each of {} places: {frames:?}", "", wire.len() + 1);
    println!("{:10} ends behind a frame: {end}", "");

    // What came whole was served. What is left is nobody's frame: whether to undo what was said
    // before it is for the service to know, so it is told.
    let (frames, end) = hear(codec, &[&wire[..wire.len() - 1]]);
    println!("{:10} ends a byte too soon: {frames:?}, then {end}", "");
}

/// What a service hears of a peer that sends these pieces and ends. The net is the simulated one:
/// here a piece arrives as it was sent.
fn hear(codec: impl Codec + 'static, pieces: &[&[u8]]) -> (Vec<String>, CloseReason) {
    let (world, (tell, told)) = (World::new(0), channel());
    let address: Address = "10.0.0.99:7007".parse().expect("an address");
    let mut server = Server::new(world.net(), ServerLimits::default());
    server.listen(address.clone(), codec, Ears(tell)).expect("the address is free");
    let peer = world.connect(&address);
    for piece in pieces {
        peer.send(piece);
        world.settle(|| server.turn()).expect("a simulated poll does not fail");
    }
    peer.finish();
    world.settle(|| server.turn()).expect("a simulated poll does not fail");

    let (mut frames, mut ends) = (Vec::new(), Vec::new());
    for heard in told.try_iter() {
        match heard {
            Heard::Frame(frame) => frames.push(frame),
            Heard::End(reason) => ends.push(reason),
        }
    }
    assert_eq!(ends.len(), 1, "every peer has one end");
    (frames, ends[0])
}
