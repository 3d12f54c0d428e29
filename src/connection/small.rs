//! Parts of a connection in one byte each, since there is one of each for every peer.

use std::time::Duration;

/// Facts about a connection of one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PeerFlags(u8);

impl PeerFlags {
    /// `on_writable` is to be called when the queue is low enough.
    pub(super) const WRITABLE: Self = Self(1);
    /// The peer stays open after its end, until the service finishes it.
    pub(super) const KEEP_OPEN: Self = Self(2);
    /// A byte has been read or written.
    pub(super) const MOVED_BYTES: Self = Self(4);

    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(super) fn add(&mut self, flag: Self, is_set: bool) {
        if is_set {
            self.0 |= flag.0;
        }
    }

    pub(super) fn remove(&mut self, flag: Self) {
        self.0 &= !flag.0;
    }
}

/// The part of the write timeout that a peer had used up when its queue last became empty, rounded down.
///
/// With a slowest rate, a queue that is empty for a moment must not restore the whole credit. The kernel takes
/// output in large pieces, so a slow reader often empties a short queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Debt(u8);

impl Debt {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn of(time: Duration, timeout: Duration) -> Self {
        let part = time.as_nanos().saturating_mul(u128::from(u8::MAX)).checked_div(timeout.as_nanos());
        Self(part.map_or(0, |part| u8::try_from(part).unwrap_or(u8::MAX)))
    }

    pub(super) fn time(self, timeout: Duration) -> Duration {
        if self == Self::NONE { Duration::ZERO } else { timeout / u32::from(u8::MAX) * u32::from(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_do_not_touch_each_other() {
        let mut flags = PeerFlags::default();
        flags.add(PeerFlags::WRITABLE, true);
        flags.add(PeerFlags::KEEP_OPEN, false);
        assert!(flags.has(PeerFlags::WRITABLE) && !flags.has(PeerFlags::KEEP_OPEN));
        flags.add(PeerFlags::KEEP_OPEN, true);
        flags.remove(PeerFlags::WRITABLE);
        assert_eq!(flags, PeerFlags::KEEP_OPEN);
    }

    #[track_caller]
    fn check(time: Duration, timeout: Duration, least: Duration) {
        let kept = Debt::of(time, timeout).time(timeout);
        assert!((least..=time).contains(&kept), "{kept:?} of {time:?}");
    }

    #[test]
    fn a_debt_is_kept_to_a_small_part_of_the_timeout() {
        let seconds = Duration::from_secs;
        check(seconds(0), seconds(30), seconds(0));
        check(seconds(20), seconds(30), Duration::from_millis(19_880));
        check(seconds(30), seconds(30), Duration::from_millis(29_999));
        check(seconds(90), seconds(30), Duration::from_millis(29_999));
        check(seconds(90), Duration::MAX, seconds(0));
        check(seconds(90), Duration::ZERO, seconds(0));
        check(Duration::MAX, Duration::MAX, seconds(1 << 60));
    }
}
