//! The source of datagrams: numbered ones, or the input in pieces.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read};
use std::iter;
use std::sync::mpsc::{Receiver, TryRecvError};

use readyloop::codec::Framing;

use crate::client::input::{Feed, Input, read_lines, standard_input};

/// The longest datagram over IPv4: 65,535 bytes less the headers of IP and UDP.
pub(super) const DATAGRAM_LEN_MAX: usize = 65_507;

/// The source of datagrams.
pub(super) enum Source {
    Numbered(NumberedDatagrams),
    Input(Receiver<Input>),
}

/// The next step of a source.
pub(super) enum Next {
    Datagram(Vec<u8>),
    /// No datagram yet. The reactor wakes when there is one.
    NotYet,
    /// There are no more datagrams.
    End,
    /// The input cannot be read.
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

/// Numbered datagrams: 8 bytes that identify the run, 8 bytes with the number, and a pattern.
///
/// No two datagrams are equal, within a run or between runs.
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
            // The linear congruential generator of Knuth's MMIX; its high byte takes all values.
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            word.to_be_bytes()[0]
        }));
        self.next += 1;
        Some(datagram)
    }
}

/// Returns the reader that splits the input into datagrams for this framing.
pub(super) fn reader_for(framing: Framing) -> impl FnOnce(&Feed) + Send + 'static {
    move |feed| match framing {
        Framing::Raw(_) => feed.send_all(iter::once_with(|| read_whole(&mut standard_input()))),
        Framing::Fixed(fixed) => {
            let mut input = standard_input();
            let pieces = iter::repeat_with(|| read_piece(&mut input, fixed.len()));
            // An empty piece is the end of the input.
            feed.send_all(pieces.take_while(|piece| !piece.as_ref().is_ok_and(Vec::is_empty)));
        }
        Framing::Lines(_) | Framing::Length(_) => read_lines(feed, DATAGRAM_LEN_MAX),
    }
}

/// Reads the whole input, which may be empty.
fn read_whole(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let whole = read_piece(input, DATAGRAM_LEN_MAX + 1)?;
    if whole.len() > DATAGRAM_LEN_MAX { Err(too_long("the input is")) } else { Ok(whole) }
}

/// Reads `len` bytes, or fewer at the end of the input.
fn read_piece(input: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    if len > DATAGRAM_LEN_MAX + 1 {
        return Err(too_long("a piece is"));
    }
    let mut piece = Vec::new();
    input.take(len as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

fn too_long(what: &str) -> io::Error {
    let text = format!("{what} longer than a datagram can be ({DATAGRAM_LEN_MAX} bytes)");
    io::Error::new(ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_datagrams_have_their_length_and_are_unique() {
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
    fn the_pattern_takes_most_byte_values() {
        let datagram = NumberedDatagrams::new(1, 4096).next().unwrap();
        let mut seen = [false; 256];
        datagram[16..].iter().for_each(|byte| seen[usize::from(*byte)] = true);
        assert!(seen.iter().filter(|seen| **seen).count() > 200);
    }

    #[test]
    fn the_last_piece_has_the_rest() {
        let mut input = &b"abcdefgh"[..];
        let pieces: Vec<Vec<u8>> = (0..4).map(|_| read_piece(&mut input, 3).unwrap()).collect();
        assert_eq!(pieces, [&b"abc"[..], b"def", b"gh", b""]);
    }

    #[test]
    fn the_whole_input_is_one_datagram_or_an_error() {
        assert_eq!(read_whole(&mut &b""[..]).unwrap(), b"");
        assert_eq!(read_whole(&mut &[7; DATAGRAM_LEN_MAX][..]).unwrap().len(), DATAGRAM_LEN_MAX);
        let error = read_whole(&mut &[7; DATAGRAM_LEN_MAX + 1][..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
