//! The answer to received bytes, with the faults that change bytes.

use crate::support::{KIB, MIB};

/// One connection of the faulty server.
pub(super) struct Conversation<'a> {
    fault: &'a str,
    /// Bytes that are answered later.
    held: Vec<u8>,
    reads: u64,
    bytes: usize,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(fault: &'a str) -> Self {
        Self { fault, held: Vec::new(), reads: 0, bytes: 0 }
    }

    /// The answer to the bytes of one read: these bytes, unless the fault changes them.
    pub(super) fn answer(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.reads += 1;
        self.bytes += bytes.len();
        match self.fault {
            "drops-the-last-byte" if bytes.len() > 1000 => bytes[..bytes.len() - 1].to_vec(),
            "cuts-long-messages" => bytes[..bytes.len().min(4 * KIB)].to_vec(),
            "strips-the-high-bit" => bytes.iter().map(|byte| byte & 0x7f).collect(),
            "ends-at-a-zero-byte" => bytes.iter().copied().take_while(|byte| *byte != 0).collect(),
            "adds-carriage-returns" => String::from_utf8_lossy(bytes).replace('\n', "\r\n").into_bytes(),
            "waits-for-a-line-end" => {
                self.held.extend_from_slice(bytes);
                let end = self.held.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
                self.held.drain(..end).collect()
            }
            "waits-for-more-bytes" => {
                self.held.extend_from_slice(bytes);
                if self.held.len() < 16 { Vec::new() } else { self.rest() }
            }
            "repeats-a-chunk" if self.reads == 10 => [bytes, bytes].concat(),
            "swaps-chunks" if self.reads.is_multiple_of(7) => {
                self.held = bytes.to_vec();
                Vec::new()
            }
            "swaps-chunks" => [bytes.to_vec(), self.rest()].concat(),
            "flips-a-late-bit" if self.bytes > 20 * MIB => bytes.iter().map(|byte| byte ^ 1).collect(),
            _ => bytes.to_vec(),
        }
    }

    /// The bytes that are still held at the end.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}
