//! `TestPeer`: a peer of a run, the bytes that it sends, and a check of the bytes that it receives.
//!
//! Received bytes are compared as they arrive with a pattern that is unique to the peer and the
//! position in its stream.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use crate::codec::{Codec, Decoded, Framing, FramingState};
use crate::connection::Limits;
use crate::net::Address;
use crate::sim::{Behavior, PeerEnding, Rng, SimPeer, World, pattern};

/// The source port of the first peer. Each later peer has the next one.
pub(super) const PORT_FIRST: u16 = 1024;
/// The most bytes that one peer sends.
const SENT_LEN_MAX: usize = 64 * 1024;
/// The most bytes of a bulk sender. Few peers are bulk senders.
const BULK_LEN_MAX: usize = 1 << 20;
/// About how many actions a slow peer needs for everything it sends.
const ACTIONS_MAX: usize = 256;

/// What the service of an endpoint sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceKind {
    /// Each frame back to its sender, after this prefix.
    Echo { prefix: &'static str },
    /// Each frame back to its sender, unless the service misbehaves.
    Misbehaving,
    /// Each frame to all other peers.
    Chat,
    /// The endless chargen pattern.
    Chargen,
    /// No bytes at all.
    Discard,
    /// What the scenario of a test subject says.
    Scenario,
}

/// An endpoint as its peers see it.
#[derive(Clone, Debug)]
pub(super) struct SimEndpoint {
    pub(super) address: Address,
    pub(super) service: ServiceKind,
    pub(super) framing: Framing,
    pub(super) limits: Limits,
}

impl SimEndpoint {
    /// Its service and framing, for the header of a story.
    pub(super) fn service_in_words(&self) -> String {
        let service = match self.service {
            ServiceKind::Echo { prefix: "" } => "echo",
            ServiceKind::Echo { .. } => "echo with a prefix",
            ServiceKind::Misbehaving => "a service that misbehaves",
            ServiceKind::Chat => "chat",
            ServiceKind::Chargen => "chargen",
            ServiceKind::Discard => "discard",
            ServiceKind::Scenario => "the service under test",
        };
        format!("{service}, framing {}", self.framing)
    }
}

/// What the bytes that a peer sends end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastFrame {
    Whole,
    Partial,
    TooLong,
    /// The line that asks the server to close.
    Exit,
}

/// What a peer sends, what it receives if nothing fails, and what its bytes end with.
#[derive(Clone, Debug)]
pub(super) struct PeerPlan {
    pub(super) sent: Vec<u8>,
    pub(super) expected: Vec<u8>,
    pub(super) last: LastFrame,
}

/// A peer of a run that checks its received bytes.
pub(super) struct TestPeer {
    pub(super) peer: SimPeer,
    pub(super) endpoint: SimEndpoint,
    pub(super) port: u16,
    pub(super) behavior: Behavior,
    pub(super) last: LastFrame,
    /// The number of bytes that it is given to send.
    sent_len: u64,
    /// Everything that it may receive, if that depends on its own frames only.
    expected: Vec<u8>,
    received_len: usize,
    /// In a chat, the received part of an unfinished line.
    line: Vec<u8>,
    /// In a chat, the number of the last line from each port.
    line_numbers: BTreeMap<u16, u64>,
}

impl fmt::Debug for TestPeer {
    /// Leaves out the bytes that it sends and receives.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestPeer")
            .field("number", &self.peer.number())
            .field("endpoint", &self.endpoint)
            .field("behavior", &self.behavior)
            .field("last", &self.last)
            .field("sent", &(self.peer.sent_len(), self.sent_len))
            .field("received", &(self.received_len, self.expected.len()))
            .finish_non_exhaustive()
    }
}

impl TestPeer {
    /// Connects a new peer to `endpoint`. Peers have unique ports and share a few addresses.
    ///
    /// `plan` gets the number of bytes that the peer should send.
    pub(super) fn connect(
        world: &World,
        endpoint: &SimEndpoint,
        port: u16,
        rng: &mut Rng,
        plan: impl FnOnce(usize, &mut Rng) -> PeerPlan,
    ) -> Self {
        let mut behavior = Behavior::drawn_from(rng, 0);
        if rng.chance(0.3) {
            // The fastest behavior, which gets its whole answer if it gets any.
            let ending = rng.pick(&[PeerEnding::FollowsServer, PeerEnding::Finishes]);
            behavior = Behavior { ending, ..Behavior::default() };
        }
        if endpoint.service == ServiceKind::Chargen {
            // The output is endless.
            behavior.read_len_max = behavior.read_len_max.min(512);
        }
        let len = draw_sent_len(endpoint, &behavior, rng);
        let PeerPlan { sent, expected, last } = plan(len, rng);
        let position = rng.below(sent.len() + 1) as u64;
        behavior.ending = match behavior.ending {
            PeerEnding::FinishesAt(_) => PeerEnding::FinishesAt(position),
            PeerEnding::ResetsAt(_) => PeerEnding::ResetsAt(position),
            PeerEnding::ClosesAt(_) => PeerEnding::ClosesAt(position),
            ending @ (PeerEnding::FollowsServer | PeerEnding::Finishes | PeerEnding::Stays) => ending,
        };
        let ip = Ipv4Addr::new(10, 0, 0, rng.up_to(4) as u8);
        let peer = world.connect_as(&endpoint.address, SocketAddr::from((ip, port)), behavior.clone());
        peer.send(&sent);
        Self {
            peer,
            endpoint: endpoint.clone(),
            port,
            behavior,
            last,
            sent_len: sent.len() as u64,
            expected,
            received_len: 0,
            line: Vec::new(),
            line_numbers: BTreeMap::new(),
        }
    }

    /// Checks the bytes received since the last call.
    pub(super) fn check_received(&mut self) {
        let received = self.peer.received();
        if received.is_empty() {
            return;
        }
        let start = self.received_len;
        self.received_len += received.len();
        match self.endpoint.service {
            ServiceKind::Echo { .. } | ServiceKind::Misbehaving | ServiceKind::Scenario => {
                let expected = self.expected.get(start..).unwrap_or_default();
                let expected = &expected[..expected.len().min(received.len())];
                assert!(
                    expected == received,
                    "peer {} received \"{}\" after its first {start} bytes, expected \"{}\": {self:?}",
                    self.peer.number(),
                    received.escape_ascii(),
                    expected.escape_ascii(),
                );
            }
            ServiceKind::Chargen => {
                let mut bytes = received.iter().enumerate();
                let is_right = bytes.all(|(index, byte)| *byte == chargen_byte(start + index));
                assert!(is_right, "peer {} received bytes at {start} that are not the pattern", self.peer.number());
            }
            ServiceKind::Discard => panic!("received bytes from a service that sends none: {self:?}"),
            ServiceKind::Chat => self.check_chat(&received),
        }
    }

    fn check_chat(&mut self, received: &[u8]) {
        self.line.extend_from_slice(received);
        let mut done = 0;
        while let Ok(Decoded::Frame { frame, consumed }) =
            self.endpoint.framing.decode(&mut Default::default(), &self.line[done..], usize::MAX)
        {
            let text = String::from_utf8(self.line[done..][frame].to_vec()).expect("chat is text");
            let mut fields = text.split(':');
            let port: u16 = fields.next().and_then(|field| field.parse().ok()).expect("a port");
            let number: u64 = fields.next().and_then(|field| field.parse().ok()).expect("a number");
            assert_eq!(text, chat_line(port, number), "a line that no peer sent");
            assert_ne!(port, self.port, "a peer received its own line");
            if let Some(last) = self.line_numbers.insert(port, number) {
                assert_eq!(number, last + 1, "port {} misses lines of port {port}", self.port);
            }
            done += consumed;
        }
        self.line.drain(..done);
    }

    /// Whether it has reset or closed its connection, as its behavior says.
    pub(super) fn has_left(&self) -> bool {
        let leaves = matches!(self.peer.behavior().ending, PeerEnding::ResetsAt(_) | PeerEnding::ClosesAt(_));
        leaves && self.peer.has_stopped_sending()
    }

    /// Whether it received at least the answer to the first `sent` bytes of its own.
    ///
    /// The answer is known for a raw echo only. For others this is true.
    pub(super) fn has_received_answer_to(&self, sent: u64) -> bool {
        let is_echo = self.endpoint.service == ServiceKind::Echo { prefix: "" };
        let is_known = is_echo && matches!(self.endpoint.framing, Framing::Raw(_));
        !is_known || self.received_len as u64 >= sent
    }

    /// Whether all its frames are whole and were all sent.
    pub(super) fn has_sent_all(&self) -> bool {
        self.last == LastFrame::Whole && self.peer.sent_len() == self.sent_len
    }

    /// Whether it received all answers to its own frames.
    pub(super) fn has_received_all(&self) -> bool {
        match self.endpoint.service {
            ServiceKind::Echo { .. } | ServiceKind::Misbehaving | ServiceKind::Scenario => {
                self.received_len == self.expected.len()
            }
            ServiceKind::Chat | ServiceKind::Chargen | ServiceKind::Discard => true,
        }
    }

    /// Makes it fast, and closes it if its service sends forever.
    pub(super) fn speed_up(&self) {
        let read_len_max = if self.behavior.read_len_max > 0 { usize::MAX } else { 0 };
        let ending = self.peer.behavior().ending;
        self.peer.change_behavior(Behavior { read_len_max, ending, ..Behavior::default() });
        if self.endpoint.service == ServiceKind::Chargen {
            self.peer.close();
        }
    }
}

/// Draws how many bytes a peer sends. All orders of magnitude are equally likely.
fn draw_sent_len(endpoint: &SimEndpoint, behavior: &Behavior, rng: &mut Rng) -> usize {
    let slowest = match behavior.read_len_max {
        0 => behavior.write_len_max,
        read_len_max => behavior.write_len_max.min(read_len_max),
    };
    let is_bulk = matches!(endpoint.framing, Framing::Raw(_)) && rng.chance(0.05);
    let len_max = if is_bulk { BULK_LEN_MAX } else { SENT_LEN_MAX };
    let halvings = rng.below(6);
    rng.below((slowest.saturating_mul(ACTIONS_MAX).min(len_max) >> halvings).max(1))
}

/// Draws the plan of a peer of a built-in service. It expects its own frames back.
pub(super) fn draw_plan(endpoint: &SimEndpoint, port: u16, len: usize, rng: &mut Rng) -> PeerPlan {
    if let Framing::Raw(_) = endpoint.framing {
        let bytes = pattern(u64::from(port), 0, len);
        return PeerPlan { sent: bytes.clone(), expected: bytes, last: LastFrame::Whole };
    }
    let (mut sent, mut expected, mut number) = (Vec::new(), Vec::new(), 0);
    while sent.len() < len {
        let frame = draw_frame(endpoint, port, number, rng);
        number += 1;
        sent.extend_from_slice(&encode(&endpoint.framing, &frame));
        let ends_in_lf = sent.ends_with(b"\n");
        if matches!(endpoint.framing, Framing::Lines(_)) && ends_in_lf && rng.chance(0.3) {
            sent.pop();
            sent.extend_from_slice(b"\r\n");
        }
        let prefix = if let ServiceKind::Echo { prefix } = endpoint.service { prefix } else { "" };
        let reply = [prefix.as_bytes(), &frame].concat();
        expected.extend_from_slice(&encode(&endpoint.framing, &reply));
    }
    let last = if rng.chance(0.8) { LastFrame::Whole } else { append_last_frame(endpoint, &mut sent, rng) };
    PeerPlan { sent, expected, last }
}

fn draw_frame(endpoint: &SimEndpoint, port: u16, number: u64, rng: &mut Rng) -> Vec<u8> {
    if endpoint.service == ServiceKind::Chat {
        return chat_line(port, number).into_bytes();
    }
    let len_max = endpoint.limits.frame_len_max;
    let len = match endpoint.framing {
        Framing::Fixed(fixed) => fixed.len(),
        Framing::Length(length) => rng.below(len_max.min(usize::try_from(length.width.max()).unwrap_or(len_max)) + 1),
        Framing::Lines(_) | Framing::Raw(_) => rng.below(len_max + 1),
    };
    // Every fourth peer sends only the shortest frames.
    let len = if port.is_multiple_of(4) && !matches!(endpoint.framing, Framing::Fixed(_)) { len % 3 } else { len };
    let mut frame = pattern(u64::from(port), number << 16, len);
    if let Framing::Lines(_) = endpoint.framing {
        // A line feed would end the line, and the codec removes a CR at its end.
        frame.iter_mut().filter(|byte| b"\r\n".contains(byte)).for_each(|byte| *byte = b'-');
        if frame == b"exit" {
            frame.clear();
        }
    }
    frame
}

/// Appends bytes that are not a whole frame, where the framing allows it.
fn append_last_frame(endpoint: &SimEndpoint, sent: &mut Vec<u8>, rng: &mut Rng) -> LastFrame {
    let too_long = endpoint.limits.frame_len_max + 1 + rng.below(100);
    match (endpoint.framing, rng.below(3)) {
        (Framing::Raw(_), _) => LastFrame::Whole,
        (Framing::Lines(_), 0) => {
            sent.extend_from_slice(b"exit\r\nnever to be read.\n");
            LastFrame::Exit
        }
        (Framing::Lines(_), 1) => {
            sent.extend(vec![b'x'; too_long]);
            LastFrame::TooLong
        }
        (Framing::Length(length), 0 | 1) if length.width.max() >= too_long as u64 => {
            sent.extend_from_slice(&encode(&endpoint.framing, &vec![b'x'; too_long]));
            LastFrame::TooLong
        }
        (Framing::Fixed(fixed), _) if fixed.len() == 1 => LastFrame::Whole,
        (Framing::Length(_), _) => {
            // At least one byte, and not all of the frame.
            let frame = encode(&endpoint.framing, b"abc");
            sent.extend_from_slice(&frame[..rng.up_to(frame.len() - 1)]);
            LastFrame::Partial
        }
        (Framing::Lines(_) | Framing::Fixed(_), _) => {
            sent.push(b'x');
            LastFrame::Partial
        }
    }
}

fn encode(framing: &Framing, frame: &[u8]) -> Vec<u8> {
    let envelope = framing.envelope(&FramingState::default(), &[frame]).expect("a frame of this framing");
    [envelope.head(), frame, envelope.tail()].concat()
}

/// A chat line that is unique to its port and number.
fn chat_line(port: u16, number: u64) -> String {
    let word = u64::from_le_bytes(pattern(u64::from(port), number * 8, 8).try_into().expect("8 bytes"));
    format!("{port}:{number}:{word:x}")
}

/// A byte of the RFC 864 pattern, which has lines of 72 characters with CR LF.
fn chargen_byte(position: usize) -> u8 {
    match (position / 74, position % 74) {
        (_, 72) => b'\r',
        (_, 73) => b'\n',
        (line, column) => b' ' + ((line + column) % 95) as u8,
    }
}
