//! What is sent: numbered datagrams of our own, or the input, cut into datagrams.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, stdin};
use std::sync::mpsc::{Receiver, TryRecvError};

use readyloop::codec::Framing;

use super::DATAGRAM_LEN_MAX;
use crate::client::input::{Feed, Input, read_lines};

/// Where datagrams come from.
pub(super) enum Source {
    Numbered(NumberedDatagrams),
    Input(Receiver<Input>),
}

/// What comes next.
pub(super) enum Next {
    Datagram(Vec<u8>),
    /// Nothing yet; the loop will be told.
    NotYet,
    /// Nothing any more.
    End,
    /// The input failed.
    Failed(io::Error),
}

impl Source {
    pub(super) fn next(&mut self) -> Next {
        match self {
            Self::Numbered(numbers) => numbers.next().map_or(Next::End, Next::Datagram),
            Self::Input(input) => match input.try_recv() {
                Ok(Input::Frame(frame)) if frame.len() > DATAGRAM_LEN_MAX => Next::Failed(too_long("a line is")),
                Ok(Input::Frame(frame)) => Next::Datagram(frame),
                Ok(Input::End) | Err(TryRecvError::Disconnected) => Next::End,
                Ok(Input::Failed(error)) => Next::Failed(error),
                Err(TryRecvError::Empty) => Next::NotYet,
            },
        }
    }
}

/// Datagrams with numbers in them: what tells this run from others, the number, and a pattern
/// that follows from it, so that no two are alike and none is like those of another run.
#[derive(Debug)]
pub(super) struct NumberedDatagrams {
    run: u64,
    next: u64,
    count: u64,
    len: usize,
}

impl NumberedDatagrams {
    pub(super) fn new(count: u64, len: usize) -> Self {
        Self { run: RandomState::new().hash_one(0), next: 0, count, len }
    }
}

impl Iterator for NumberedDatagrams {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.next == self.count {
            return None;
        }
        let mut datagram = Vec::with_capacity(self.len);
        datagram.extend(self.run.to_be_bytes());
        datagram.extend(self.next.to_be_bytes());
        let mut word = self.next;
        datagram.extend((datagram.len()..self.len).map(|_| {
            // Knuth's MMIX: its high byte runs through everything.
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            word.to_be_bytes()[0]
        }));
        self.next += 1;
        Some(datagram)
    }
}

/// What to read for that framing, each piece a datagram.
pub(super) fn reader_for(framing: Framing) -> impl FnOnce(&Feed) + Send + 'static {
    move |feed| match framing {
        Framing::Raw(_) => give_pieces(feed, || read_whole(&mut stdin().lock()), Pieces::One),
        Framing::Fixed(fixed) => give_pieces(feed, || read_piece(&mut stdin().lock(), fixed.len()), Pieces::ToTheEnd),
        Framing::Lines(_) | Framing::Length(_) => read_lines(feed, DATAGRAM_LEN_MAX),
    }
}

/// How many pieces an input has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pieces {
    One,
    /// As long as they are not empty.
    ToTheEnd,
}

fn give_pieces(feed: &Feed, mut read: impl FnMut() -> io::Result<Vec<u8>>, pieces: Pieces) {
    let last = loop {
        match read() {
            Ok(piece) if piece.is_empty() && pieces == Pieces::ToTheEnd => break Input::End,
            Ok(piece) => {
                if feed.send(Input::Frame(piece)).is_err() {
                    return;
                }
                if pieces == Pieces::One {
                    break Input::End;
                }
            }
            Err(error) => break Input::Failed(error),
        }
    };
    // When the loop has ended, nobody asks for the last word.
    let _ = feed.send(last);
}

/// All there is, which may be nothing.
fn read_whole(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let whole = read_piece(input, DATAGRAM_LEN_MAX + 1)?;
    if whole.len() > DATAGRAM_LEN_MAX { Err(too_long("it is")) } else { Ok(whole) }
}

/// So many bytes, or those that are left.
fn read_piece(input: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    if len > DATAGRAM_LEN_MAX + 1 {
        return Err(too_long("a piece is"));
    }
    let mut piece = Vec::new();
    input.take(len as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

fn too_long(what: &str) -> io::Error {
    let text = format!("{what} longer than a datagram can be, which is {DATAGRAM_LEN_MAX} bytes");
    io::Error::new(ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_datagrams_have_their_length_and_are_all_different() {
        for len in [16, 17, 64, 65_507] {
            let all: Vec<Vec<u8>> = NumberedDatagrams::new(3, len).collect();
            assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [len; 3]);
            assert!(all[0] != all[1] && all[1] != all[2]);
            assert_eq!(all[2][8..16], [0, 0, 0, 0, 0, 0, 0, 2]);
        }
        let of_two_runs =
            [NumberedDatagrams::new(1, 16), NumberedDatagrams::new(1, 16)].map(|mut run| run.next().unwrap());
        assert_ne!(of_two_runs[0], of_two_runs[1]);
    }

    #[test]
    fn a_pattern_is_no_constant() {
        let datagram = NumberedDatagrams::new(1, 4096).next().unwrap();
        let mut seen = [false; 256];
        datagram[16..].iter().for_each(|byte| seen[usize::from(*byte)] = true);
        assert!(seen.iter().filter(|seen| **seen).count() > 200);
    }

    #[test]
    fn pieces_have_their_length_and_the_last_has_the_rest() {
        let mut input = &b"abcdefgh"[..];
        let pieces: Vec<Vec<u8>> = (0..4).map(|_| read_piece(&mut input, 3).unwrap()).collect();
        assert_eq!(pieces, [&b"abc"[..], b"def", b"gh", b""]);
    }

    #[test]
    fn the_whole_input_is_one_datagram_or_too_long_for_one() {
        assert_eq!(read_whole(&mut &b""[..]).unwrap(), b"");
        assert_eq!(read_whole(&mut &[7; DATAGRAM_LEN_MAX][..]).unwrap().len(), DATAGRAM_LEN_MAX);
        let error = read_whole(&mut &[7; DATAGRAM_LEN_MAX + 1][..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
