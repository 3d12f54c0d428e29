//! The file: a header and one block for each turn, each with its length and its checksum.
//!
//! ```text
//! header  magic (8 bytes) · version (1) · length (4) · checksum (4) · fields of `Header`
//! block   length (4) · checksum (4) · number of the turn · entries
//! ```
//!
//! Lengths and checksums are little-endian, and the checksum is CRC-32 (IEEE 802.3) of the bytes after it. Header
//! fields and entries are in the format of the crate `postcard`. Block 0 is what happened before the first turn.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::replay_error::ReplayError;

/// The version of the format that this program writes and reads.
const VERSION: u8 = 1;

const MAGIC: &[u8; 8] = b"RDYLPREC";

/// The longest block. A turn moves at most 16 MiB at each endpoint.
pub(super) const BLOCK_LEN_MAX: usize = 256 << 20;

/// The longest header: a text of the program and some numbers.
const HEADER_LEN_MAX: usize = 1 << 20;

/// The length and the checksum before a header or a block.
pub(super) const PREFIX_LEN: usize = 8;

/// The first part of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// A number that both files of one recording have.
    pub(super) run: u64,
    /// The first turn in this file; 0 if nothing is missing.
    pub(super) first_turn: u64,
    /// Whether the bytes of reads and datagrams are recorded.
    pub(super) has_content: bool,
    /// A text of the program, such as its settings.
    pub(super) text: String,
}

impl Header {
    /// The bytes at the beginning of the file.
    ///
    /// # Errors
    /// The text is too long.
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let fields = postcard::to_allocvec(self).map_err(io::Error::other)?;
        if fields.len() > HEADER_LEN_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the text of a recording has at most 1 MiB"));
        }
        let mut bytes = [&MAGIC[..], &[VERSION]].concat();
        bytes.extend_from_slice(&prefix(&fields));
        bytes.extend_from_slice(&fields);
        Ok(bytes)
    }

    pub(super) fn read(file: &mut impl Read) -> Result<Self, ReplayError> {
        let mut begin = [0; MAGIC.len() + 1];
        read_whole(file, &mut begin)?.ok_or(ReplayError::NotARecording)?;
        match begin.strip_prefix(MAGIC) {
            Some([VERSION]) => {}
            Some([other]) => return Err(ReplayError::Version(*other)),
            Some(_) | None => return Err(ReplayError::NotARecording),
        }
        let mut fields = Vec::new();
        if !read_checked(file, HEADER_LEN_MAX, &mut fields, 0)? {
            return Err(ReplayError::Empty);
        }
        postcard::from_bytes(&fields).map_err(|_| ReplayError::Damaged { turn: 0 })
    }
}

/// Length and checksum of a header or a block.
pub(super) fn prefix(bytes: &[u8]) -> [u8; PREFIX_LEN] {
    let len = u32::try_from(bytes.len()).expect("the length is bounded").to_le_bytes();
    let checksum = crc32fast::hash(bytes).to_le_bytes();
    [len[0], len[1], len[2], len[3], checksum[0], checksum[1], checksum[2], checksum[3]]
}

/// Reads the next block into `block`. `false` at the end of the file, also if it is cut off inside the block.
pub(super) fn read_block(file: &mut impl Read, block: &mut Vec<u8>, turn: u64) -> Result<bool, ReplayError> {
    read_checked(file, BLOCK_LEN_MAX, block, turn)
}

fn read_checked(file: &mut impl Read, len_max: usize, bytes: &mut Vec<u8>, turn: u64) -> Result<bool, ReplayError> {
    let mut prefix_read = [0; PREFIX_LEN];
    bytes.clear();
    if read_whole(file, &mut prefix_read)?.is_none() {
        return Ok(false);
    }
    let [a, b, c, d, ..] = prefix_read;
    let len = u32::from_le_bytes([a, b, c, d]) as usize;
    if len > len_max {
        return Err(ReplayError::Damaged { turn });
    }
    // No memory is reserved for a length that the file only claims.
    file.take(len as u64).read_to_end(bytes).map_err(|error| ReplayError::read(&error))?;
    if bytes.len() < len {
        return Ok(false);
    }
    if prefix(bytes) == prefix_read { Ok(true) } else { Err(ReplayError::Damaged { turn }) }
}

/// Fills `buf`; `None` if the file ends before.
fn read_whole(file: &mut impl Read, buf: &mut [u8]) -> Result<Option<()>, ReplayError> {
    match file.read_exact(buf) {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(ReplayError::read(&error)),
    }
}

/// A running hash over the lengths and checksums of all blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BlockHash(u64);

impl BlockHash {
    /// Adds the block that begins with this prefix.
    pub(super) fn add(&mut self, prefix: [u8; PREFIX_LEN]) {
        const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
        self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(prefix)).wrapping_mul(FACTOR);
    }

    pub(super) fn value(self) -> u64 {
        self.0
    }
}
