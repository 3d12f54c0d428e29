//! [`Recording`]: a network that writes every call of the loop and its result to a recording.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{SystemTime, UNIX_EPOCH};

use super::entry::{Call, CallResult, Entry};
use super::entry_log::EntryLog;
use super::format::Header;
use super::layer::RecordingLayer;
use super::output::{FilePair, Output};
use super::streams::{RecordingDatagrams, RecordingListener, RecordingStream};
use super::writer::BlockWriter;
use crate::instant::Instant;
use crate::net::{
    Address, ConnectOptions, ControlEvent, DatagramOptions, Destination, Event, Handle, Layer, ListenOptions, Net,
    PeerAddress, PollOutcome, Reactor, Stream, SystemNet, Token, Wake,
};
use crate::service::Service;

/// What a recording holds, and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingOptions {
    /// Record received bytes, and a checksum of sent bytes. Without them, the replay reads zeros, so only a service
    /// that does the same for any bytes can be replayed.
    pub content: bool,
    /// The most bytes on the disk. When the file reaches half of it, it is renamed to `FILE.old`, and the previous
    /// `FILE.old` is deleted. A turn is never split, so one long turn may exceed the limit. A recording that has lost
    /// its first turns cannot be replayed.
    pub len_max: u64,
    /// A text for the program that replays, such as the settings of this one. At most 1 MiB.
    pub text: String,
}

impl Default for RecordingOptions {
    /// With content, and at most 1 GiB.
    fn default() -> Self {
        Self { content: true, len_max: 1 << 30, text: String::new() }
    }
}

/// A network that records every call of the loop and its result, for [`Replay`](super::Replay).
///
/// The recording is written by a thread of its own. If the disk fails or does not keep up, the recording ends with a
/// line in the log, and the loop goes on. A program that is killed loses the turns of the last moment. Dropping the
/// loop waits until all turns are written.
pub struct Recording<N> {
    net: N,
    log: EntryLog,
}

impl<N: Net> Recording<N> {
    /// Records to a file that only its owner can read.
    ///
    /// With the first turn it gets its name, and an existing file is renamed to `FILE.old`.
    ///
    /// # Errors
    /// The file cannot be created, or the text in the options is too long.
    pub fn create(net: N, path: impl AsRef<Path>, options: RecordingOptions) -> io::Result<Self> {
        let (header, content) = (header_of(&options), options.content);
        let files = FilePair::create(path.as_ref(), header, options.len_max / 2)?;
        Ok(Self { net, log: EntryLog::new(BlockWriter::start(Output::Files(files))?, content) })
    }

    /// Records to a writer, without a bound of its length.
    ///
    /// # Errors
    /// The text in the options is too long, or the first write fails.
    pub fn to_writer(net: N, mut writer: impl Write + Send + 'static, options: &RecordingOptions) -> io::Result<Self> {
        writer.write_all(&header_of(options).to_bytes()?)?;
        let output = Output::Stream(Box::new(writer));
        Ok(Self { net, log: EntryLog::new(BlockWriter::start(output)?, options.content) })
    }

    /// The number of turns that have begun. It stops at the end of a recording that fails.
    pub fn turns(&self) -> u64 {
        self.log.lock().progress().0
    }

    /// A hash of all turns before that one. Their replay has the same one.
    ///
    /// It stops at the end of a recording that fails.
    pub fn trace_hash(&self) -> u64 {
        self.log.lock().progress().1
    }

    /// The network that is recorded.
    pub fn inner(&self) -> &N {
        &self.net
    }

    /// The network that is recorded. Calls on it are not recorded.
    pub fn inner_mut(&mut self) -> &mut N {
        &mut self.net
    }

    /// Appends a call that makes a stream. `of_stream` has the result for the number of the stream.
    fn append_new_stream(
        &self,
        call: Call,
        result: io::Result<N::Stream>,
        of_stream: impl FnOnce(u64, &N::Stream) -> CallResult<'static>,
    ) -> io::Result<RecordingStream<N::Stream>> {
        let mut log = self.log.lock();
        let number = if result.is_ok() { log.next_stream() } else { 0 };
        log.append(&Entry::Call(call, CallResult::of(&result, |stream| of_stream(number, stream))));
        drop(log);
        result.map(|stream| RecordingStream::new(stream, number, Some(self.log.clone())))
    }
}

fn header_of(options: &RecordingOptions) -> Header {
    let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    Header { run, first_turn: 0, has_content: options.content, text: options.text.clone() }
}

impl<N: Net + 'static> Net for Recording<N> {
    type Stream = RecordingStream<N::Stream>;
    type Listener = RecordingListener<N::Listener>;
    type Datagrams = RecordingDatagrams<N::Datagrams>;
    type Layered<W: Layer<Self::Stream> + 'static> = RecordingLayer<W>;

    fn prepare_layer<W: Layer<Self::Stream> + 'static>(&self, layer: W) -> RecordingLayer<W> {
        RecordingLayer(layer)
    }

    fn now(&self) -> Instant {
        let now = self.net.now();
        self.log.append_time(now);
        now
    }

    fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> io::Result<PollOutcome> {
        self.log.lock().end_turn();
        let first = events.len();
        let result = self.net.poll(events, until);
        let polled = CallResult::of(&result, |outcome| CallResult::Polled {
            events: events[first..].into(),
            is_partial: *outcome == PollOutcome::Partial,
        });
        self.log.append(Call::PollEvents, polled);
        result
    }

    fn listen(&mut self, address: &Address, options: &ListenOptions, token: Token) -> io::Result<Self::Listener> {
        let result = self.net.listen(address, options, token);
        let mut log = self.log.lock();
        let number = if result.is_ok() { log.next_listener() } else { 0 };
        let listening = CallResult::of(&result, |listener| {
            let address = self.net.local_address(listener);
            CallResult::Listening { listener: number, address }
        });
        log.append(&Entry::Call(Call::Listen { token }, listening));
        Ok(RecordingListener { inner: result?, number: Some(number) })
    }

    fn listen_unrecorded(
        &mut self,
        address: &Address,
        options: &ListenOptions,
        token: Token,
    ) -> io::Result<Self::Listener> {
        let inner = self.net.listen_unrecorded(address, options, token)?;
        Ok(RecordingListener { inner, number: None })
    }

    fn bind(
        &mut self,
        address: &Address,
        options: &DatagramOptions,
        token: Token,
    ) -> io::Result<(Self::Datagrams, SocketAddr)> {
        let result = self.net.bind(address, options, token);
        let mut log = self.log.lock();
        let number = if result.is_ok() { log.next_socket() } else { 0 };
        let bound = CallResult::of(&result, |(_, address)| CallResult::Bound { socket: number, address: *address });
        log.append(&Entry::Call(Call::Bind { token }, bound));
        drop(log);
        let (inner, bound) = result?;
        Ok((RecordingDatagrams { inner, number, log: self.log.clone() }, bound))
    }

    fn local_address(&self, listener: &Self::Listener) -> Address {
        self.net.local_address(&listener.inner)
    }

    fn hand_over(&mut self, listener: &mut Self::Listener) {
        self.net.hand_over(&mut listener.inner);
        if let Some(listener) = listener.number {
            self.log.append(Call::HandOver { listener }, CallResult::Done);
        }
    }

    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Stream, PeerAddress)> {
        let result = self.net.accept(&mut listener.inner);
        let Some(listener) = listener.number else {
            return result.map(|(stream, peer)| (RecordingStream::new(stream, 0, None), peer));
        };
        let (result, peer) = match result {
            Ok((stream, peer)) => (Ok(stream), peer),
            Err(error) => (Err(error), PeerAddress::Unix),
        };
        let accepted = |stream, accepted: &N::Stream| {
            let local = accepted.local_address();
            CallResult::Accepted { stream, peer, local }
        };
        self.append_new_stream(Call::Accept { listener }, result, accepted).map(|stream| (stream, peer))
    }

    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()> {
        let result = self.net.register(&mut stream.inner, token);
        if stream.is_recorded() {
            self.log.append(
                Call::Register { stream: stream.number, token },
                CallResult::of(&result, |()| CallResult::Done),
            );
        }
        result
    }

    fn connect(&mut self, to: &Destination, options: &ConnectOptions, token: Token) -> io::Result<Self::Stream> {
        let result = self.net.connect(to, options, token);
        let call = Call::Connect { token, to: to.clone() };
        self.append_new_stream(call, result, |stream, _| CallResult::Started { stream })
    }

    fn is_connected(&mut self, stream: &mut Self::Stream) -> io::Result<bool> {
        let result = self.net.is_connected(&mut stream.inner);
        let checked = CallResult::of(&result, |is_connected| {
            if *is_connected {
                CallResult::Connected { local: stream.inner.local_address() }
            } else {
                CallResult::Pending
            }
        });
        self.log.append(Call::CheckConnected { stream: stream.number }, checked);
        result
    }

    fn wake(&self) -> Arc<dyn Wake> {
        self.net.wake()
    }

    fn take_requests(&mut self, handle: &Handle) -> Vec<ControlEvent> {
        let requests = self.net.take_requests(handle);
        self.log.append(Call::TakeRequests, CallResult::Requests(requests.clone()));
        requests
    }

    fn take_message<S: Service>(&mut self, inbox: &Receiver<S::Message>) -> Option<S::Message> {
        let message = self.net.take_message::<S>(inbox);
        let content = message.as_ref().and_then(S::encode_message);
        let result = if message.is_some() { CallResult::Message(content.as_deref()) } else { CallResult::Done };
        self.log.append(Call::TakeMessage, result);
        message
    }

    /// [`Replay::take_notes`](super::Replay::take_notes) returns the text after the same turn.
    fn note(&self, text: &str) {
        self.log.lock().append(&Entry::Note(text));
    }
}

impl<N: SystemNet + 'static> SystemNet for Recording<N> {
    fn reactor(&self) -> &Reactor {
        self.net.reactor()
    }

    fn reactor_mut(&mut self) -> &mut Reactor {
        self.net.reactor_mut()
    }

    fn remove_path_at_end(&mut self, listener: &mut Self::Listener) {
        self.net.remove_path_at_end(&mut listener.inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::World;

    #[test]
    fn a_listener_or_socket_that_fails_has_no_number() {
        let options = RecordingOptions::default();
        let mut net = Recording::to_writer(World::new(1).net(), io::sink(), &options).unwrap();
        let mut listen = |address: &str| {
            let address = address.parse().unwrap();
            net.listen(&address, &ListenOptions::default(), Token(1))
        };
        let first = listen("10.0.0.1:1").unwrap();
        assert!(listen("10.0.0.1:1").is_err());
        let second = listen("10.0.0.1:2").unwrap();
        assert_eq!([first.number, second.number], [Some(0), Some(1)]);

        let mut bind = |address: &str| {
            let address = address.parse().unwrap();
            net.bind(&address, &DatagramOptions::default(), Token(2))
        };
        let (first, _) = bind("udp://10.0.0.1:1").unwrap();
        assert!(bind("udp://10.0.0.1:1").is_err());
        let (second, _) = bind("udp://10.0.0.1:2").unwrap();
        assert_eq!([first.number, second.number], [0, 1]);
    }
}
