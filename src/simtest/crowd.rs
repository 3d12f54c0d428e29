//! The peers of a simulated run: what each sends, and what it may hear.
//!
//! Whatever a peer hears is checked byte by byte as it comes, against a pattern that belongs to
//! that peer and place alone.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use super::scene::Cast;
use crate::codec::{Codec, Decoded, Encode, Framing};
use crate::connection::Limits;
use crate::net::Address;
use crate::sim::{Behavior, Ending, Peer, Rng, World, pattern};

/// What the service of an endpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Talk {
    /// Each frame back to its sender, with this before it.
    Echo { prefix: &'static str },
    /// The same, unless it is cut off.
    Mischief,
    /// Each frame to all but its sender.
    Chat,
    /// The endless pattern.
    Chargen,
    /// Nothing.
    Discard,
    /// What a script says.
    PollOutcome,
}

/// An endpoint as its peers see it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) talk: Talk,
    pub(super) framing: Framing,
    pub(super) limits: Limits,
}

/// How the bytes of a peer end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    WholeFrame,
    PartOfFrame,
    TooLongFrame,
    Goodbye,
}

/// What a peer sends, what it hears if nothing comes between, and how it ends.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) sent: Vec<u8>,
    pub(super) heard: Vec<u8>,
    pub(super) last: Last,
}

/// One peer, with what it sends and what it may hear.
pub(super) struct Guest {
    pub(super) peer: Peer,
    pub(super) place: Place,
    pub(super) port: u16,
    behavior: Behavior,
    pub(super) last: Last,
    /// All it is given to send.
    sent_len: u64,
    /// All it may hear, when that is its own echo.
    answer: Vec<u8>,
    heard_len: usize,
    /// In a chat: what it heard of a line that has not ended.
    line: Vec<u8>,
    /// In a chat: the number of the last line from each port.
    numbers: BTreeMap<u16, u64>,
}

/// The most that one peer sends.
const SENT_LEN_MAX: usize = 64 * 1024;
/// The most that the few send that send much.
const HOSE_LEN_MAX: usize = 1 << 20;
/// About as many acts as a peer that drips needs for all it sends.
const ACTS_MAX: usize = 256;

impl fmt::Debug for Guest {
    /// Without what it says and hears, which is long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("number", &self.peer.number())
            .field("place", &self.place)
            .field("habits", &self.behavior)
            .field("last", &self.last)
            .field("sent", &(self.peer.sent_len(), self.sent_len))
            .field("heard", &(self.heard_len, self.answer.len()))
            .finish_non_exhaustive()
    }
}

impl Guest {
    /// Connects a new peer to `place`. Ports tell peers apart; addresses are few.
    pub(super) fn connect(world: &World, place: &Place, port: u16, cast: &dyn Cast, rng: &mut Rng) -> Self {
        let mut behavior = Behavior::drawn_from(rng, 0);
        if rng.chance(0.3) {
            // The fastest there is, which leaves out no chance to be robbed.
            behavior = Behavior { ending: rng.pick(&[Ending::FollowsServer, Ending::Finishes]), ..Behavior::default() };
        }
        if place.talk == Talk::Chargen {
            // There is no end to what it could hear.
            behavior.read_len_max = behavior.read_len_max.min(512);
        }
        let slowest = match behavior.read_len_max {
            0 => behavior.write_len_max,
            read_len_max => behavior.write_len_max.min(read_len_max),
        };
        let is_hose = matches!(place.framing, Framing::Raw(_)) && rng.chance(0.05);
        let longest = if is_hose { HOSE_LEN_MAX } else { SENT_LEN_MAX };
        // Short and long are equally likely.
        let halvings = rng.below(6);
        let len = rng.below((slowest.saturating_mul(ACTS_MAX).min(longest) >> halvings).max(1));
        let Part { sent, heard: answer, last } = cast.part(place, port, len, rng);
        let at = rng.below(sent.len() + 1) as u64;
        behavior.ending = match behavior.ending {
            Ending::FinishesAt(_) => Ending::FinishesAt(at),
            Ending::ResetsAt(_) => Ending::ResetsAt(at),
            Ending::ClosesAt(_) => Ending::ClosesAt(at),
            whole @ (Ending::FollowsServer | Ending::Finishes | Ending::Stays) => whole,
        };
        let ip = Ipv4Addr::new(10, 0, 0, rng.up_to(4) as u8);
        let peer = world.connect_as(&place.address, SocketAddr::from((ip, port)), behavior.clone());
        peer.send(&sent);
        Self {
            peer,
            place: place.clone(),
            port,
            behavior,
            last,
            sent_len: sent.len() as u64,
            answer,
            heard_len: 0,
            line: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// Checks what it heard since the last time.
    pub(super) fn listen(&mut self) {
        let news = self.peer.received();
        if news.is_empty() {
            return;
        }
        let from = self.heard_len;
        self.heard_len += news.len();
        match self.place.talk {
            Talk::Echo { .. } | Talk::Mischief | Talk::PollOutcome => {
                let expected = self.answer.get(from..).unwrap_or_default();
                let expected = &expected[..expected.len().min(news.len())];
                let (heard, number) = (news.escape_ascii(), self.peer.number());
                assert!(
                    expected == news,
                    "peer {number} heard \"{heard}\" after its first {from} bytes, where it was to hear \"{}\": {self:?}",
                    expected.escape_ascii(),
                );
            }
            Talk::Chargen => {
                let is_right = news.iter().enumerate().all(|(place, byte)| *byte == chargen(from + place));
                assert!(is_right, "peer {} heard at {from} what is not the pattern", self.port);
            }
            Talk::Discard => panic!("{self:?} heard something where nothing is said"),
            Talk::Chat => self.listen_to_chat(&news),
        }
    }

    fn listen_to_chat(&mut self, news: &[u8]) {
        self.line.extend_from_slice(news);
        let mut done = 0;
        while let Ok(Decoded::Frame { frame, consumed }) =
            self.place.framing.decode(&mut Default::default(), &self.line[done..], usize::MAX)
        {
            let text = String::from_utf8(self.line[done..][frame].to_vec()).expect("chat is text");
            let mut fields = text.split(':');
            let port: u16 = fields.next().and_then(|field| field.parse().ok()).expect("a port");
            let number: u64 = fields.next().and_then(|field| field.parse().ok()).expect("a number");
            assert_eq!(text, chat_line(port, number), "a line that nobody said");
            assert_ne!(port, self.port, "one's own line came back");
            if let Some(last) = self.numbers.insert(port, number) {
                assert_eq!(number, last + 1, "{} misses lines of {port}", self.port);
            }
            done += consumed;
        }
        self.line.drain(..done);
    }

    /// Whether it hears and says everything unless somebody else prevents it.
    pub(super) fn is_patient(&self) -> bool {
        self.behavior.is_patient()
    }

    /// Whether it may have broken off by itself.
    pub(super) fn has_left(&self) -> bool {
        let is_hasty = matches!(self.peer.behavior().ending, Ending::ResetsAt(_) | Ending::ClosesAt(_));
        is_hasty && self.peer.has_ended()
    }

    /// Whether it heard at least the answer to the first `sent` bytes of its own; only of raw
    /// bytes is known which that is.
    pub(super) fn has_heard(&self, sent: u64) -> bool {
        let is_echoed = self.place.talk == Talk::Echo { prefix: "" } && matches!(self.place.framing, Framing::Raw(_));
        !is_echoed || self.heard_len as u64 >= sent
    }

    /// Whether all its frames are whole and all were sent.
    pub(super) fn has_said_all(&self) -> bool {
        self.last == Last::WholeFrame && self.peer.sent_len() == self.sent_len
    }

    /// Whether it heard all that its own frames are answered with.
    pub(super) fn has_heard_all(&self) -> bool {
        match self.place.talk {
            Talk::Echo { .. } | Talk::Mischief | Talk::PollOutcome => self.heard_len == self.answer.len(),
            Talk::Chat | Talk::Chargen | Talk::Discard => true,
        }
    }

    /// Lets it be quick from now on, and leave where it could hear more for ever.
    pub(super) fn hurry(&self) {
        let read_len_max = if self.behavior.read_len_max > 0 { usize::MAX } else { 0 };
        let ending = self.peer.behavior().ending;
        self.peer.change_habits(Behavior { read_len_max, ending, ..Behavior::default() });
        if self.place.talk == Talk::Chargen {
            self.peer.close();
        }
    }
}

/// The part of a peer of a service of the house; what it hears is its echo.
pub(super) fn part(place: &Place, port: u16, len: usize, rng: &mut Rng) -> Part {
    if let Framing::Raw(_) = place.framing {
        let bytes = pattern(u64::from(port), 0, len);
        return Part { sent: bytes.clone(), heard: bytes, last: Last::WholeFrame };
    }
    let (mut sent, mut answer, mut number) = (Vec::new(), Vec::new(), 0);
    while sent.len() < len {
        let frame = frame(place, port, number, rng);
        number += 1;
        sent.extend_from_slice(&in_envelope(&place.framing, &frame));
        let ends_in_lf = sent.ends_with(b"\n");
        if matches!(place.framing, Framing::Lines(_)) && ends_in_lf && rng.chance(0.3) {
            sent.pop();
            sent.extend_from_slice(b"\r\n");
        }
        let said = match place.talk {
            Talk::Echo { prefix } => [prefix.as_bytes(), &frame].concat(),
            Talk::Mischief | Talk::Chat | Talk::Chargen | Talk::Discard | Talk::PollOutcome => frame,
        };
        answer.extend_from_slice(&in_envelope(&place.framing, &said));
    }
    let last = if rng.chance(0.8) { Last::WholeFrame } else { last_words(place, &mut sent, rng) };
    Part { sent, heard: answer, last }
}

fn frame(place: &Place, port: u16, number: u64, rng: &mut Rng) -> Vec<u8> {
    if place.talk == Talk::Chat {
        return chat_line(port, number).into_bytes();
    }
    let longest = place.limits.frame_len_max;
    let len = match place.framing {
        Framing::Fixed(fixed) => fixed.len(),
        Framing::Length(length) => rng.below(longest.min(usize::try_from(length.width.max()).unwrap_or(longest)) + 1),
        Framing::Lines(_) | Framing::Raw(_) => rng.below(longest + 1),
    };
    // Some peers send only the shortest of frames.
    let len = if port.is_multiple_of(4) && !matches!(place.framing, Framing::Fixed(_)) { len % 3 } else { len };
    let mut frame = pattern(u64::from(port), number << 16, len);
    if let Framing::Lines(_) = place.framing {
        // A line feed would end the line, and a CR at its end is lost by rule.
        frame.iter_mut().filter(|byte| b"\r\n".contains(byte)).for_each(|byte| *byte = b'-');
        if frame == b"exit" {
            frame.clear();
        }
    }
    frame
}

/// Appends something that is no frame.
fn last_words(place: &Place, sent: &mut Vec<u8>, rng: &mut Rng) -> Last {
    let too_long = place.limits.frame_len_max + 1 + rng.below(100);
    match (place.framing, rng.below(3)) {
        (Framing::Raw(_), _) => Last::WholeFrame,
        (Framing::Lines(_), 0) => {
            sent.extend_from_slice(b"exit\r\nnobody reads this\n");
            Last::Goodbye
        }
        (Framing::Lines(_), 1) => {
            sent.extend(vec![b'x'; too_long]);
            Last::TooLongFrame
        }
        (Framing::Length(length), 0 | 1) if length.width.max() >= too_long as u64 => {
            sent.extend_from_slice(&in_envelope(&place.framing, &vec![b'x'; too_long]));
            Last::TooLongFrame
        }
        (Framing::Fixed(fixed), _) if fixed.len() == 1 => Last::WholeFrame,
        (Framing::Length(_), _) => {
            // Fewer bytes than any length takes are part of a frame, and none are nothing.
            let whole = in_envelope(&place.framing, b"abc");
            sent.extend_from_slice(&whole[..rng.up_to(whole.len() - 1)]);
            Last::PartOfFrame
        }
        (Framing::Lines(_) | Framing::Fixed(_), _) => {
            sent.push(b'x');
            Last::PartOfFrame
        }
    }
}

fn in_envelope(framing: &Framing, frame: &[u8]) -> Vec<u8> {
    let envelope = framing.envelope(&[frame]).expect("a frame of this framing");
    [envelope.head(), frame, envelope.tail()].concat()
}

/// A line that only this port says, and only as its line of this number.
fn chat_line(port: u16, number: u64) -> String {
    let word = u64::from_le_bytes(pattern(u64::from(port), number * 8, 8).try_into().expect("8 bytes"));
    format!("{port}:{number}:{word:x}")
}

/// The byte of RFC 864's pattern at a place of the stream: lines of 72 characters and CR LF.
fn chargen(place: usize) -> u8 {
    match (place / 74, place % 74) {
        (_, 72) => b'\r',
        (_, 73) => b'\n',
        (line, column) => b' ' + ((line + column) % 95) as u8,
    }
}
