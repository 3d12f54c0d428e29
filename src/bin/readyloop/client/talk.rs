//! The conversation: what is read goes to the peer, what comes back is shown, until one side ends.
//!
//! The loop is the library's [`Client`] with one peer. Both directions are bounded: input waits
//! while the peer is slow, and the peer is paused while our reader is.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use readyloop::client::{Client, ClientLimits, Connected};
use readyloop::codec::Framing;
use readyloop::connection::CloseReason;
use readyloop::instant::Instant;
use readyloop::net::Layer;
use readyloop::{Context, Key, Limits, Orders, Reactor, Service};

use super::Socket;
use super::input::Input;
use super::view::View;

/// An input that brings nothing for this long stands still: a file or a busy pipe never does.
const STANDSTILL: Duration = Duration::from_millis(100);

/// One connection and everything said over it.
pub(super) struct Talk<V: View, W: Layer<Socket>> {
    client: Client<Reactor, Teller<V>, Framing, W>,
    key: Key,
}

/// What a conversation begins with: a connection, and what to lay over it.
pub(super) struct Opening<W> {
    pub(super) layer: W,
    pub(super) connected: Connected,
}

/// How a conversation ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The connection is over, and why.
    Closed(CloseReason),
    /// The same, while there was more to send.
    Unheard(CloseReason),
    /// What was to lie over the connection did not open, or broke.
    Broke(io::Error),
    /// Time is up.
    TimeUp,
    /// Standard input failed.
    Unread(io::Error),
    /// The view failed.
    Unseen(io::Error),
    /// The loop broke.
    Broken(io::Error),
}

/// What is done with replies, and what is known of the other direction.
struct Teller<V> {
    view: V,
    /// When each line was sent that has no reply yet; `None` where nobody reads times.
    awaited: Option<VecDeque<Instant>>,
    sending: Sending,
    is_paused: bool,
    failure: Option<io::Error>,
    closed: Option<CloseReason>,
}

/// How the way to the peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// More can be sent.
    Open,
    /// Not until the peer has taken some, or is there at all.
    Full,
    /// The input has ended.
    Ended,
}

/// Whether each reply is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// From the line that it answers.
    RoundTrip,
    /// Not at all.
    Off,
}

impl<V: View, W: Layer<Socket>> Talk<V, W> {
    /// A conversation over a connection, on the loop of `reactor`.
    ///
    /// # Errors
    /// The connection is gone already, or cannot be watched.
    pub(super) fn new(
        Opening { layer, connected }: Opening<W>,
        reactor: Reactor,
        framing: Framing,
        view: V,
        timing: Timing,
    ) -> io::Result<Self> {
        let awaited = match timing {
            Timing::RoundTrip => Some(VecDeque::new()),
            Timing::Off => None,
        };
        let teller = Teller { view, awaited, sending: Sending::Full, is_paused: false, failure: None, closed: None };
        let limits = ClientLimits { peer: patient(), ..ClientLimits::default() };
        let mut client = Client::with_layer(layer, reactor, framing, teller, limits);
        let Connected { stream, to, .. } = connected;
        let key = client.adopt(stream.into_nonblocking()?, to, ())?;
        Ok(Self { client, key })
    }

    /// Talks until the connection is over or something has failed; once the input has ended, for
    /// `patience` at most.
    pub(super) fn run(&mut self, input: &Receiver<Input>, patience: Duration) -> Ending {
        let mut leave_at = Instant::NEVER;
        loop {
            if let Err(error) = self.client.turn(Some(leave_at)) {
                return Ending::Broken(error);
            }
            let unopened = self.client.poll_failure().map(|failure| failure.error);
            if let Some(error) = unopened.or_else(|| self.client.poll_layer_error().map(|(_, error)| error)) {
                return Ending::Broke(error);
            }
            let teller = self.client.service_mut();
            if let Some(error) = teller.failure.take().or_else(|| teller.view.pass_on().err()) {
                return Ending::Unseen(error);
            }
            if let Some(reason) = teller.closed {
                return match teller.sending {
                    Sending::Ended => Ending::Closed(reason),
                    Sending::Open if !has_more(input) => Ending::Closed(reason),
                    Sending::Open | Sending::Full => Ending::Unheard(reason),
                };
            }
            if leave_at <= self.client.now() {
                return Ending::TimeUp;
            }
            self.resume();
            match self.send(input) {
                Ok(Sending::Ended) => leave_at = leave_at.min(self.client.now() + patience),
                Ok(Sending::Open | Sending::Full) => {}
                Err(error) => return Ending::Unread(error),
            }
        }
    }

    /// Sends what has been read, as far as there is room.
    fn send(&mut self, input: &Receiver<Input>) -> io::Result<Sending> {
        while self.client.service().sending == Sending::Open {
            match input.try_recv() {
                Ok(Input::Frame(frame)) => self.call(|teller, cx| teller.send(&frame, cx)),
                Ok(Input::End) => self.call(Teller::end),
                Ok(Input::Failed(error)) => return Err(error),
                Err(_) => break,
            }
        }
        Ok(self.client.service().sending)
    }

    /// Reads the peer again once its replies find room again.
    fn resume(&mut self) {
        let teller = self.client.service();
        if teller.is_paused && !teller.view.is_full() {
            self.call(|teller, cx| {
                teller.is_paused = false;
                cx.resume();
            });
        }
    }

    fn call(&mut self, call: impl FnOnce(&mut Teller<V>, &mut Context<'_, '_>)) {
        // A peer that has just gone is found out in the next turn.
        let _ = self.client.call(self.key, |teller, (), cx| call(teller, cx));
    }

    /// Whether it was our side that ended it.
    pub(super) fn has_left(&self) -> bool {
        self.client.service().sending == Sending::Ended
    }

    /// The view, to be finished.
    pub(super) fn into_view(self) -> V {
        self.client.into_service().view
    }
}

/// Nobody is in a hurry: a person types, a pipe may stand still for a day.
fn patient() -> Limits {
    Limits {
        idle_timeout: Duration::MAX,
        frame_timeout: Duration::MAX,
        write_timeout: Duration::MAX,
        ..Limits::default()
    }
}

/// Whether there is more to send. An input that stands still has nothing more to say, as far as
/// the peer could have been interested.
fn has_more(input: &Receiver<Input>) -> bool {
    matches!(input.recv_timeout(STANDSTILL), Ok(Input::Frame(_)))
}

impl<V: View> Teller<V> {
    fn send(&mut self, frame: &[u8], cx: &mut Context<'_, '_>) {
        cx.send(frame);
        if let Some(awaited) = &mut self.awaited {
            awaited.push_back(cx.now());
        }
        if cx.writable_bytes() == 0 {
            self.sending = Sending::Full;
            cx.notify_writable();
        }
    }

    /// The input has ended: so does our direction, and we listen on.
    fn end(&mut self, cx: &mut Context<'_, '_>) {
        self.sending = Sending::Ended;
        cx.half_close();
    }
}

impl<V: View> Service for Teller<V> {
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, _: &mut (), _: &dyn Display, _: &mut Context<'_, '_>) {
        self.sending = Sending::Open;
    }

    fn on_frame(&mut self, _: &mut (), reply: &[u8], cx: &mut Context<'_, '_>) {
        let sent_at = self.awaited.as_mut().and_then(VecDeque::pop_front);
        if let Err(error) = self.view.show(reply, sent_at.map(|sent_at| cx.now().since(sent_at))) {
            self.failure = Some(error);
            return cx.close();
        }
        if self.view.is_full() {
            self.is_paused = true;
            cx.pause();
        }
    }

    fn on_writable(&mut self, _: &mut (), _: &mut Context<'_, '_>) {
        self.sending = Sending::Open;
    }

    fn on_close(&mut self, _: (), _: Key, reason: CloseReason, _: &mut Orders<'_>) {
        self.closed = Some(reason);
    }
}
