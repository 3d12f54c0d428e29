//! Faults at the end of a connection.

use std::time::Duration;

use readyloop::sim::World;
use readyloop::{Context, Limits, Raw, Service};

use super::Version;
use super::scene::{SMALL_BUFFER, Scene};

/// A reply that the kernel does not take at once.
const LONG_REPLY: [u8; 10 * SMALL_BUFFER] = [b'x'; 10 * SMALL_BUFFER];

/// Sends a long reply and ends the connection. The faulty version does not wait until the reply is written.
struct OneReply(Version);

impl Service for OneReply {
    type Codec = Raw;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), _frame: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(&LONG_REPLY);
        match self.0 {
            Version::Correct => cx.finish(),
            Version::Faulty => cx.close(),
        }
    }
}

pub(super) fn close_before_flush(version: Version) -> String {
    let world = World::new(1).with_kernel_buffer(SMALL_BUFFER);
    let mut scene = Scene::with(world, Limits::default(), Raw, OneReply(version));
    scene.connect(b"send");
    scene.run(Duration::from_secs(1));
    scene.story()
}

/// Sends a long reply. The faulty version closes the connection when the peer ends its direction.
struct UntilEnd(Version);

impl Service for UntilEnd {
    type Codec = Raw;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), _frame: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(&LONG_REPLY);
    }

    fn on_end(&mut self, _peer: &mut (), cx: &mut Context<'_, Self>) {
        if self.0 == Version::Faulty {
            cx.close();
        }
    }
}

pub(super) fn half_close_as_close(version: Version) -> String {
    let world = World::new(1).with_kernel_buffer(SMALL_BUFFER);
    let mut scene = Scene::with(world, Limits::default(), Raw, UntilEnd(version));
    scene.connect(b"send").finish();
    scene.run(Duration::from_secs(1));
    scene.story()
}

/// Keeps a peer open after its end, for a last line. The faulty version never finishes it.
struct LastWord(Version);

impl Service for LastWord {
    type Codec = Raw;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(frame);
    }

    fn on_end(&mut self, _peer: &mut (), cx: &mut Context<'_, Self>) {
        cx.keep_open();
        cx.start_timer(cx.now() + Duration::from_secs(1));
    }

    fn on_timer(&mut self, _peer: &mut (), cx: &mut Context<'_, Self>) {
        cx.send(b"bye");
        if self.0 == Version::Correct {
            cx.finish();
        }
    }
}

pub(super) fn kept_open(version: Version) -> String {
    let mut scene = Scene::new(Raw, LastWord(version));
    scene.connect(b"hello").finish();
    scene.run(Duration::from_secs(5));
    scene.story()
}
