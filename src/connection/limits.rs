//! Every bound on one peer, with its unit in its name.
//!
//! Bounds on many peers together, such as their number and their memory, belong to the server.

use std::num::NonZero;
use std::time::Duration;

use crate::instant::{Instant, NANOS_PER_SECOND};

use crate::watermark::Watermarks;

/// The number of bytes in a kibibyte.
pub const KIB: usize = 1024;

/// The most bytes that one call reads from a stream: the size of the reactor's shared read buffer.
///
/// Reads of this size let an echo fill whole packets when it writes. Larger reads fall out of the
/// processor's cache.
pub const READ_LEN_MAX: usize = 256 * KIB;

/// The most bytes around a frame, such as a length or a prefix, that the bounds of the queues allow for.
pub const ENVELOPE_LEN_MAX: usize = 4 * KIB;

/// How long a frame may take before [`Limits::min_rate`] counts: several round trips with retransmissions.
pub(super) const RATE_GRACE: Duration = Duration::from_secs(10);

/// A connection ends up to this part of its lifetime earlier.
const JITTER_DIVISOR: u32 = 10;

/// Our side of a connection. It decides when reading pauses because of our own output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We accepted it. The input of the peer causes our output, so reading pauses at [`Limits::queue`].
    Accepted,
    /// We connected to the peer. Most of our output has another source, which stops at
    /// [`Limits::queue`] by itself. Reading goes on beyond it. If both sides stopped reading until the
    /// other one reads, both would wait forever.
    Connected,
}

impl Role {
    /// The role in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Connected => "connected",
        }
    }
}

/// The bounds on one peer: memory and time.
///
/// A deadline never fires early. `Duration::MAX` disables a timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Reading pauses at `high` queued bytes and resumes at `low`, so a slow reader cannot exhaust memory.
    ///
    /// On a connection that we opened, only the source of the output stops at `high`: see [`Role`].
    ///
    /// Default: 32 KiB and 128 KiB. `high` keeps a fast path full beyond the kernel's buffers; `low`
    /// lets a resumed peer run for a while before it pauses again.
    pub queue: Watermarks,
    /// The maximum length of a frame, in bytes. A longer one finishes the peer as soon as that is known.
    ///
    /// Default: 1 MiB, more than a typical line or record.
    pub frame_len_max: usize,
    /// A peer is closed if its TLS handshake is not complete this long after the accept.
    ///
    /// Bytes do not restart it. Default: 10 s, which is several round trips with retransmissions.
    pub handshake_timeout: Duration,
    /// A peer is finished after this time without a byte in either direction, unless output is queued.
    ///
    /// Default: 5 minutes, less than the time after which most middleboxes drop an idle flow.
    pub idle_timeout: Duration,
    /// A peer is finished if a frame takes longer than this from its first byte to its last.
    ///
    /// Bytes do not restart it, and the time for which reading is paused does not count. Default: 30 s,
    /// which is 1 MiB at 35 kB/s.
    pub frame_timeout: Duration,
    /// A peer that takes no byte of the queued output for this time is closed with a reset.
    ///
    /// Default: 30 s, which is several retransmissions.
    pub write_timeout: Duration,
    /// The slowest rate in bytes per second at which a peer may send a frame or take output; `None` is no bound.
    ///
    /// A frame has 10 s, and each of its bytes that has arrived adds `1 / min_rate` seconds. So after the first
    /// 10 s, its average rate counts. `frame_timeout` still ends it. The time for which reading is paused does not
    /// count. The peer is finished.
    ///
    /// While output is queued, a peer has a credit of `write_timeout`, which passes like time. Each byte that the
    /// stream takes adds `1 / min_rate` seconds, at most to the full credit. Silence restores it too, but a queue
    /// that is empty for a moment does not. A peer without credit is closed with a reset. Without `min_rate`, any
    /// byte restores the full credit.
    ///
    /// The reason is [`CloseReason::TooSlow`](super::CloseReason::TooSlow) in both cases. A peer that is between two
    /// frames and takes its output is not measured, however long it is silent. With [`Raw`](crate::Raw), every read
    /// is a whole frame, so only the output is measured.
    ///
    /// Default: `None`. A rate that is right for one service cuts off honest clients of another one.
    pub min_rate: Option<NonZero<u32>>,
    /// A connection is finished after this time, as in a drain: what the peer has sent is served first.
    ///
    /// Up to a tenth of it is left out, differently for each connection, so that connections that were opened
    /// together do not end together. A frame that has begun may be completed. The connection is finished 10 s later
    /// even if more input arrives. Deadlines are rounded up to an eighth of a second.
    ///
    /// Default: [`Duration::MAX`], which is no bound.
    pub max_lifetime: Duration,
    /// After our FIN we wait at most this long for the peer's FIN, and discard what it sends.
    ///
    /// Default: 5 s, which is a round trip with retransmissions.
    pub linger_timeout: Duration,
    /// After this many discarded bytes the connection is closed, or is not read until our FIN is sent.
    ///
    /// Default: 16 MiB, more than two kernels buffer by default.
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
            min_rate: None,
            max_lifetime: Duration::MAX,
            linger_timeout: Duration::from_secs(5),
            linger_bytes_max: 16 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// The most bytes that may be queued for one peer.
    ///
    /// This is the length at which reading pauses, plus a whole reply to one read or to one frame of
    /// the maximum length.
    pub fn queue_len_max(&self, role: Role) -> usize {
        self.reading_marks(role)
            .high()
            .saturating_add(self.frame_len_max.max(READ_LEN_MAX))
            .saturating_add(ENVELOPE_LEN_MAX)
    }

    /// The time in which a peer at the slowest permitted rate moves this many bytes; `None` without a rate.
    pub(super) fn slowest_time(&self, bytes: usize) -> Option<Duration> {
        let nanos = |rate: NonZero<u32>| (bytes as u64).saturating_mul(NANOS_PER_SECOND) / u64::from(rate.get());
        self.min_rate.map(|rate| Duration::from_nanos(nanos(rate)))
    }

    /// When the lifetime of a connection ends that is opened at `now`. `seed` decides how much of it is left out.
    pub fn lifetime_end(&self, now: Instant, seed: u64) -> Instant {
        if self.max_lifetime == Duration::MAX {
            return Instant::NEVER;
        }
        // The finalizer of SplitMix64: seeds that differ in one bit differ in half of the result.
        let mut mixed = seed ^ now.as_nanos();
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let part = (mixed >> 40) as u32;
        now + (self.max_lifetime - self.max_lifetime / JITTER_DIVISOR / (1 << 16) * (part >> 8))
    }

    /// When reading pauses and resumes.
    ///
    /// The source of a connected side stops at `high` or less than one frame above, and reading goes on there.
    pub(crate) fn reading_marks(&self, role: Role) -> Watermarks {
        match role {
            Role::Accepted => self.queue,
            Role::Connected => self.queue.raised_by(self.frame_len_max.max(READ_LEN_MAX)),
        }
    }

    /// The most bytes of input that may be stored for one peer.
    ///
    /// This is an incomplete frame of the maximum length and one read behind it.
    pub fn input_len_max(&self) -> usize {
        self.frame_len_max.saturating_add(ENVELOPE_LEN_MAX + READ_LEN_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_limits_do_not_overflow() {
        let limits = Limits { queue: Watermarks::new(0, usize::MAX), frame_len_max: usize::MAX, ..Limits::default() };
        for role in [Role::Accepted, Role::Connected] {
            assert_eq!(limits.queue_len_max(role), usize::MAX);
            assert_eq!(limits.reading_marks(role).high(), usize::MAX);
        }
        assert_eq!(limits.input_len_max(), usize::MAX);
    }

    #[test]
    fn a_lifetime_ends_up_to_a_tenth_earlier() {
        let limits = Limits { max_lifetime: Duration::from_secs(1000), ..Limits::default() };
        let ends: Vec<Duration> =
            (0..1000).map(|seed| limits.lifetime_end(Instant::ORIGIN, seed).since(Instant::ORIGIN)).collect();
        let (least, most) = (ends.iter().min().unwrap(), ends.iter().max().unwrap());
        assert!((900..902).contains(&least.as_secs()), "{least:?}");
        assert!((998..=1000).contains(&most.as_secs()), "{most:?}");
        let early = ends.iter().filter(|end| end.as_secs() < 950).count();
        assert!((400..600).contains(&early), "{early} of 1,000 end in the first half");
        assert_eq!(Limits::default().lifetime_end(Instant::ORIGIN, 1), Instant::NEVER);
    }
}
