//! Small worlds, all of them: one peer with a few bytes, whose reads and writes come out in every
//! way that there is, in every order, to a depth of seven calls.
//!
//! Where the simulated world draws, this one leaves nothing out. After the seventh call all goes
//! well.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::codec::{Codec, Lines, Raw};
use crate::instant::Instant;
use crate::net::{
    Address, ConnectOptions, DatagramOptions, Destination, Event, ListenOptions, Net, PeerAddress, PollOutcome,
    Readiness, Stream, Token, Wake,
};
use crate::server::{Server, ServerLimits};
use crate::service::Echo;
use crate::sim::SimDatagrams;

/// How many calls are tried in every way.
const DEPTH: usize = 7;
/// More turns than any of these worlds needs.
const TURNS_MAX: u32 = 40;

/// How a read or a write comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Blocks,
    Interrupted,
    /// The connection breaks.
    Fails,
    /// The peer has ended here, whatever it still wanted to send; to a write it is gone.
    Ends,
    One,
    Two,
    All,
}

impl Way {
    const ALL: [Self; 7] = [Self::Blocks, Self::Interrupted, Self::Fails, Self::Ends, Self::One, Self::Two, Self::All];

    /// How many of `len` bytes that lets through.
    fn of(self, len: usize) -> usize {
        match self {
            Self::One => len.min(1),
            Self::Two => len.min(2),
            Self::Blocks | Self::Interrupted | Self::Fails | Self::Ends | Self::All => len,
        }
    }
}

/// One path through one world.
#[derive(Debug, Default)]
struct Path {
    /// Which way each call takes, as a place in [`Way::ALL`].
    ways: Vec<usize>,
    /// How many calls there were.
    calls: usize,
    /// What the peer has sent and nobody has read; its end stands behind it.
    input: Vec<u8>,
    /// What was read.
    consumed: Vec<u8>,
    /// What the peer hears.
    heard: Vec<u8>,
    /// Its end is told with the first fact, and no other fact follows a short read.
    is_end_told: bool,
    is_broken: bool,
    is_error_told: bool,
    is_waiting: bool,
    /// Something to tell.
    edge: bool,
    token: Option<Token>,
    is_finished: bool,
    is_reset: bool,
    is_quiet: bool,
}

impl Path {
    /// The next call comes out like that.
    fn way(&mut self) -> Way {
        if self.calls == DEPTH {
            return Way::All;
        }
        if self.calls == self.ways.len() {
            self.ways.push(0);
        }
        self.calls += 1;
        Way::ALL[self.ways[self.calls - 1]]
    }

    /// An error that is told once.
    fn fail(&mut self, kind: ErrorKind) -> io::Error {
        (self.is_broken, self.is_error_told) = (true, true);
        kind.into()
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_broken {
            return Ok(0);
        }
        let way = self.way();
        match way {
            Way::Blocks => {
                self.edge = true;
                return Err(ErrorKind::WouldBlock.into());
            }
            Way::Interrupted => return Err(ErrorKind::Interrupted.into()),
            Way::Fails => return Err(self.fail(ErrorKind::ConnectionReset)),
            Way::Ends => self.input.clear(),
            Way::One | Way::Two | Way::All => {}
        }
        let count = way.of(self.input.len()).min(buf.len());
        buf[..count].copy_from_slice(&self.input[..count]);
        self.consumed.extend(self.input.drain(..count));
        // What comes behind a short read raises a fact of its own, unless all was told before.
        self.edge |= count > 0 && !self.is_end_told;
        Ok(count)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_broken || self.is_finished {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let way = self.way();
        match way {
            Way::Blocks => {
                self.edge = true;
                return Err(ErrorKind::WouldBlock.into());
            }
            Way::Interrupted => return Err(ErrorKind::Interrupted.into()),
            Way::Fails => return Err(self.fail(ErrorKind::ConnectionReset)),
            Way::Ends => return Err(self.fail(ErrorKind::BrokenPipe)),
            Way::One | Way::Two | Way::All => {}
        }
        let count = way.of(bytes.len());
        self.heard.extend(&bytes[..count]);
        self.edge |= count < bytes.len();
        Ok(count)
    }
}

/// The border of one path after the other.
#[derive(Clone, Default)]
struct SmallNet(Arc<Mutex<Path>>);

impl SmallNet {
    fn path(&self) -> MutexGuard<'_, Path> {
        self.0.lock().unwrap()
    }
}

/// Nobody sleeps here.
struct Awake;

impl Wake for Awake {
    fn wake(&self) {}
}

impl Net for SmallNet {
    type Stream = SmallNet;
    type Listener = Token;
    type Datagrams = SimDatagrams;

    fn now(&self) -> Instant {
        Instant::from_nanos(1)
    }

    fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> io::Result<PollOutcome> {
        let mut path = self.path();
        if path.is_waiting && path.token.is_none() {
            events.push(ready(Token(0), false));
        }
        if let Some(token) = path.token.filter(|_| path.edge) {
            events.push(ready(token, path.is_end_told || path.input.is_empty() || path.is_broken));
            path.edge = false;
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

    fn accept(&mut self, _: &mut Token) -> io::Result<(SmallNet, PeerAddress)> {
        let mut path = self.path();
        if !std::mem::take(&mut path.is_waiting) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok((self.clone(), PeerAddress::Unix))
    }

    fn register(&mut self, _: &mut SmallNet, token: Token) -> io::Result<()> {
        let mut path = self.path();
        (path.token, path.edge) = (Some(token), true);
        Ok(())
    }

    fn connect(&mut self, _: &Destination, _: &ConnectOptions, _: Token) -> io::Result<SmallNet> {
        Err(ErrorKind::Unsupported.into())
    }

    fn is_connected(&mut self, _: &mut SmallNet) -> io::Result<bool> {
        Ok(true)
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::new(Awake)
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

/// Walks every path of that message; `answer` says what is heard of what was read. How many there are.
fn walk(codec: impl Codec + 'static, message: &[u8], is_end_told: bool, answer: fn(&[u8]) -> Vec<u8>) -> u64 {
    let net = SmallNet::default();
    let mut server = Server::new(net.clone(), ServerLimits::default());
    server.listen(super::address("127.0.0.1:7007"), codec, Echo::new()).unwrap();
    let (mut ways, mut paths) = (Vec::new(), 0);
    loop {
        *net.path() = Path { ways, input: message.to_vec(), is_end_told, is_waiting: true, ..Path::default() };
        for turn in 0.. {
            server.turn().unwrap();
            if net.path().is_quiet {
                break;
            }
            assert!(turn < TURNS_MAX, "no rest: {:?}", net.path());
        }
        let path = std::mem::take(&mut *net.path());
        paths += 1;
        let whole = answer(&path.consumed);
        assert!(whole.starts_with(&path.heard), "heard what it did not say: {path:?}");
        assert!(path.is_broken || path.heard == whole, "heard only part of its answer: {path:?}");
        assert!(path.is_broken || !path.is_reset, "reset though all went well: {path:?}");
        let totals = server.totals();
        assert_eq!((totals.open, totals.peers.opened), (0, paths), "it is still there: {path:?}");
        assert!(totals.reconciles(), "{path:?}: {totals:?}");

        // The next path: the last call that can come out in yet another way does.
        ways = path.ways;
        while ways.pop_if(|way| *way + 1 == Way::ALL.len()).is_some() {}
        match ways.last_mut() {
            Some(way) => *way += 1,
            None => return paths,
        }
    }
}

/// Of lines only the whole ones are answered.
fn whole_lines(consumed: &[u8]) -> Vec<u8> {
    let end = consumed.iter().rposition(|&byte| byte == b'\n').map_or(0, |place| place + 1);
    consumed[..end].to_vec()
}

#[test]
fn every_path_of_every_small_world_ends_well() {
    let mut paths = 0;
    for is_end_told in [false, true] {
        for message in [&b""[..], b"a", b"ab", b"abc", b"abcd"] {
            paths += walk(Raw, message, is_end_told, <[u8]>::to_vec);
        }
        for message in [&b"\n"[..], b"a\n", b"a\nb\n", b"a\nb", b"\n\n\n\n"] {
            paths += walk(Lines::new(), message, is_end_told, whole_lines);
        }
    }
    println!("{paths} paths");
    assert!(paths > 1_000_000, "{paths} paths only: they are not all walked");
}
