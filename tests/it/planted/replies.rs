//! Faults in the replies of a service, and in its framing.

use std::convert::Infallible;
use std::time::Duration;

use readyloop::service::{Orders, PeerInfo, ReplyToken};
use readyloop::sim::{Fault, Faults, World};
use readyloop::{Context, Framing, Key, Limits, Lines, Service};

use super::Version;
use super::scene::Scene;

const SECOND: Duration = Duration::from_secs(1);

/// Sends each line back, in the faulty version twice.
struct Repeater(Version);

impl Service for Repeater {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(line);
        if self.0 == Version::Faulty {
            cx.send(line);
        }
    }
}

pub(super) fn double_reply(version: Version) -> String {
    let mut scene = Scene::new(Lines::new(), Repeater(version));
    scene.connect(b"a\n");
    scene.run(SECOND);
    scene.story()
}

/// Answers the line `slow` a second later. The faulty version does not announce this answer.
struct SlowLines(Version);

impl Service for SlowLines {
    type Codec = Lines;
    type Peer = ();
    type Message = (Key, Option<ReplyToken>);

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        if line != b"slow" {
            return cx.send(line);
        }
        let key = cx.key();
        let token = if self.0 == Version::Correct { Some(cx.defer_reply()) } else { None };
        let at = cx.now() + SECOND;
        cx.orders().send_later(at, (key, token));
    }

    fn on_message(&mut self, (key, token): Self::Message, orders: &mut Orders<'_, Self>) {
        let sent = match token {
            Some(token) => orders.answer(token, &[b"slow"]),
            None => orders.send_to(key, &[b"slow"]),
        };
        sent.expect("the outbox has space");
    }
}

pub(super) fn out_of_order(version: Version) -> String {
    let mut scene = Scene::new(Lines::new(), SlowLines(version));
    scene.connect(b"slow\nquick\n");
    scene.run(2 * SECOND);
    scene.story()
}

/// The faulty version sends each reply to the peer that has connected last.
struct LastPeer {
    version: Version,
    last: Option<Key>,
}

impl Service for LastPeer {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, _peer: &mut (), _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.last = Some(cx.key());
    }

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        match (self.version, self.last) {
            (Version::Faulty, Some(last)) => cx.orders().send_to(last, &[line]).expect("the outbox has space"),
            (Version::Faulty | Version::Correct, _) => cx.send(line),
        }
    }
}

pub(super) fn to_another_peer(version: Version) -> String {
    let mut scene = Scene::new(Lines::new(), LastPeer { version, last: None });
    let first = scene.connect(b"");
    scene.connect(b"");
    scene.run(SECOND);
    first.send(b"hello\n");
    scene.run(SECOND);
    scene.story()
}

/// Defers each reply for a second. The faulty version drops the token.
struct Deferring(Version);

impl Service for Deferring {
    type Codec = Lines;
    type Peer = ();
    type Message = ReplyToken;

    fn on_frame(&mut self, _peer: &mut (), _line: &[u8], cx: &mut Context<'_, Self>) {
        let (token, at) = (cx.defer_reply(), cx.now() + SECOND);
        if self.0 == Version::Correct {
            cx.orders().send_later(at, token);
        }
    }

    fn on_message(&mut self, token: ReplyToken, orders: &mut Orders<'_, Self>) {
        orders.answer(token, &[b"done"]).expect("the outbox has space");
    }
}

pub(super) fn never_answered(version: Version) -> String {
    let mut scene = Scene::new(Lines::new(), Deferring(version));
    scene.connect(b"one\n");
    scene.run(10 * SECOND);
    scene.story()
}

/// Sends each frame back.
struct AnyFrame;

impl Service for AnyFrame {
    type Codec = Framing;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(frame);
    }
}

/// The faulty version takes the bytes of each read for a whole line.
pub(super) fn no_framing(version: Version) -> String {
    let framing = if version == Version::Faulty { "raw" } else { "lines" };
    let world = World::new(1).with_faults(Faults::none().with(Fault::ShortRead, 1.0));
    let mut scene = Scene::with(world, Limits::default(), framing.parse().expect("it is a framing"), AnyFrame);
    scene.connect(b"10 20 30\n");
    scene.run(SECOND);
    scene.story()
}

pub(super) fn small_frame_limit(version: Version) -> String {
    let frame_len_max = if version == Version::Faulty { 8 } else { 1024 };
    let limits = Limits { frame_len_max, ..Limits::default() };
    let mut scene = Scene::with(World::new(1), limits, Lines::new(), Repeater(Version::Correct));
    scene.connect(b"a line of 20 letters\n");
    scene.run(SECOND);
    scene.story()
}

/// Needs five seconds for the line `work`. The faulty version blocks the loop meanwhile. The correct one gives the work
/// away, and gets a message when it is done.
struct Worker(Version, World);

impl Service for Worker {
    type Codec = Lines;
    type Peer = ();
    type Message = ReplyToken;

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        match (line, self.0) {
            (b"work", Version::Faulty) => {
                // Time passes while the callback runs.
                self.1.advance(5 * SECOND, || Ok::<_, Infallible>(())).expect("it cannot fail");
                cx.send(b"done");
            }
            (b"work", Version::Correct) => {
                let (token, at) = (cx.defer_reply(), cx.now() + 5 * SECOND);
                cx.orders().send_later(at, token);
            }
            (_, Version::Faulty | Version::Correct) => cx.send(line),
        }
    }

    fn on_message(&mut self, token: ReplyToken, orders: &mut Orders<'_, Self>) {
        orders.answer(token, &[b"done"]).expect("the outbox has space");
    }
}

pub(super) fn blocking_callback(version: Version) -> String {
    let world = World::new(1);
    let mut scene = Scene::with(world.clone(), Limits::default(), Lines::new(), Worker(version, world));
    let (busy, other) = (scene.connect(b""), scene.connect(b""));
    scene.run(SECOND);
    busy.send(b"work\n");
    scene.run(Duration::ZERO);
    other.send(b"hello\n");
    scene.run(10 * SECOND);
    scene.story()
}
