//! A session over one connection: sends input and shows replies until one side ends.
//!
//! The event loop is the library's [`Client`] with one peer. Both directions are bounded: a slow peer
//! pauses the input, and a slow reader of our output pauses reading from the peer.

use std::collections::VecDeque;
use std::io::{self, Write as _, stderr};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use memchr::memmem;
use readyloop::client::{Client, ConnectFailure, Connected};
use readyloop::codec::Framing;
use readyloop::connection::CloseReason;
use readyloop::instant::Instant;
use readyloop::net::tls::TlsTarget;
use readyloop::{Address, Context, Dial, Key, Limits, Orders, PeerInfo, Reactor, ServerLimits, Service};

use crate::tls::connection_error;

use super::input::Input;
use super::outcome::{Ended, closed, closed_early, input_failed, loop_failed};
use super::prompt::LAST_REPLIES_TIMEOUT;
use super::text;
use super::view::View;

/// The most lines without a reply that are remembered.
const SENT_MAX: usize = 64;

/// An input without data for this long is idle. A file or a busy pipe is faster.
const INPUT_IDLE_MAX: Duration = Duration::from_millis(100);

/// A connection with its input and its view.
pub(super) struct Session {
    client: Client<Reactor, ClientService>,
    key: Key,
    input: Receiver<Input>,
    /// The last time for replies, after the end of the input.
    deadline: Instant,
}

/// A connection, and TLS to use on it.
pub(super) struct Transport {
    pub(super) tls: Option<TlsTarget>,
    pub(super) connected: Connected,
}

/// The service of the client: shows replies and tracks both directions.
struct ClientService {
    address: Address,
    view: View,
    /// At a prompt, the lines without a reply, with their send times.
    sent: VecDeque<(Vec<u8>, Instant)>,
    sending: Sending,
    is_paused: bool,
    /// Replies cannot be shown, the handshake of the layer failed, or the layer broke.
    ended: Option<Ended>,
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

impl Session {
    /// Starts a session over a connection to `address`, with an event loop on `reactor`.
    ///
    /// # Errors
    /// The connection is already closed, or the reactor cannot register it.
    pub(super) fn new(
        address: &Address,
        Transport { tls, connected }: Transport,
        reactor: Reactor,
        framing: Framing,
        (input, view): (Receiver<Input>, View),
    ) -> io::Result<Self> {
        let service = ClientService {
            address: address.clone(),
            view,
            sent: VecDeque::new(),
            sending: Sending::Full,
            is_paused: false,
            ended: None,
            closed: None,
        };
        let dial = Dial { limits: no_timeouts(), tls, ..Dial::default() };
        let mut client = Client::new(reactor, dial, framing, service, ServerLimits::default());
        let Connected { stream, to, .. } = connected;
        let key = client.adopt(stream.into_nonblocking()?, to, ())?;
        Ok(Self { client, key, input, deadline: Instant::NEVER })
    }

    /// Runs until the connection closes or an error occurs.
    pub(super) fn run(mut self) -> Ended {
        let ended = loop {
            if let Err(ended) = self.turn() {
                break ended;
            }
        };
        let ClientService { address, view, sending, .. } = self.client.into_service();
        let is_prompt = view.is_prompt();
        view.finish(ended)?;
        if is_prompt && sending != Sending::Ended {
            // A closed standard error leaves no place to report to.
            let _ = writeln!(stderr(), "{address} closed the connection");
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Ended> {
        self.client.turn(Some(self.deadline)).map_err(loop_failed)?;
        let service = self.client.service_mut();
        if let Some(ended) = service.ended.take() {
            return Err(ended);
        }
        service.view.flush()?;
        if let Some(reason) = service.closed {
            return Err(match service.sending {
                Sending::Ended => closed(reason, &service.address),
                Sending::Open if !has_more(&self.input) => closed(reason, &service.address),
                Sending::Open | Sending::Full => closed_early(reason, &service.address),
            });
        }
        if self.deadline <= self.client.now() {
            return Err(Ok(()));
        }
        self.resume();
        self.send()
    }

    /// Sends available input until the queue for the peer is full.
    fn send(&mut self) -> Result<(), Ended> {
        while self.client.service().sending == Sending::Open {
            match self.input.try_recv() {
                Ok(Input::Frame(frame)) => self.call(|service, cx| service.send(frame, cx)),
                Ok(Input::End) => {
                    self.call(ClientService::end);
                    if self.client.service().view.is_prompt() {
                        self.deadline = self.client.now() + LAST_REPLIES_TIMEOUT;
                    }
                }
                Ok(Input::Failed(error)) => return Err(input_failed(error)),
                Err(_) => break,
            }
        }
        Ok(())
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

    fn call(&mut self, call: impl FnOnce(&mut ClientService, &mut Context<'_, ClientService>)) {
        // Fails if the peer has just closed, which the next turn reports.
        let _ = self.client.call(self.key, |service, (), cx| call(service, cx));
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

impl ClientService {
    fn send(&mut self, frame: Vec<u8>, cx: &mut Context<'_, Self>) {
        cx.send(&frame);
        if self.view.is_prompt() {
            if self.sent.len() == SENT_MAX {
                self.sent.pop_front();
            }
            self.sent.push_back((frame, cx.now()));
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

    fn layer_failed(&mut self, error: &io::Error) {
        self.ended.get_or_insert(Err(connection_error(&self.address, error)));
    }
}

impl Service for ClientService {
    type Codec = Framing;
    type Peer = ();
    type Message = ();

    fn on_open(&mut self, _: &mut (), _: &PeerInfo<'_>, _: &mut Context<'_, Self>) {
        self.sending = Sending::Open;
    }

    fn on_frame(&mut self, _: &mut (), reply: &[u8], cx: &mut Context<'_, Self>) {
        let remark = time_remark(&mut self.sent, reply, cx.now());
        if let Err(ended) = self.view.show(reply, remark.into_iter().collect()) {
            self.ended = Some(ended);
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
        self.layer_failed(&failure.error);
    }

    fn on_layer_error(&mut self, _: Key, error: io::Error) {
        self.layer_failed(&error);
    }

    fn on_close(&mut self, _: (), _: Key, reason: CloseReason, _: &mut Orders<'_, Self>) {
        self.closed = Some(reason);
    }
}
