//! Conversations of the library's own client with a server, plain or over TLS, many on one loop.
//!
//! Every byte that comes back is checked.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use readyloop::client::{Client, ClientLimits};
use readyloop::net::{Destination, Layer, Net};
use readyloop::sim::pattern;
use readyloop::{CloseReason, Context, Key, Limits, Orders, Raw, Reactor, Service};

use super::TIMEOUT;

/// What a layer lies over here.
type Beneath = <Reactor as Net>::Stream;

/// Many conversations on one loop.
pub(crate) struct Conversations<W: Layer<Beneath>> {
    client: Client<Reactor, Ears, Raw, W>,
    to: SocketAddr,
}

/// What one side of a conversation does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing but listen.
    #[default]
    Silent,
    /// Sends so many bytes as fast as it can, ends its direction and reads on.
    Streams(u64),
    /// Sends so many bytes once, and stays.
    SendsOnce(u64),
    /// Sends so many bytes, waits for the same back, and does it again.
    Repeats(u64),
}

/// One conversation, as far as it has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversation {
    number: usize,
    manner: Role,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) is_open: bool,
    /// How it ended, once it has.
    pub(crate) reason: Option<CloseReason>,
    /// Why it did not begin, if it did not.
    pub(crate) failure: Option<String>,
}

impl Conversation {
    /// Everything it has sent has come back, and that is something.
    pub(crate) fn is_answered(&self) -> bool {
        self.sent > 0 && self.sent == self.received
    }
}

/// The service of all conversations: keeps the record, and checks every byte that comes back.
#[derive(Default)]
struct Ears {
    talks: Vec<Conversation>,
}

impl<W: Layer<Beneath>> Conversations<W> {
    #[track_caller]
    pub(crate) fn under(layer: W, to: SocketAddr) -> Self {
        let reactor = Reactor::new().expect("descriptors are free");
        // The tests have deadlines of their own.
        let peer = Limits { idle_timeout: Duration::MAX, write_timeout: Duration::MAX, ..Limits::default() };
        // Nobody waits here until others are through: the server has them all at once.
        let limits =
            ClientLimits { peer, connect_timeout: TIMEOUT, connecting_max: usize::MAX, ..ClientLimits::default() };
        Self { client: Client::under(layer, reactor, Raw, Ears::default(), limits), to }
    }

    /// Begins so many conversations of that manner.
    pub(crate) fn join(&mut self, count: usize, manner: Role) -> Range<usize> {
        let first = self.all().len();
        for number in first..first + count {
            let talk = Conversation { number, manner, ..Conversation::default() };
            self.client.service_mut().talks.push(talk);
            self.client.connect(Destination::Tcp(self.to), None, number);
        }
        first..first + count
    }

    pub(crate) fn all(&self) -> &[Conversation] {
        &self.client.service().talks
    }

    /// Goes on until all that have joined are connected or about to be; none of them may have ended.
    pub(crate) fn start_all(&mut self) {
        while self.client.open() + self.client.connecting() < self.all().len() {
            self.client.turn(None).expect("the loop is whole");
        }
    }

    /// Goes on until `enough` holds: whether it came to hold within that time.
    pub(crate) fn run_until(&mut self, within: Duration, enough: impl Fn(&[Conversation]) -> bool) -> bool {
        let deadline = self.client.net().now() + within;
        while !enough(self.all()) {
            self.client.turn(Some(deadline)).expect("the loop is whole");
            while let Some(failure) = self.client.poll_failure() {
                self.client.service_mut().talks[failure.peer].failure = Some(failure.error.to_string());
            }
            if self.client.net().now() >= deadline {
                return enough(self.all());
            }
        }
        true
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Goes on until all have ended, every one cleanly and with all its bytes back.
    #[track_caller]
    pub(crate) fn finish_all(&mut self) {
        let done =
            self.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.reason.is_some() || talk.failure.is_some()));
        assert!(done, "{:?}", self.all().iter().find(|talk| talk.reason.is_none()));
        for talk in self.all() {
            assert_eq!((talk.reason, talk.sent), (Some(CloseReason::Finished), talk.received), "{talk:?}");
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.all().iter().map(|talk| talk.received).sum()
    }
}

impl Ears {
    fn talk_on(&mut self, number: usize, cx: &mut Context<'_, '_>) {
        let talk = &mut self.talks[number];
        match talk.manner {
            Role::Repeats(len) if talk.sent == talk.received => say(talk, len, cx),
            Role::SendsOnce(len) if talk.sent == 0 => say(talk, len, cx),
            Role::Silent | Role::Repeats(_) | Role::SendsOnce(_) => {}
            Role::Streams(len) => {
                while talk.sent < len && cx.writable_bytes() > 0 {
                    let chunk = (cx.writable_bytes() as u64).min(len - talk.sent);
                    say(talk, chunk, cx);
                }
                if talk.sent == len {
                    cx.half_close();
                } else {
                    cx.notify_writable();
                }
            }
        }
    }
}

/// Sends the next bytes of its pattern.
fn say(talk: &mut Conversation, len: u64, cx: &mut Context<'_, '_>) {
    cx.send(&pattern(talk.number as u64, talk.sent, len as usize));
    talk.sent += len;
}

impl Service for Ears {
    type Peer = usize;
    type Message = ();

    fn on_open(&mut self, number: &mut usize, _: &dyn std::fmt::Display, cx: &mut Context<'_, '_>) {
        self.talks[*number].is_open = true;
        self.talk_on(*number, cx);
    }

    fn on_frame(&mut self, number: &mut usize, bytes: &[u8], cx: &mut Context<'_, '_>) {
        let talk = &mut self.talks[*number];
        assert!(bytes == pattern(*number as u64, talk.received, bytes.len()), "other bytes than sent: {talk:?}");
        talk.received += bytes.len() as u64;
        self.talk_on(*number, cx);
    }

    fn on_writable(&mut self, number: &mut usize, cx: &mut Context<'_, '_>) {
        self.talk_on(*number, cx);
    }

    fn on_close(&mut self, number: usize, _: Key, reason: CloseReason, _: &mut Orders<'_>) {
        let talk = &mut self.talks[number];
        debug_assert_eq!(talk.number, number);
        talk.reason = Some(reason);
    }
}
