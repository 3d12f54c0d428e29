//! [`Replay`]: a network that returns the results of a recording.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::entry::{Call, CallResult};
use super::recorded_calls::{RecordedCalls, done};
use super::replay_error::ReplayError;
use super::replayed::{ReplayDatagrams, ReplayLayer, ReplayListener, ReplayStream};
use super::trace_adapter::TraceAdapter;
use crate::instant::Instant;
use crate::net::{
    Address, ConnectOptions, ControlEvent, DatagramOptions, Destination, Event, Handle, Layer, ListenOptions, Net,
    PeerAddress, PollOutcome, Token, Wake,
};
use crate::service::Service;
use crate::trace::TraceLog;

/// A network that returns the results of a recording, so that a loop does again what it did.
///
/// The program must build the loop as the recorded one was: the same endpoints in the same order, with the same limits
/// and services. An administration endpoint may be left out. At the end of the recording, polls report
/// [`ControlEvent::Stop`]. If the loop calls something else than it did, the next turn fails with a [`ReplayError`].
pub struct Replay {
    calls: RecordedCalls,
}

impl Replay {
    /// Opens a recording.
    ///
    /// If its older turns are in `FILE.old`, that file is read first.
    ///
    /// # Errors
    /// The file cannot be read, is no recording, or has lost its first turns.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReplayError> {
        Ok(Self { calls: RecordedCalls::open(path.as_ref())? })
    }

    /// Replays what a reader returns.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_reader(reader: impl Read + Send + 'static) -> Result<Self, ReplayError> {
        Ok(Self { calls: RecordedCalls::read(reader)? })
    }

    /// Adds each call with its result to a log, for a [`RunObserver`](crate::run_log::RunObserver).
    #[must_use]
    pub fn with_log(self, log: TraceLog) -> Self {
        self.calls.lock().trace = Some(TraceAdapter::new(log));
        self
    }

    /// The text of the program that recorded.
    pub fn text(&self) -> String {
        self.calls.lock().run.header.text.clone()
    }

    /// Whether the recording holds the bytes of connections. If not, they are zeros in the replay.
    pub fn has_content(&self) -> bool {
        self.calls.lock().run.header.has_content
    }

    /// The notes that were recorded since the last call, up to the next turn.
    pub fn take_notes(&self) -> Vec<String> {
        self.calls.lock().take_notes()
    }

    /// The number of turns that have begun.
    pub fn turns(&self) -> u64 {
        self.calls.lock().run.turn
    }

    /// A hash of all turns before that one, as in the recorded run.
    pub fn trace_hash(&self) -> u64 {
        self.calls.lock().trace_hash()
    }

    /// Whether the turn in progress is the last one. Between two turns: whether no turn is left.
    pub fn is_last(&self) -> bool {
        self.calls.lock().is_last()
    }

    /// Where the replay differs from the recording, if it does.
    pub fn failure(&self) -> Option<ReplayError> {
        self.calls.lock().run.failure.clone()
    }

    fn accept_events(&mut self, events: &mut Vec<Event>) -> io::Result<PollOutcome> {
        self.calls.answer(&Call::PollEvents, |_, result| {
            let CallResult::Polled { events: recorded, is_partial } = result else { return None };
            events.extend_from_slice(&recorded);
            Some(if is_partial { PollOutcome::Partial } else { PollOutcome::Complete })
        })
    }
}

/// There is no other thread to wake.
struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

impl Net for Replay {
    type Stream = ReplayStream;
    type Listener = ReplayListener;
    type Datagrams = ReplayDatagrams;
    type Layered<W: Layer<ReplayStream> + 'static> = ReplayLayer<W>;

    fn prepare_layer<W: Layer<ReplayStream> + 'static>(&self, layer: W) -> ReplayLayer<W> {
        ReplayLayer(layer)
    }

    fn now(&self) -> Instant {
        self.calls.lock().read_clock()
    }

    fn poll(&mut self, events: &mut Vec<Event>, _until: Option<Instant>) -> io::Result<PollOutcome> {
        if !self.calls.lock().begin_turn()? {
            events.push(Event::Control(ControlEvent::Stop));
            return Ok(PollOutcome::Complete);
        }
        let outcome = self.accept_events(events);
        match self.failure() {
            Some(failure) => Err(failure.into()),
            None => outcome,
        }
    }

    fn listen(&mut self, _address: &Address, _options: &ListenOptions, token: Token) -> io::Result<ReplayListener> {
        self.calls.answer(&Call::Listen { token }, |_, result| {
            let CallResult::Listening { listener, address } = result else { return None };
            Some(ReplayListener { number: Some(listener), address })
        })
    }

    fn listen_unrecorded(
        &mut self,
        address: &Address,
        _options: &ListenOptions,
        _token: Token,
    ) -> io::Result<ReplayListener> {
        Ok(ReplayListener { number: None, address: address.clone() })
    }

    fn bind(
        &mut self,
        _address: &Address,
        _options: &DatagramOptions,
        token: Token,
    ) -> io::Result<(ReplayDatagrams, SocketAddr)> {
        let (number, bound) = self.calls.answer(&Call::Bind { token }, |_, result| {
            let CallResult::Bound { socket, address } = result else { return None };
            Some((socket, address))
        })?;
        Ok((ReplayDatagrams { number, calls: self.calls.clone() }, bound))
    }

    fn local_address(&self, listener: &ReplayListener) -> Address {
        listener.address.clone()
    }

    fn hand_over(&mut self, listener: &mut ReplayListener) {
        if let Some(listener) = listener.number {
            // A difference is remembered, and the next poll returns it.
            let _ = self.calls.answer(&Call::HandOver { listener }, done);
        }
    }

    fn accept(&mut self, listener: &mut ReplayListener) -> io::Result<(ReplayStream, PeerAddress)> {
        let Some(listener) = listener.number else { return Err(io::ErrorKind::WouldBlock.into()) };
        let (number, peer, local) = self.calls.answer(&Call::Accept { listener }, |_, result| {
            let CallResult::Accepted { stream, peer, local } = result else { return None };
            Some((stream, peer, local))
        })?;
        Ok((ReplayStream::new(number, Some(peer), local, self.calls.clone()), peer))
    }

    fn register(&mut self, stream: &mut ReplayStream, token: Token) -> io::Result<()> {
        self.calls.answer(&Call::Register { stream: stream.number, token }, done)
    }

    fn connect(&mut self, to: &Destination, _options: &ConnectOptions, token: Token) -> io::Result<ReplayStream> {
        let call = Call::Connect { token, to: to.clone() };
        let number = self.calls.answer(&call, |_, result| {
            let CallResult::Started { stream } = result else { return None };
            Some(stream)
        })?;
        Ok(ReplayStream::new(number, Some(to.peer_address()), None, self.calls.clone()))
    }

    fn is_connected(&mut self, stream: &mut ReplayStream) -> io::Result<bool> {
        let call = Call::CheckConnected { stream: stream.number };
        self.calls.answer(&call, |_, result| {
            if result == CallResult::Pending {
                return Some(false);
            }
            let CallResult::Connected { local } = result else { return None };
            stream.local = local;
            Some(true)
        })
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::new(NoWake)
    }

    fn take_requests(&mut self, _handle: &Handle) -> Vec<ControlEvent> {
        let requests = self.calls.answer(&Call::TakeRequests, |_, result| {
            let CallResult::Requests(requests) = result else { return None };
            Some(requests)
        });
        requests.unwrap_or_default()
    }

    /// A message without recorded content must be in the inbox: the service has sent it to itself.
    fn take_message<S: Service>(&mut self, inbox: &Receiver<S::Message>) -> Option<S::Message> {
        let message = self.calls.answer(&Call::TakeMessage, |run, result| {
            if result == CallResult::Done {
                return Some(None);
            }
            let CallResult::Message(content) = result else { return None };
            // With content, the message in the inbox is the same one or none.
            let own = inbox.try_recv().ok();
            let message = content.map_or(own, S::decode_message);
            if message.is_none() {
                run.fail(ReplayError::NoMessage { turn: run.turn });
            }
            Some(message)
        });
        message.ok().flatten()
    }
}
