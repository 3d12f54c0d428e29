//! `Delimiter`: finds the end of an answer in a stream that reads cut anywhere.
//!
//! It is the algorithm of Knuth, Morris and Pratt (1977): each byte is read once, and the state between two
//! reads is one number.

use memchr::memchr;

/// Maximum length of a delimiter in bytes.
pub const DELIMITER_LEN_MAX: usize = 255;

/// The bytes at the end of an answer.
#[derive(Debug)]
pub(super) struct Delimiter {
    bytes: Vec<u8>,
    /// For each number of matched bytes: how many of them still match after the next byte does not.
    shorter: Vec<u8>,
}

impl Delimiter {
    /// A delimiter of 1 to [`DELIMITER_LEN_MAX`] bytes.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut delimiter = Self { bytes: bytes.to_vec(), shorter: vec![0; bytes.len()] };
        let mut matched = 0;
        for (at, byte) in bytes.iter().enumerate().skip(1) {
            delimiter.shorter[at] = matched;
            matched = delimiter.matched_after(matched, *byte);
        }
        delimiter
    }

    /// Length of `input` up to the end of the first delimiter. `matched` is the number of its bytes that the
    /// inputs before end with, and is updated.
    pub(super) fn end_in(&self, input: &[u8], matched: &mut u8) -> Option<usize> {
        let mut at = 0;
        while at < input.len() {
            if *matched == 0 {
                at += memchr(self.bytes[0], &input[at..])?;
            }
            *matched = self.matched_after(*matched, input[at]);
            at += 1;
            if usize::from(*matched) == self.bytes.len() {
                *matched = 0;
                return Some(at);
            }
        }
        None
    }

    /// Number of matched bytes after `byte`, when `matched` ones matched before it.
    fn matched_after(&self, mut matched: u8, byte: u8) -> u8 {
        loop {
            match usize::from(matched) {
                at if self.bytes[at] == byte => return matched + 1,
                0 => return 0,
                at => matched = self.shorter[at],
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use memchr::memmem;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The ends of all delimiters in `input`, which is read in parts of `part_len` bytes.
    fn ends(delimiter: &[u8], input: &[u8], part_len: usize) -> Vec<usize> {
        let delimiter = Delimiter::new(delimiter);
        let (mut ends, mut matched) = (Vec::new(), 0);
        for (part, begin) in input.chunks(part_len).zip((0..).step_by(part_len)) {
            let mut at = 0;
            while let Some(len) = delimiter.end_in(&part[at..], &mut matched) {
                at += len;
                ends.push(begin + at);
            }
        }
        ends
    }

    #[test]
    fn a_delimiter_that_repeats_itself_is_found_at_its_first_end() {
        for part_len in 1..=8 {
            assert_eq!(ends(b"\r\n\r\n", b"a\r\n\r\r\n\r\nb\r\n\r\n", part_len), [8, 13], "{part_len}");
            assert_eq!(ends(b"aab", b"aaab", part_len), [4], "{part_len}");
            assert_eq!(ends(b"x", b"xx", part_len), [1, 2], "{part_len}");
        }
    }

    proptest! {
        /// With few different bytes, parts of the delimiter are frequent.
        #[test]
        fn cut_input_has_the_same_ends_as_whole_input(
            delimiter in vec(0_u8..2, 1..8),
            input in vec(0_u8..2, 0..200),
            part_len in 1_usize..9,
        ) {
            let mut expected = Vec::new();
            let mut begin = 0;
            while let Some(at) = memmem::find(&input[begin..], &delimiter) {
                begin += at + delimiter.len();
                expected.push(begin);
            }
            prop_assert_eq!(ends(&delimiter, &input, part_len), expected);
        }
    }
}
