//! A session over one connection: sends input and shows replies until one side ends.
//!
//! The event loop is the library's [`Client`] with one peer. Both directions are bounded: a slow peer
//! pauses the input, and a slow reader of our output pauses reading from the peer.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use readyloop::client::{Client, ConnectFailure, Connected};
use readyloop::codec::Framing;
use readyloop::connection::CloseReason;
use readyloop::instant::Instant;
use readyloop::net::tls::TlsTarget;
use readyloop::{Context, Dial, Key, Limits, Orders, PeerInfo, Reactor, ServerLimits, Service};

use memchr::memmem;

use super::input::Input;
use super::text;
use super::view::View;

/// The most lines without a reply that are remembered.
const SENT_MAX: usize = 64;

/// An input without data for this long is idle. A file or a busy pipe is faster.
const INPUT_IDLE_MAX: Duration = Duration::from_millis(100);

/// A connection with its input and its view.
pub(super) struct Session<V: View + 'static> {
    client: Client<Reactor, ClientService<V>>,
    key: Key,
}

/// A connection, and TLS to use on it.
pub(super) struct Transport {
    pub(super) tls: Option<TlsTarget>,
    pub(super) connected: Connected,
}

/// How a session ended.
#[derive(Debug)]
pub(super) enum SessionEnd {
    /// The connection is closed.
    Closed(CloseReason),
    /// The connection closed before all input was sent.
    ClosedEarly(CloseReason),
    /// The handshake of the layer failed, or the layer broke.
    LayerFailed(io::Error),
    /// The last replies took too long after the end of the input.
    TimedOut,
    /// Standard input failed.
    InputFailed(io::Error),
    /// Replies cannot be written.
    OutputFailed(io::Error),
    /// The event loop failed.
    LoopFailed(io::Error),
}

/// The service of the client: shows replies and tracks both directions.
struct ClientService<V> {
    view: V,
    /// The lines without a reply, with their send times; `None` if replies are not timed.
    sent: Option<VecDeque<(Vec<u8>, Instant)>>,
    sending: Sending,
    is_paused: bool,
    /// Replies cannot be shown.
    failure: Option<io::Error>,
    /// The handshake of the layer failed, or the layer broke.
    layer_failure: Option<io::Error>,
    closed: Option<CloseReason>,
}

/// The state of our direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// More can be sent.
    Open,
    /// Not connected yet, or the queue for the peer is full.
    Full,
    /// The input has ended.
    Ended,
}

/// Whether each reply is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// From the time when its line was sent.
    RoundTrip,
    Off,
}

impl<V: View + 'static> Session<V> {
    /// Starts a session over a connection, with an event loop on `reactor`.
    ///
    /// # Errors
    /// The connection is already closed, or the reactor cannot register it.
    pub(super) fn new(
        Transport { tls, connected }: Transport,
        reactor: Reactor,
        framing: Framing,
        view: V,
        timing: Timing,
    ) -> io::Result<Self> {
        let sent = match timing {
            Timing::RoundTrip => Some(VecDeque::new()),
            Timing::Off => None,
        };
        let service = ClientService {
            view,
            sent,
            sending: Sending::Full,
            is_paused: false,
            failure: None,
            layer_failure: None,
            closed: None,
        };
        let dial = Dial { limits: no_timeouts(), tls, ..Dial::default() };
        let mut client = Client::dialing(reactor, dial, framing, service, ServerLimits::default());
        let Connected { stream, to, .. } = connected;
        let key = client.adopt(stream.into_nonblocking()?, to, ())?;
        Ok(Self { client, key })
    }

    /// Runs until the connection closes or an error occurs.
    ///
    /// After the end of the input, it runs for at most `last_replies_timeout`.
    pub(super) fn run(&mut self, input: &Receiver<Input>, last_replies_timeout: Duration) -> SessionEnd {
        let mut deadline = Instant::NEVER;
        loop {
            if let Err(error) = self.client.turn(Some(deadline)) {
                return SessionEnd::LoopFailed(error);
            }
            let service = self.client.service_mut();
            if let Some(error) = service.layer_failure.take() {
                return SessionEnd::LayerFailed(error);
            }
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

    /// Sends available input until the queue for the peer is full.
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

    /// Resumes reading from the peer once the view has space.
    fn resume(&mut self) {
        let service = self.client.service();
        if service.is_paused && !service.view.is_full() {
            self.call(|service, cx| {
                service.is_paused = false;
                cx.resume();
            });
        }
    }

    fn call(&mut self, call: impl FnOnce(&mut ClientService<V>, &mut Context<'_, ClientService<V>>)) {
        // Fails if the peer has just closed, which the next turn reports.
        let _ = self.client.call(self.key, |service, (), cx| call(service, cx));
    }

    /// Whether our direction has ended.
    pub(super) fn has_ended_input(&self) -> bool {
        self.client.service().sending == Sending::Ended
    }

    /// Returns the view, to be finished.
    pub(super) fn into_view(self) -> V {
        self.client.into_service().view
    }
}

/// How long a reply took: the round trip of the line that it repeats, or the time since the first line
/// without a reply. The second one may be another peer's line and no reply.
fn time_remark(sent: &mut VecDeque<(Vec<u8>, Instant)>, reply: &[u8], now: Instant) -> Option<String> {
    let repeats = |line: &[u8]| {
        line.is_empty() && reply.is_empty() || memmem::find(reply, line).is_some_and(|_| !line.is_empty())
    };
    let repeated = sent.iter().position(|(line, _)| repeats(line));
    let (_, sent_at) = sent.drain(..=repeated.unwrap_or(0).min(sent.len().checked_sub(1)?)).next_back()?;
    let suffix = if repeated.is_some() { "" } else { " after a line" };
    Some(text::span(now.since(sent_at)) + suffix)
}

/// Limits without timeouts, because a person types slowly and a pipe may be idle for long.
fn no_timeouts() -> Limits {
    Limits {
        idle_timeout: Duration::MAX,
        frame_timeout: Duration::MAX,
        write_timeout: Duration::MAX,
        ..Limits::default()
    }
}

/// Whether the input has more data to send. An idle input counts as finished.
fn has_more(input: &Receiver<Input>) -> bool {
    matches!(input.recv_timeout(INPUT_IDLE_MAX), Ok(Input::Frame(_)))
}

impl<V: View> ClientService<V> {
    fn send(&mut self, frame: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(frame);
        if let Some(sent) = &mut self.sent {
            if sent.len() == SENT_MAX {
                sent.pop_front();
            }
            sent.push_back((frame.to_vec(), cx.now()));
        }
        if cx.writable_bytes() == 0 {
            self.sending = Sending::Full;
            cx.notify_writable();
        }
    }

    /// Ends our direction after the end of the input. Replies are still read.
    fn end(&mut self, cx: &mut Context<'_, Self>) {
        self.sending = Sending::Ended;
        cx.half_close();
    }
}

impl<V: View> Service for ClientService<V> {
    type Codec = Framing;
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, _: &mut (), _: &PeerInfo<'_>, _: &mut Context<'_, Self>) {
        self.sending = Sending::Open;
    }

    fn on_frame(&mut self, _: &mut (), reply: &[u8], cx: &mut Context<'_, Self>) {
        let remark = self.sent.as_mut().and_then(|sent| time_remark(sent, reply, cx.now()));
        if let Err(error) = self.view.show(reply, remark) {
            self.failure = Some(error);
            return cx.close();
        }
        if self.view.is_full() {
            self.is_paused = true;
            cx.pause();
        }
    }

    fn on_writable(&mut self, _: &mut (), _: &mut Context<'_, Self>) {
        self.sending = Sending::Open;
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<()>, _: &mut Orders<'_, Self>) {
        self.layer_failure = Some(failure.error);
    }

    fn on_layer_error(&mut self, _: Key, error: io::Error) {
        self.layer_failure = Some(error);
    }

    fn on_close(&mut self, _: (), _: Key, reason: CloseReason, _: &mut Orders<'_, Self>) {
        self.closed = Some(reason);
    }
}
