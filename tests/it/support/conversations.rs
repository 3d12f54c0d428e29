//! Connections of the library's own client to a server, plain or over TLS, many on one event loop.
//!
//! Every echoed byte is checked.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use readyloop::client::{Client, ConnectFailure};
use readyloop::net::{Destination, Net};
use readyloop::sim::pattern;
use readyloop::{CloseReason, Context, Dial, Key, Limits, Orders, PeerInfo, Raw, Reactor, ServerLimits, Service};

use super::TIMEOUT;

/// Many connections on one event loop, each with a role.
pub(crate) struct Conversations {
    client: Client<Reactor, Recorder>,
    to: SocketAddr,
}

/// What the client sends on one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sends nothing.
    #[default]
    Silent,
    /// Sends this many bytes as fast as possible, then half-closes and reads to the end.
    Streams(u64),
    /// Sends this many bytes once, and stays open.
    SendsOnce(u64),
    /// Sends this many bytes, waits for the echo, and repeats that.
    Repeats(u64),
}

/// The progress of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversation {
    number: usize,
    role: Role,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) is_open: bool,
    /// Set when the connection has closed.
    pub(crate) reason: Option<CloseReason>,
    /// Set when the connect has failed.
    pub(crate) failure: Option<String>,
}

impl Conversation {
    /// Whether something was sent and all of it was echoed.
    pub(crate) fn is_answered(&self) -> bool {
        self.sent > 0 && self.sent == self.received
    }
}

/// The service of all connections: records their progress and checks every echoed byte.
#[derive(Default)]
struct Recorder {
    talks: Vec<Conversation>,
}

impl Conversations {
    #[track_caller]
    pub(crate) fn under(dial: Dial, to: SocketAddr) -> Self {
        let reactor = Reactor::new().expect("descriptors are free");
        // The tests have their own deadlines.
        let limits = Limits { idle_timeout: Duration::MAX, write_timeout: Duration::MAX, ..Limits::default() };
        // Without a limit on connects in progress, all connections reach the server at once.
        let loop_limits =
            ServerLimits { connect_timeout: TIMEOUT, connecting_max: usize::MAX, ..ServerLimits::default() };
        let dial = Dial { limits, ..dial };
        Self { client: Client::new(reactor, dial, Raw, Recorder::default(), loop_limits), to }
    }

    /// Starts `count` connections. Returns their indexes.
    pub(crate) fn join(&mut self, count: usize, role: Role) -> Range<usize> {
        let first = self.all().len();
        for number in first..first + count {
            let talk = Conversation { number, role, ..Conversation::default() };
            self.client.service_mut().talks.push(talk);
            self.client.connect(Destination::Tcp(self.to), None, number);
        }
        first..first + count
    }

    pub(crate) fn all(&self) -> &[Conversation] {
        &self.client.service().talks
    }

    /// Runs until all connects are started. No connection may have closed before.
    #[track_caller]
    pub(crate) fn start_all(&mut self) {
        let deadline = self.client.net().now() + TIMEOUT;
        while self.client.open() + self.client.connecting() < self.all().len() {
            assert!(self.client.net().now() < deadline, "not all connects are started");
            self.client.turn(Some(deadline)).expect("the poll works");
        }
    }

    /// Runs until `enough` holds. Returns whether it holds within `within`.
    pub(crate) fn run_until(&mut self, within: Duration, enough: impl Fn(&[Conversation]) -> bool) -> bool {
        let deadline = self.client.net().now() + within;
        while !enough(self.all()) {
            self.client.turn(Some(deadline)).expect("the poll works");
            if self.client.net().now() >= deadline {
                return enough(self.all());
            }
        }
        true
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Runs until all connections have closed, and checks that each has finished with all its bytes.
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

impl Recorder {
    fn send_next(&mut self, number: usize, cx: &mut Context<'_, Self>) {
        let talk = &mut self.talks[number];
        match talk.role {
            Role::Repeats(len) if talk.sent == talk.received => send(talk, len, cx),
            Role::SendsOnce(len) if talk.sent == 0 => send(talk, len, cx),
            Role::Silent | Role::Repeats(_) | Role::SendsOnce(_) => {}
            Role::Streams(len) => {
                while talk.sent < len && cx.writable_bytes() > 0 {
                    let chunk = (cx.writable_bytes() as u64).min(len - talk.sent);
                    send(talk, chunk, cx);
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

/// Sends the next bytes of the pattern.
fn send(talk: &mut Conversation, len: u64, cx: &mut Context<'_, Recorder>) {
    cx.send(&pattern(talk.number as u64, talk.sent, len as usize));
    talk.sent += len;
}

impl Service for Recorder {
    type Codec = Raw;
    type Peer = usize;
    type Message = ();

    fn on_open(&mut self, number: &mut usize, _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.talks[*number].is_open = true;
        self.send_next(*number, cx);
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<usize>, _: &mut Orders<'_, Self>) {
        self.talks[failure.peer].failure = Some(failure.error.to_string());
    }

    fn on_frame(&mut self, number: &mut usize, bytes: &[u8], cx: &mut Context<'_, Self>) {
        let talk = &mut self.talks[*number];
        assert!(bytes == pattern(*number as u64, talk.received, bytes.len()), "echoed bytes differ: {talk:?}");
        talk.received += bytes.len() as u64;
        self.send_next(*number, cx);
    }

    fn on_writable(&mut self, number: &mut usize, cx: &mut Context<'_, Self>) {
        self.send_next(*number, cx);
    }

    fn on_close(&mut self, number: usize, _: Key, reason: CloseReason, _: &mut Orders<'_, Self>) {
        let talk = &mut self.talks[number];
        debug_assert_eq!(talk.number, number);
        talk.reason = Some(reason);
    }
}
