//! Every bound on one peer, with its unit in its name and a reason beside its default.
//!
//! Bounds on many peers at once (how many, how much memory together) are not here: the server
//! has those.

use std::time::Duration;

use crate::watermark::Watermarks;

/// One kibibyte.
pub const KIB: usize = 1024;

/// The most that one call reads from a stream: the size of the reactor's one scratch buffer.
///
/// A write as long as a read should fill its packets. On loopback one carries 65,483 bytes, so that
/// 64 KiB leave as two; 256 KiB leave as few as they can, and a stream costs a seventh less CPU.
/// Larger reads fall out of the processor's cache.
pub const READ_LEN_MAX: usize = 256 * KIB;

/// Room beside a frame for what a codec or a service puts around it: a length, a prefix, an end of line.
pub const ENVELOPE_LEN_MAX: usize = 4 * KIB;

/// What one peer may use, and for how long.
///
/// A deadline is never early. `Duration::MAX` turns one off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Reading pauses at `high` bytes waiting to leave and resumes at `low`.
    ///
    /// 128 KiB keeps a fast path full beyond what the kernel buffers; a quarter of it as `low`
    /// lets a peer that was paused run for a while before it is paused again.
    pub queue: Watermarks,
    /// The longest frame a peer may send, in bytes; checked before anything is stored for it.
    ///
    /// 1 MiB: larger than any line or record a person writes, small enough for a thousand at once.
    pub frame_len_max: usize,
    /// From the accept to the end of a TLS handshake; not restarted by the bytes between.
    ///
    /// 10 seconds: three round trips over the slowest path in use, with their retransmissions.
    pub handshake_timeout: Duration,
    /// No byte moved either way for this long, nothing begun, nothing waiting to leave.
    ///
    /// 5 minutes: longer than a person thinks, shorter than most middleboxes forget.
    pub idle_timeout: Duration,
    /// From a frame's first byte to its last; not restarted by the bytes between.
    ///
    /// 30 seconds: 1 MiB at 35 KB/s.
    pub frame_timeout: Duration,
    /// Bytes wait to leave and the peer takes none.
    ///
    /// 30 seconds: some ten retransmissions, a path that is gone stays gone.
    pub write_timeout: Duration,
    /// After our end is sent, how long we wait for the peer's while discarding what it still sends.
    ///
    /// 5 seconds: a round trip and its retransmissions.
    pub linger_timeout: Duration,
    /// How many bytes we discard before the peer is cut off; while our own end cannot leave, before
    /// it is no longer read.
    ///
    /// 16 MiB: more than two kernels hold in flight between them by default.
    pub linger_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue: Watermarks::new(32 * KIB, 128 * KIB),
            frame_len_max: 1024 * KIB,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            frame_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(5),
            linger_bytes_max: 16 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// The most bytes that may wait to leave for one peer: `high` and then one read or one
    /// longest frame, answered whole.
    pub fn queue_len_max(&self) -> usize {
        self.queue.high() + self.frame_len_max.max(READ_LEN_MAX) + ENVELOPE_LEN_MAX
    }

    /// The most bytes of input that may be stored for one peer: a longest frame less a byte, and
    /// one read behind it.
    pub fn input_len_max(&self) -> usize {
        self.frame_len_max + ENVELOPE_LEN_MAX + READ_LEN_MAX
    }
}
