//! Hex dumps: lines of 16 bytes with their offset and their text.
//!
//! The lines do not depend on the segmentation of the bytes: a line is written once it is full.

use std::io::Write as _;

const LINE_BYTES: usize = 16;

/// A hex dump in progress.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// The number of bytes on earlier lines.
    offset: u64,
    /// The bytes of the current line.
    line: Vec<u8>,
}

/// Writes a complete dump of `bytes`.
pub(super) fn dump(bytes: &[u8], out: &mut Vec<u8>) {
    let mut dump = Dump::default();
    dump.push(bytes, out);
    dump.finish(out);
}

impl Dump {
    /// Adds bytes and writes complete lines.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let (taken, rest) = bytes.split_at(bytes.len().min(LINE_BYTES - self.line.len()));
            self.line.extend_from_slice(taken);
            bytes = rest;
            if self.line.len() == LINE_BYTES {
                self.end_line(out);
            }
        }
    }

    /// Writes the last line and starts a new dump.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.line.is_empty() {
            self.end_line(out);
        }
        self.offset = 0;
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
        let (left, right) = self.line.split_at(self.line.len().min(LINE_BYTES / 2));
        let is_text = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let text: String = self.line.iter().map(|byte| if is_text(*byte) { char::from(*byte) } else { '.' }).collect();
        // Writing into a Vec cannot fail.
        let _ = writeln!(out, "{:08x}  {:24} {:24} |{text}|", self.offset, hex(left), hex(right));
        self.offset += self.line.len() as u64;
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump_of(pieces: &[&[u8]]) -> String {
        let (mut dump, mut out) = (Dump::default(), Vec::new());
        for piece in pieces {
            dump.push(piece, &mut out);
        }
        dump.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_has_its_offset_its_bytes_and_its_text() {
        assert_eq!(
            dump_of(&[b"hello, world!\r\n\xff\x00more"]),
            "00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 0d 0a ff  |hello, world!...|\n\
             00000010  00 6d 6f 72 65                                    |.more|\n"
        );
        assert_eq!(dump_of(&[]), "");
    }

    #[test]
    fn a_dump_does_not_depend_on_segmentation() {
        let bytes: Vec<u8> = (0..100).collect();
        let whole = dump_of(&[&bytes]);
        for cut in 0..bytes.len() {
            assert_eq!(dump_of(&[&bytes[..cut], &bytes[cut..]]), whole);
        }
        assert_eq!(dump_of(&bytes.chunks(1).collect::<Vec<_>>()), whole);
        assert_eq!(whole.lines().count(), 7);
    }
}
