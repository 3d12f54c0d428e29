//! Faults in pausing, in sending much, and in messages of other threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use readyloop::service::{Orders, PeerInfo};
use readyloop::sim::World;
use readyloop::watermark::Watermarks;
use readyloop::{Context, Key, Limits, Lines, Raw, Service};

use super::Version;
use super::scene::{SMALL_BUFFER, Scene};

const SECOND: Duration = Duration::from_secs(1);

/// A queue that is full soon.
fn small_queue() -> Limits {
    Limits { queue: Watermarks::new(SMALL_BUFFER, 4 * SMALL_BUFFER), ..Limits::default() }
}

/// Pauses a peer for a second after each line. The faulty version does not resume.
struct Pausing(Version);

impl Service for Pausing {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(line);
        cx.pause();
        cx.start_timer(cx.now() + SECOND);
    }

    fn on_timer(&mut self, _peer: &mut (), cx: &mut Context<'_, Self>) {
        if self.0 == Version::Correct {
            cx.resume();
        }
    }
}

pub(super) fn pause_without_resume(version: Version) -> String {
    let mut scene = Scene::new(Lines::new(), Pausing(version));
    let peer = scene.connect(b"one\n");
    scene.run(SECOND / 2);
    peer.send(b"two\n");
    scene.run(10 * SECOND);
    scene.story()
}

/// Sends a file of this many blocks, as the queue has space. The faulty version sends only what fits at first.
struct Download(Version);

impl Download {
    const BLOCKS: usize = 20;

    fn send_blocks(&self, sent: &mut usize, cx: &mut Context<'_, Self>) {
        while *sent < Self::BLOCKS && cx.writable_bytes() > 0 {
            cx.send(&[b'x'; SMALL_BUFFER]);
            *sent += 1;
        }
        if *sent < Self::BLOCKS && self.0 == Version::Correct {
            cx.notify_writable();
        }
    }
}

impl Service for Download {
    type Codec = Raw;
    type Peer = usize;
    type Message = ();

    fn on_frame(&mut self, sent: &mut usize, _frame: &[u8], cx: &mut Context<'_, Self>) {
        self.send_blocks(sent, cx);
    }

    fn on_writable(&mut self, sent: &mut usize, cx: &mut Context<'_, Self>) {
        self.send_blocks(sent, cx);
    }
}

pub(super) fn ignored_on_writable(version: Version) -> String {
    let world = World::new(1).with_kernel_buffer(SMALL_BUFFER);
    let mut scene = Scene::with(world, small_queue(), Raw, Download(version));
    scene.connect(b"file");
    scene.run(SECOND);
    scene.story()
}

/// Sends each line to all other peers. The faulty version does not look whether they read.
struct Broadcast {
    version: Version,
    peers: Vec<Key>,
}

impl Service for Broadcast {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, _peer: &mut (), _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.peers.push(cx.key());
    }

    fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context<'_, Self>) {
        let own = cx.key();
        let others = self.peers.iter().copied().filter(|key| *key != own);
        let sent = match self.version {
            Version::Correct => cx.orders().offer_to_each(others, &[line]),
            Version::Faulty => cx.orders().send_to_each(others, &[line]),
        };
        sent.expect("the outbox has space");
    }
}

pub(super) fn broadcast_to_a_slow_reader(version: Version) -> String {
    const LINE_LEN: usize = 60_000;
    let world = World::new(1).with_kernel_buffer(LINE_LEN);
    let limits = Limits { frame_len_max: LINE_LEN, ..Limits::default() };
    let mut scene = Scene::with(world, limits, Lines::new(), Broadcast { version, peers: Vec::new() });
    let talker = scene.connect(b"");
    scene.connect_without_reading();
    scene.run(SECOND);
    let line = [&[b'x'; LINE_LEN - 1][..], b"\n"].concat();
    talker.send(&line.repeat(10));
    scene.run(SECOND);
    scene.story()
}

/// Sends the news of another thread to all peers. The faulty version looks for news only when a line comes.
struct News(Arc<Mutex<Vec<String>>>);

impl News {
    fn publish(&self, orders: &mut Orders<'_, Self>) {
        for news in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            orders.send_to_others(&[news.as_bytes()]).expect("the outbox has space");
        }
    }
}

impl Service for News {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), _line: &[u8], cx: &mut Context<'_, Self>) {
        self.publish(&mut cx.orders());
    }

    fn on_message(&mut self, (): (), orders: &mut Orders<'_, Self>) {
        self.publish(orders);
    }
}

pub(super) fn message_without_a_wake_up(version: Version) -> String {
    let news = Arc::<Mutex<Vec<String>>>::default();
    let mut scene = Scene::new(Lines::new(), News(Arc::clone(&news)));
    scene.connect(b"");
    scene.run(SECOND);
    news.lock().unwrap_or_else(PoisonError::into_inner).push("it rains".to_owned());
    if version == Version::Correct {
        scene.endpoint.sender().send(()).expect("the server runs");
    }
    scene.run(10 * SECOND);
    scene.story()
}
