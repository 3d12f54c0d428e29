//! The lifetime of a peer: when it ends, and how the peer is finished then.
//!
//! It does not depend on the state of the connection, so the host keeps its deadline.

use std::time::Duration;

use crate::connection::Resources;
use crate::instant::Instant;
use crate::service::Service;

use super::Peer;

/// How long after the end of its lifetime a peer is finished even if it still sends.
const LIFETIME_GRACE: Duration = Duration::from_secs(10);

/// When the lifetime of a peer ends, in four bytes, since there is one for each peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// In units of 2^27 ns, 134 ms. The largest number is never.
    ends_at: u32,
}

impl Lifetime {
    pub(super) const ENDLESS: Self = Self { ends_at: u32::MAX };
    const UNIT_BITS: u32 = 27;

    /// Rounds up, so that a lifetime does not end early. It is endless if it ends 18 years after the origin.
    pub(super) fn until(end: Instant) -> Self {
        let units = end.as_nanos().div_ceil(1 << Self::UNIT_BITS);
        Self { ends_at: u32::try_from(units).unwrap_or(u32::MAX) }
    }

    pub(super) fn end(self) -> Instant {
        match self.ends_at {
            u32::MAX => Instant::NEVER,
            units => Instant::from_nanos(u64::from(units) << Self::UNIT_BITS),
        }
    }
}

impl<S: Service, L> Peer<S, L> {
    /// Finishes the peer if its lifetime is over. Returns whether it has to be served for that.
    pub(super) fn handle_lifetime(&mut self, resources: &mut Resources<'_, S::Codec>) -> bool {
        let end = self.lifetime.end();
        if resources.now < end || self.connection.halves().reason().is_some() {
            return false;
        }
        let is_repeated = self.connection.handle_lifetime(resources);
        self.lifetime = if is_repeated { Lifetime::until(end + LIFETIME_GRACE) } else { Lifetime::ENDLESS };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(nanos: u64, expected: u64) {
        assert_eq!(Lifetime::until(Instant::from_nanos(nanos)).end(), Instant::from_nanos(expected), "{nanos}");
    }

    #[test]
    fn the_end_of_a_lifetime_is_rounded_up() {
        check(0, 0);
        check(1, 1 << 27);
        check(1 << 27, 1 << 27);
        check(u64::from(u32::MAX) << 27, u64::MAX);
        check(u64::MAX, u64::MAX);
    }
}
