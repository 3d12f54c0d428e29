//! The kinds of faults of a simulated world, their probabilities, and counts of injected faults.
//!
//! The simulated calls decide where to inject a fault and what it does there.

use std::ops::AddAssign;
use std::time::Duration;

use super::rng::Rng;
use crate::trace::Lesson;

/// Declares the kinds of faults, each with its name, the highest probability that a seed may draw,
/// its cost, and the lesson about it.
macro_rules! faults {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $probability_max:literal, $cost:ident, $lesson:ident;)*) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fault {
            $($(#[$doc])* $kind,)*
        }

        impl Fault {
            /// All kinds, where `ALL[fault as usize] == fault`.
            pub const ALL: [Self; [$($probability_max),*].len()] = [$(Self::$kind),*];

            /// The name of the kind in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The highest probability that a seed may draw.
            const fn probability_max(self) -> f64 {
                match self { $(Self::$kind => $probability_max,)* }
            }

            /// What an occurrence costs the peers.
            pub const fn cost(self) -> FaultCost {
                match self { $(Self::$kind => FaultCost::$cost,)* }
            }

            /// The lesson of the course about it.
            pub const fn lesson(self) -> Lesson {
                match self { $(Self::$kind => Lesson::$lesson,)* }
            }
        }
    };
}

/// What a fault costs the peers that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCost {
    /// Only time. A caller that waits and retries loses nothing.
    Delay,
    /// A connection, or some of its bytes.
    Loss,
}

faults! {
    /// A read returns fewer bytes than are available.
    ShortRead = "short read", 0.9, Delay, Frames;
    /// A write takes fewer bytes than there is space for.
    ShortWrite = "short write", 0.9, Delay, Queues;
    /// A read would block although bytes are available. An edge follows.
    ReadBlocks = "read would block", 0.4, Delay, Readiness;
    /// A write would block although there is space. An edge follows.
    WriteBlocks = "write would block", 0.4, Delay, Queues;
    /// A read is interrupted (EINTR).
    ReadInterrupted = "read interrupted", 0.4, Delay, Errors;
    /// A write is interrupted (EINTR).
    WriteInterrupted = "write interrupted", 0.4, Delay, Errors;
    /// A call finds the connection reset.
    Reset = "connection reset", 0.02, Loss, Errors;
    /// A call finds the connection broken (EPIPE).
    BrokenPipe = "broken pipe", 0.02, Loss, Errors;
    /// A call finds the connection timed out.
    TimedOut = "connection timed out", 0.02, Loss, Errors;
    /// An accept would block although the backlog holds a connection. An edge follows.
    AcceptBlocks = "accept would block", 0.4, Delay, Readiness;
    /// An accept fails with one of the errors of accept(2).
    AcceptFails = "accept fails", 0.8, Loss, Errors;
    /// For a while every accept fails because descriptors or memory are exhausted.
    AcceptOutage = "accept outage", 0.1, Delay, Errors;
    /// A stream cannot be registered.
    RegisterFails = "register fails", 0.2, Loss, Errors;
    /// A poll returns early and without events.
    EmptyPoll = "empty poll", 0.3, Delay, Readiness;
    /// A poll returns only some of the ready events.
    SmallBatch = "small batch", 0.9, Delay, Fairness;
    /// A poll returns its events in random order.
    Shuffled = "shuffled batch", 0.9, Delay, Edges;
    /// An event with readiness that the stream does not have.
    Spurious = "spurious event", 0.4, Delay, Readiness;
    /// An event that a poll returns twice.
    Duplicate = "duplicate event", 0.4, Delay, Edges;
    /// An event for a stream that was dropped.
    Stale = "event for a dropped stream", 0.4, Delay, Edges;
    /// A peer acts between two calls of the server.
    Interleaved = "peer acts between calls", 0.5, Delay, Edges;
    /// A connection with small kernel buffers, down to a single byte.
    SmallBuffer = "small kernel buffer", 0.9, Delay, Queues;
    /// A peer's reset destroys bytes that it sent earlier.
    ResetOvertakes = "reset overtakes bytes", 0.9, Loss, HalfClose;
    /// The clock does not move between two polls.
    ClockStands = "clock stands", 0.9, Delay, Deadlines;
    /// The clock moves by one nanosecond.
    ClockCreeps = "clock creeps", 0.5, Delay, Deadlines;
    /// The clock jumps an hour ahead, past every deadline.
    ClockJumpsHour = "clock jumps an hour", 0.005, Loss, Deadlines;
    /// The clock jumps 50 days ahead, more milliseconds than 32 bits hold.
    ClockJumpsDays = "clock jumps 50 days", 0.005, Loss, Deadlines;
    // The rest follows from the behavior of peers and is only counted here.
    /// A peer ends its direction and reads on.
    HalfClose = "half-close by a peer", 0.0, Delay, HalfClose;
    /// A peer ends its direction before it has sent everything.
    EarlyFin = "FIN at any byte", 0.0, Loss, HalfClose;
    /// A peer resets its connection.
    PeerResets = "reset by a peer", 0.0, Loss, Errors;
    /// A peer closes its connection, even with unread or unsent bytes.
    PeerCloses = "close by a peer", 0.0, Loss, HalfClose;
    /// The server writes to a peer that never reads.
    NeverReads = "peer never reads", 0.0, Loss, Backpressure;
}

/// The probability of each kind of fault in one world.
#[derive(Clone, Debug)]
pub struct Faults {
    probability: [f64; Fault::ALL.len()],
    /// The longest time that passes between two polls.
    pub(super) turn_span_max: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

impl Faults {
    /// No faults: all probabilities are zero.
    pub const fn none() -> Self {
        Self { probability: [0.0; Fault::ALL.len()], turn_span_max: Duration::ZERO }
    }

    /// Draws the probability of each kind from the seed.
    ///
    /// About a third of the kinds are left out, so that each fault also occurs without the others.
    /// The probabilities of the rest range from rare to nearly always.
    pub fn drawn_from(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut faults = Self::none();
        for fault in Fault::ALL {
            if rng.chance(2.0 / 3.0) {
                // From the highest probability down to a sixteenth of it.
                let halvings = rng.below(5) as i32;
                faults.probability[fault as usize] = fault.probability_max() * 0.5_f64.powi(halvings);
            }
        }
        // From a nanosecond to about a quarter of a second, which is longer than a timer tick.
        faults.turn_span_max = Duration::from_nanos(1 << rng.below(28));
        faults
    }

    /// Like [`Faults::drawn_from`], without faults that lose connections or bytes.
    ///
    /// A correct service gives the same answers as in a world without faults.
    pub fn delays_drawn_from(seed: u64) -> Self {
        let mut faults = Self::drawn_from(seed);
        for fault in Fault::ALL.into_iter().filter(|fault| fault.cost() == FaultCost::Loss) {
            faults.probability[fault as usize] = 0.0;
        }
        faults
    }

    /// Sets the probability of one kind.
    pub fn with(mut self, fault: Fault, probability: f64) -> Self {
        self.probability[fault as usize] = probability;
        self
    }

    /// The probability of one kind.
    pub fn probability(&self, fault: Fault) -> f64 {
        self.probability[fault as usize]
    }
}

/// What an error of accept(2) does to the first connection of the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BacklogEffect {
    /// The connection is lost, because the error concerns this connection.
    Removed,
    /// The connection stays in the backlog.
    Kept,
}

/// The errors that accept(2) documents, except EAGAIN.
pub(crate) const ACCEPT_ERRORS: &[(i32, &str, BacklogEffect)] = &[
    (libc::ECONNABORTED, "accept: ECONNABORTED", BacklogEffect::Removed),
    (libc::EPERM, "accept: EPERM", BacklogEffect::Removed),
    (libc::EPROTO, "accept: EPROTO", BacklogEffect::Removed),
    (libc::ENETDOWN, "accept: ENETDOWN", BacklogEffect::Removed),
    (libc::ENOPROTOOPT, "accept: ENOPROTOOPT", BacklogEffect::Removed),
    (libc::EHOSTDOWN, "accept: EHOSTDOWN", BacklogEffect::Removed),
    (libc::EHOSTUNREACH, "accept: EHOSTUNREACH", BacklogEffect::Removed),
    (libc::EOPNOTSUPP, "accept: EOPNOTSUPP", BacklogEffect::Removed),
    (libc::ENETUNREACH, "accept: ENETUNREACH", BacklogEffect::Removed),
    (libc::ETIMEDOUT, "accept: ETIMEDOUT", BacklogEffect::Removed),
    #[cfg(target_os = "linux")]
    (libc::ENONET, "accept: ENONET", BacklogEffect::Removed),
    (libc::EINTR, "accept: EINTR", BacklogEffect::Kept),
    (libc::EMFILE, "accept: EMFILE", BacklogEffect::Kept),
    (libc::ENFILE, "accept: ENFILE", BacklogEffect::Kept),
    (libc::ENOBUFS, "accept: ENOBUFS", BacklogEffect::Kept),
    (libc::ENOMEM, "accept: ENOMEM", BacklogEffect::Kept),
    #[cfg(target_os = "linux")]
    (libc::ENOSR, "accept: ENOSR", BacklogEffect::Kept),
    (libc::ESOCKTNOSUPPORT, "accept: ESOCKTNOSUPPORT", BacklogEffect::Kept),
    (libc::EPROTONOSUPPORT, "accept: EPROTONOSUPPORT", BacklogEffect::Kept),
    (libc::EINVAL, "accept: EINVAL", BacklogEffect::Kept),
];

/// The errors of an accept outage: the process or the machine has run out of a resource.
pub(crate) const ACCEPT_OUTAGE_ERRORS: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];

/// The ways in which a call finds its connection broken.
pub(crate) const BREAKS: [(Fault, i32); 3] =
    [(Fault::Reset, libc::ECONNRESET), (Fault::BrokenPipe, libc::EPIPE), (Fault::TimedOut, libc::ETIMEDOUT)];

/// How often each kind of fault was injected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    faults: [u64; Fault::ALL.len()],
    accept_errors: [u64; ACCEPT_ERRORS.len()],
}

impl FaultCounts {
    /// The count of one kind.
    pub fn of(&self, fault: Fault) -> u64 {
        self.faults[fault as usize]
    }

    /// The name and count of each kind and of each error of accept(2).
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let faults = Fault::ALL.into_iter().map(|fault| (fault.name(), self.of(fault)));
        let errors = ACCEPT_ERRORS.iter().zip(self.accept_errors).map(|((_, name, _), count)| (*name, count));
        faults.chain(errors)
    }

    pub(super) fn count(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    pub(super) fn count_accept_error(&mut self, errno: i32) {
        let index = ACCEPT_ERRORS
            .iter()
            .position(|(number, _, _)| *number == errno)
            .expect("every injected error is in the list");
        self.accept_errors[index] += 1;
    }
}

impl AddAssign<&Self> for FaultCounts {
    fn add_assign(&mut self, other: &Self) {
        add_each(&mut self.faults, &other.faults);
        add_each(&mut self.accept_errors, &other.accept_errors);
    }
}

fn add_each(totals: &mut [u64], counts: &[u64]) {
    for (total, count) in totals.iter_mut().zip(counts) {
        *total += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_the_faults_in_order() {
        for (index, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, index);
        }
    }

    #[test]
    fn seeds_draw_different_faults_and_leave_some_out() {
        let worlds: Vec<Faults> = (0..100).map(Faults::drawn_from).collect();
        for fault in Fault::ALL.into_iter().filter(|fault| fault.probability_max() > 0.0) {
            let present = worlds.iter().filter(|world| world.probability(fault) > 0.0).count();
            assert!((40..95).contains(&present), "{} in {present} of 100 worlds", fault.name());
        }
    }

    #[test]
    fn delay_faults_lose_nothing() {
        for seed in 0..100 {
            let faults = Faults::delays_drawn_from(seed);
            assert!(Fault::ALL.iter().all(|&kind| kind.cost() == FaultCost::Delay || faults.probability(kind) == 0.0));
        }
    }
}
