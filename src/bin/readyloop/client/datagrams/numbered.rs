//! Numbered datagrams, for `--count`.

use std::hash::{BuildHasher, RandomState};

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
}
