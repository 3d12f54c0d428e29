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
const INPUT_IDLE_MAX: Duration = Duration::from_millis(100);

/// One connection and everything said over it.
pub(super) struct Session<V: View, W: Layer<Socket>> {
    client: Client<Reactor, ClientService<V>, Framing, W>,
    key: Key,
}

/// What a conversation begins with: a connection, and what to lay over it.
pub(super) struct Transport<W> {
    pub(super) layer: W,
    pub(super) connected: Connected,
}

/// How a conversation ended.
#[derive(Debug)]
pub(super) enum SessionEnd {
    /// The connection is over, and why.
    Closed(CloseReason),
    /// The same, while there was more to send.
    ClosedEarly(CloseReason),
    /// What was to lie over the connection did not open, or broke.
    LayerFailed(io::Error),
    /// Time is up.
    TimedOut,
    /// Standard input failed.
    InputFailed(io::Error),
    /// The view failed.
    OutputFailed(io::Error),
    /// The loop broke.
    LoopFailed(io::Error),
}

/// What is done with replies, and what is known of the other direction.
struct ClientService<V> {
    view: V,
    /// When each line was sent that has no reply yet; `None` where nobody reads times.
    sent_times: Option<VecDeque<Instant>>,
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

impl<V: View, W: Layer<Socket>> Session<V, W> {
    /// A conversation over a connection, on the loop of `reactor`.
    ///
    /// # Errors
    /// The connection is gone already, or cannot be watched.
    pub(super) fn new(
        Transport { layer, connected }: Transport<W>,
        reactor: Reactor,
        framing: Framing,
        view: V,
        timing: Timing,
    ) -> io::Result<Self> {
        let sent_times = match timing {
            Timing::RoundTrip => Some(VecDeque::new()),
            Timing::Off => None,
        };
        let service =
            ClientService { view, sent_times, sending: Sending::Full, is_paused: false, failure: None, closed: None };
        let limits = ClientLimits { peer: no_timeouts(), ..ClientLimits::default() };
        let mut client = Client::under(layer, reactor, framing, service, limits);
        let Connected { stream, to, .. } = connected;
        let key = client.adopt(stream.into_nonblocking()?, to, ())?;
        Ok(Self { client, key })
    }

    /// Talks until the connection is over or something has failed; once the input has ended, for
    /// `last_replies_timeout` at most.
    pub(super) fn run(&mut self, input: &Receiver<Input>, last_replies_timeout: Duration) -> SessionEnd {
        let mut deadline = Instant::NEVER;
        loop {
            if let Err(error) = self.client.turn(Some(deadline)) {
                return SessionEnd::LoopFailed(error);
            }
            let failure = self.client.poll_failure().map(|failure| failure.error);
            if let Some(error) = failure.or_else(|| self.client.poll_break().map(|(_, error)| error)) {
                return SessionEnd::LayerFailed(error);
            }
            let service = self.client.service_mut();
            if let Some(error) = service.failure.take().or_else(|| service.view.flush().err()) {
                return SessionEnd::OutputFailed(error);
            }
            if let Some(reason) = service.closed {
                return match service.sending {
                    Sending::Ended => SessionEnd::Closed(reason),
                    Sending::Open if !has_more(input) => SessionEnd::Closed(reason),
                    Sending::Open | Sending::Full => SessionEnd::ClosedEarly(reason),
                };
            }
            if deadline <= self.client.now() {
                return SessionEnd::TimedOut;
            }
            self.resume();
            match self.send(input) {
                Ok(Sending::Ended) => deadline = deadline.min(self.client.now() + last_replies_timeout),
                Ok(Sending::Open | Sending::Full) => {}
                Err(error) => return SessionEnd::InputFailed(error),
            }
        }
    }

    /// Sends what has been read, as far as there is room.
    fn send(&mut self, input: &Receiver<Input>) -> io::Result<Sending> {
        while self.client.service().sending == Sending::Open {
            match input.try_recv() {
                Ok(Input::Frame(frame)) => self.call(|service, cx| service.send(&frame, cx)),
                Ok(Input::End) => self.call(ClientService::end),
                Ok(Input::Failed(error)) => return Err(error),
                Err(_) => break,
            }
        }
        Ok(self.client.service().sending)
    }

    /// Reads the peer again once its replies find room again.
    fn resume(&mut self) {
        let service = self.client.service();
        if service.is_paused && !service.view.is_full() {
            self.call(|service, cx| {
                service.is_paused = false;
                cx.resume();
            });
        }
    }

    fn call(&mut self, call: impl FnOnce(&mut ClientService<V>, &mut Context<'_, '_>)) {
        // A peer that has just gone is found out in the next turn.
        let _ = self.client.call(self.key, |service, (), cx| call(service, cx));
    }

    /// Whether it was our side that ended it.
    pub(super) fn has_ended_input(&self) -> bool {
        self.client.service().sending == Sending::Ended
    }

    /// The view, to be finished.
    pub(super) fn into_view(self) -> V {
        self.client.into_service().view
    }
}

/// Nobody is in a hurry: a person types, a pipe may stand still for a day.
fn no_timeouts() -> Limits {
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
    matches!(input.recv_timeout(INPUT_IDLE_MAX), Ok(Input::Frame(_)))
}

impl<V: View> ClientService<V> {
    fn send(&mut self, frame: &[u8], cx: &mut Context<'_, '_>) {
        cx.send(frame);
        if let Some(sent_times) = &mut self.sent_times {
            sent_times.push_back(cx.now());
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

impl<V: View> Service for ClientService<V> {
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, _: &mut (), _: &dyn Display, _: &mut Context<'_, '_>) {
        self.sending = Sending::Open;
    }

    fn on_frame(&mut self, _: &mut (), reply: &[u8], cx: &mut Context<'_, '_>) {
        let sent_at = self.sent_times.as_mut().and_then(VecDeque::pop_front);
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
