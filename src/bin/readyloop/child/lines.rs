//! The lines of a pipe, which is read to its end so that no writer blocks on a full pipe.

use std::io::{BufRead, BufReader, Read};

/// The longest line that is kept as a whole. A longer one arrives in pieces, which bounds the memory.
const LINE_LEN_MAX: u64 = 64 * 1024;

/// Passes each line to `each`, without the space at its end.
pub(super) fn for_each_line(pipe: impl Read, mut each: impl FnMut(&str)) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(1..) = pipe.by_ref().take(LINE_LEN_MAX).read_until(b'\n', &mut line) {
        each(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_arrives_in_pieces() {
        let mut lens = Vec::new();
        for_each_line(b"one \n\n".chain(std::io::repeat(b'x').take(100_000)), |line| lens.push(line.len()));
        assert_eq!(lens, [3, 0, 65_536, 34_464]);
    }
}
