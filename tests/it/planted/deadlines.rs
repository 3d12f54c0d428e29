//! Missing deadlines, and timers that outlive their peer.

use std::time::Duration;

use readyloop::service::{Echo, Orders, TimerKey};
use readyloop::sim::World;
use readyloop::{CloseReason, Context, Key, Limits, Lines, Service};

use super::Version;
use super::scene::Scene;

/// An echo with this timeout, which the faulty version turns off, and a peer that sends these bytes.
fn echo_with(limits: Limits, bytes: &[u8]) -> String {
    let mut scene = Scene::with(World::new(1), limits, Lines::new(), Echo::new());
    scene.connect(bytes);
    scene.run(Duration::from_secs(3600));
    scene.story()
}

const fn timeout(version: Version) -> Duration {
    match version {
        Version::Correct => Duration::from_secs(60),
        Version::Faulty => Duration::MAX,
    }
}

pub(super) fn no_idle_timeout(version: Version) -> String {
    echo_with(Limits { idle_timeout: timeout(version), ..Limits::default() }, b"")
}

pub(super) fn no_frame_timeout(version: Version) -> String {
    echo_with(Limits { frame_timeout: timeout(version), ..Limits::default() }, b"half a li")
}

/// Sends a reminder five seconds after each line. The faulty version keeps the timer when the peer leaves.
struct Reminder(Version);

impl Service for Reminder {
    type Codec = Lines;
    type Peer = Option<TimerKey>;
    type Message = Key;

    fn on_frame(&mut self, timer: &mut Self::Peer, _line: &[u8], cx: &mut Context<'_, Self>) {
        let (key, at) = (cx.key(), cx.now() + Duration::from_secs(5));
        *timer = Some(cx.orders().send_later(at, key));
    }

    fn on_message(&mut self, key: Key, orders: &mut Orders<'_, Self>) {
        orders.send_to(key, &[b"time is up"]).expect("the outbox has space");
    }

    fn on_close(&mut self, timer: Self::Peer, _key: Key, _reason: CloseReason, orders: &mut Orders<'_, Self>) {
        if self.0 == Version::Correct
            && let Some(timer) = timer
        {
            orders.cancel_timer(timer);
        }
    }
}

pub(super) fn timer_for_a_dead_peer(version: Version) -> String {
    let mut scene = Scene::new(Lines::new(), Reminder(version));
    scene.connect(b"remind me\n").finish();
    scene.run(Duration::from_secs(10));
    scene.story()
}
