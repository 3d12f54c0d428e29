//! Exhaustive tests: one peer with a few bytes, and every sequence of results of its first seven calls.
//!
//! The simulated world draws results at random. These tests try all of them. Later calls succeed.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::admission::ServerLimits;
use crate::codec::{ByteCodec, Lines, Raw};
use crate::event_loop::EventLoop;
use crate::instant::Instant;
use crate::net::{
    Address, ConnectOptions, DatagramOptions, Destination, Event, Layer, ListenOptions, Net, PeerAddress, PollOutcome,
    Readiness, Stream, Token, Wake,
};
use crate::service::Echo;
use crate::sim::SimDatagrams;

/// The number of calls for which every result is tried.
const DEPTH: usize = 7;
/// More turns than any path needs.
const TURNS_MAX: u32 = 40;

/// The result of a read or a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallResult {
    Blocks,
    Interrupted,
    /// The connection fails.
    Fails,
    /// A read finds the end of the input, and the rest of it is dropped. A write fails.
    Ends,
    One,
    Two,
    All,
}

impl CallResult {
    const ALL: [Self; 7] = [Self::Blocks, Self::Interrupted, Self::Fails, Self::Ends, Self::One, Self::Two, Self::All];

    /// The number of bytes moved, of `len`.
    fn len(self, len: usize) -> usize {
        match self {
            Self::One => len.min(1),
            Self::Two => len.min(2),
            Self::Blocks | Self::Interrupted | Self::Fails | Self::Ends | Self::All => len,
        }
    }
}

/// One sequence of results, and the state of the peer.
#[derive(Debug, Default)]
struct Path {
    /// The result of each call, as an index into [`CallResult::ALL`].
    results: Vec<usize>,
    /// The number of calls so far.
    calls: usize,
    /// Bytes that the peer has sent and that are not read. The end of its direction follows them.
    input: Vec<u8>,
    /// Bytes that were read.
    consumed: Vec<u8>,
    /// Bytes that the peer has received.
    received: Vec<u8>,
    /// The first event reports the end of the input, and no event follows a short read.
    is_end_reported: bool,
    is_broken: bool,
    is_in_backlog: bool,
    /// An event is due.
    has_event: bool,
    token: Option<Token>,
    is_finished: bool,
    is_reset: bool,
    is_quiet: bool,
}

impl Path {
    /// The result of the next call.
    fn next_result(&mut self) -> CallResult {
        if self.calls == DEPTH {
            return CallResult::All;
        }
        if self.calls == self.results.len() {
            self.results.push(0);
        }
        self.calls += 1;
        CallResult::ALL[self.results[self.calls - 1]]
    }

    fn fail(&mut self, kind: ErrorKind) -> io::Error {
        self.is_broken = true;
        kind.into()
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_broken {
            return Ok(0);
        }
        let result = self.next_result();
        match result {
            CallResult::Blocks => {
                self.has_event = true;
                return Err(ErrorKind::WouldBlock.into());
            }
            CallResult::Interrupted => return Err(ErrorKind::Interrupted.into()),
            CallResult::Fails => return Err(self.fail(ErrorKind::ConnectionReset)),
            CallResult::Ends => self.input.clear(),
            CallResult::One | CallResult::Two | CallResult::All => {}
        }
        let count = result.len(self.input.len()).min(buf.len());
        buf[..count].copy_from_slice(&self.input[..count]);
        self.consumed.extend(self.input.drain(..count));
        // Input after a short read causes another event, unless the first event reported the end.
        self.has_event |= count > 0 && !self.is_end_reported;
        Ok(count)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_broken || self.is_finished {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let result = self.next_result();
        match result {
            CallResult::Blocks => {
                self.has_event = true;
                return Err(ErrorKind::WouldBlock.into());
            }
            CallResult::Interrupted => return Err(ErrorKind::Interrupted.into()),
            CallResult::Fails => return Err(self.fail(ErrorKind::ConnectionReset)),
            CallResult::Ends => return Err(self.fail(ErrorKind::BrokenPipe)),
            CallResult::One | CallResult::Two | CallResult::All => {}
        }
        let count = result.len(bytes.len());
        self.received.extend(&bytes[..count]);
        self.has_event |= count < bytes.len();
        Ok(count)
    }
}

/// A `Net` with one peer, which follows a path.
#[derive(Clone, Default)]
struct SmallNet(Arc<Mutex<Path>>);

impl SmallNet {
    fn path(&self) -> MutexGuard<'_, Path> {
        self.0.lock().unwrap()
    }
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

impl Net for SmallNet {
    type Stream = SmallNet;
    type Listener = Token;
    type Datagrams = SimDatagrams;
    type Layered<W: Layer<SmallNet> + 'static> = W;

    fn prepare_layer<W: Layer<SmallNet> + 'static>(&self, layer: W) -> W {
        layer
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(1)
    }

    fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> io::Result<PollOutcome> {
        let mut path = self.path();
        if path.is_in_backlog && path.token.is_none() {
            events.push(ready(Token(0), false));
        }
        if let Some(token) = path.token.filter(|_| path.has_event) {
            events.push(ready(token, path.is_end_reported || path.input.is_empty() || path.is_broken));
            path.has_event = false;
        }
        path.is_quiet = events.is_empty() && until.is_none_or(|at| at > self.now());
        Ok(PollOutcome::Complete)
    }

    fn listen(&mut self, _: &Address, _: &ListenOptions, token: Token) -> io::Result<Token> {
        Ok(token)
    }

    fn bind(&mut self, _: &Address, _: &DatagramOptions, _: Token) -> io::Result<(SimDatagrams, SocketAddr)> {
        Err(ErrorKind::Unsupported.into())
    }

    fn local_address(&self, _: &Token) -> Address {
        super::address("127.0.0.1:7007")
    }

    fn hand_over(&mut self, _: &mut Token) {}

    fn accept(&mut self, _: &mut Token) -> io::Result<(SmallNet, PeerAddress)> {
        let mut path = self.path();
        if !std::mem::take(&mut path.is_in_backlog) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok((self.clone(), PeerAddress::Unix))
    }

    fn register(&mut self, _: &mut SmallNet, token: Token) -> io::Result<()> {
        let mut path = self.path();
        (path.token, path.has_event) = (Some(token), true);
        Ok(())
    }

    fn connect(&mut self, _: &Destination, _: &ConnectOptions, _: Token) -> io::Result<SmallNet> {
        Err(ErrorKind::Unsupported.into())
    }

    fn is_connected(&mut self, _: &mut SmallNet) -> io::Result<bool> {
        Ok(true)
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::new(NoWake)
    }
}

fn ready(token: Token, read_closed: bool) -> Event {
    Event::Ready(Readiness { token, readable: true, writable: true, read_closed })
}

impl Stream for SmallNet {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.path().read(buf)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.path().write(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.path().write(slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.path().is_finished = true;
        Ok(())
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.path().is_reset = true;
        Ok(())
    }
}

/// Tries every path for this message and returns their number. `answer` is the expected reply to the bytes
/// that were read.
fn try_all_paths(
    codec: impl ByteCodec + 'static,
    message: &[u8],
    is_end_reported: bool,
    answer: fn(&[u8]) -> Vec<u8>,
) -> u64 {
    let net = SmallNet::default();
    let mut server = EventLoop::new(net.clone(), ServerLimits::default());
    server.listen(super::address("127.0.0.1:7007"), codec, Echo::new()).unwrap();
    let (mut results, mut paths) = (Vec::new(), 0);
    loop {
        *net.path() =
            Path { results, input: message.to_vec(), is_end_reported, is_in_backlog: true, ..Path::default() };
        for turn in 0.. {
            server.turn(None).unwrap();
            if net.path().is_quiet {
                break;
            }
            assert!(turn < TURNS_MAX, "it does not become idle: {:?}", net.path());
        }
        let path = std::mem::take(&mut *net.path());
        paths += 1;
        let expected = answer(&path.consumed);
        assert!(expected.starts_with(&path.received), "received wrong bytes: {path:?}");
        assert!(path.is_broken || path.received == expected, "received only part of the reply: {path:?}");
        assert!(path.is_broken || !path.is_reset, "reset without an error: {path:?}");
        let totals = server.totals();
        assert_eq!((totals.open, totals.peers.opened), (0, paths), "the peer is still open: {path:?}");
        assert!(totals.reconciles(), "{path:?}: {totals:?}");

        // The next path: the last call that has further results returns the next one.
        results = path.results;
        while results.pop_if(|result| *result + 1 == CallResult::ALL.len()).is_some() {}
        match results.last_mut() {
            Some(result) => *result += 1,
            None => return paths,
        }
    }
}

/// Only whole lines are answered.
fn whole_lines(consumed: &[u8]) -> Vec<u8> {
    let end = consumed.iter().rposition(|&byte| byte == b'\n').map_or(0, |index| index + 1);
    consumed[..end].to_vec()
}

#[test]
fn every_sequence_of_results_ends_with_a_whole_reply_or_an_error() {
    let mut paths = 0;
    for is_end_reported in [false, true] {
        for message in [&b""[..], b"a", b"ab", b"abc", b"abcd"] {
            paths += try_all_paths(Raw, message, is_end_reported, <[u8]>::to_vec);
        }
        for message in [&b"\n"[..], b"a\n", b"a\nb\n", b"a\nb", b"\n\n\n\n"] {
            paths += try_all_paths(Lines::new(), message, is_end_reported, whole_lines);
        }
    }
    assert!(paths > 1_000_000, "only {paths} paths were tried");
}
