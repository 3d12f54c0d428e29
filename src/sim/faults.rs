//! What goes wrong in a simulated world: the kinds of faults, how likely each is, how often each hit.
//!
//! Nothing here does harm: where a fault strikes, and what it then does, is decided in the room
//! that simulates the call.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::time::Duration;

use super::rng::Rng;

/// Declares the kinds of faults: each with its name, how likely a hostile world makes it at most,
/// and whether a service may notice it.
macro_rules! faults {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $most:literal, $harm:ident;)*) => {
        /// One kind of thing that goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fault {
            $($(#[$doc])* $kind,)*
        }

        impl Fault {
            /// Every kind: `ALL[fault as usize] == fault`.
            pub const ALL: [Self; [$($most),*].len()] = [$(Self::$kind),*];

            /// The kind in a few words, for reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The highest probability that a seed may draw for it.
            const fn probability_max(self) -> f64 {
                match self { $(Self::$kind => $most,)* }
            }

            /// Whether it costs more than time.
            pub const fn harm(self) -> Harm {
                match self { $(Self::$kind => Harm::$harm,)* }
            }
        }
    };
}

/// What a fault costs those whom it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Only time: who waits and tries again loses nothing.
    Delay,
    /// A connection, or some of its bytes.
    Loss,
}

faults! {
    /// A read gives less than there is.
    ShortRead = "short read", 0.9, Delay;
    /// A write takes less than there is room for.
    ShortWrite = "short write", 0.9, Delay;
    /// A read would block though there is something to read; an edge follows.
    ReadBlocks = "read would block", 0.4, Delay;
    /// A write would block though there is room; an edge follows.
    WriteBlocks = "write would block", 0.4, Delay;
    /// A read is interrupted.
    ReadInterrupted = "read interrupted", 0.4, Delay;
    /// A write is interrupted.
    WriteInterrupted = "write interrupted", 0.4, Delay;
    /// The connection is reset at a call.
    Reset = "connection reset", 0.02, Loss;
    /// The connection is found broken at a call.
    BrokenPipe = "broken pipe", 0.02, Loss;
    /// The connection times out at a call.
    TimedOut = "connection timed out", 0.02, Loss;
    /// An accept would block though the backlog holds somebody; an edge follows.
    AcceptBlocks = "accept would block", 0.4, Delay;
    /// An accept fails with one of the errors of accept(2).
    AcceptFails = "accept fails", 0.8, Loss;
    /// For a while every accept fails for want of descriptors or memory.
    AcceptSpell = "spell of accept errors", 0.1, Delay;
    /// A stream cannot be registered.
    RegisterFails = "register fails", 0.2, Loss;
    /// A poll returns early and empty-handed.
    EmptyPoll = "empty poll", 0.3, Delay;
    /// A poll brings less than is ready.
    SmallBatch = "small batch", 0.9, Delay;
    /// A poll brings its facts in any order.
    Shuffled = "shuffled batch", 0.9, Delay;
    /// A fact that is not true.
    Spurious = "spurious fact", 0.4, Delay;
    /// A fact that is told twice in one batch.
    Duplicate = "duplicate fact", 0.4, Delay;
    /// A fact about a stream that was dropped.
    Former = "fact of a former stream", 0.4, Delay;
    /// A peer acts between two calls of the server.
    Interleaved = "peer acts between calls", 0.5, Delay;
    /// A connection whose kernels keep few bytes, down to a single one.
    SmallBuffer = "small kernel buffer", 0.9, Delay;
    /// A peer's reset destroys bytes that it had sent before.
    ResetOvertakes = "reset overtakes bytes", 0.9, Loss;
    /// The clock does not move between two polls.
    ClockStands = "clock stands", 0.9, Delay;
    /// The clock moves by one nanosecond.
    ClockCreeps = "clock creeps", 0.5, Delay;
    /// The clock jumps an hour ahead: every deadline passes.
    ClockJumpsHour = "clock jumps an hour", 0.005, Loss;
    /// The clock jumps 50 days ahead, more milliseconds than 32 bits hold.
    ClockJumpsDays = "clock jumps 50 days", 0.005, Loss;
    // The rest comes from the habits of peers and is only counted here.
    /// A peer ends its direction and reads on.
    HalfClose = "half-close by a peer", 0.0, Delay;
    /// A peer ends its direction before all is sent that it wanted to send.
    EarlyFin = "FIN at any byte", 0.0, Loss;
    /// A peer resets.
    PeerResets = "reset by a peer", 0.0, Loss;
    /// A peer closes, whatever is unread or unsent.
    PeerCloses = "close by a peer", 0.0, Loss;
    /// Bytes wait for a peer that never reads.
    NeverReads = "peer never reads", 0.0, Loss;
}

/// How likely each kind of fault is in one world.
#[derive(Clone, Debug)]
pub struct Faults {
    probability: [f64; Fault::ALL.len()],
    /// How far the clock moves between two polls, at most.
    pub(super) turn_span_max: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

impl Faults {
    /// A kind world: nothing goes wrong.
    pub const fn none() -> Self {
        Self { probability: [0.0; Fault::ALL.len()], turn_span_max: Duration::ZERO }
    }

    /// A hostile world: the probability of each kind is drawn from the seed.
    ///
    /// A third of the kinds stays away, so that a fault is also met alone; the others come from
    /// rarely to nearly always.
    pub fn drawn_from(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut faults = Self::none();
        for fault in Fault::ALL {
            if rng.chance(2.0 / 3.0) {
                // From the most to a sixteenth of it.
                let halvings = rng.below(5) as i32;
                faults.probability[fault as usize] = fault.probability_max() * 0.5_f64.powi(halvings);
            }
        }
        // From a loop that is faster than the clock's step to one that is slower than a timer's tick.
        faults.turn_span_max = Duration::from_nanos(1 << rng.below(28));
        faults
    }

    /// As [`Faults::drawn_from`], with only those faults that cost nothing but time: a right
    /// service gives the same answers as in a kind world.
    pub fn delays_drawn_from(seed: u64) -> Self {
        let mut faults = Self::drawn_from(seed);
        for fault in Fault::ALL.into_iter().filter(|fault| fault.harm() == Harm::Loss) {
            faults.probability[fault as usize] = 0.0;
        }
        faults
    }

    /// The same with another probability for one kind.
    pub fn with(mut self, fault: Fault, probability: f64) -> Self {
        self.probability[fault as usize] = probability;
        self
    }

    /// How likely one kind is.
    pub fn probability(&self, fault: Fault) -> f64 {
        self.probability[fault as usize]
    }
}

/// What an error of accept(2) does to the connection at the head of the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// It is lost: the error was its own.
    Taken,
    /// It stays and waits.
    Kept,
}

/// The errors of accept(2) beside EAGAIN, and those that it says may come besides.
pub(super) const ACCEPT_ERRORS: &[(i32, &str, Head)] = &[
    (libc::ECONNABORTED, "accept: ECONNABORTED", Head::Taken),
    (libc::EPERM, "accept: EPERM", Head::Taken),
    (libc::EPROTO, "accept: EPROTO", Head::Taken),
    (libc::ENETDOWN, "accept: ENETDOWN", Head::Taken),
    (libc::ENOPROTOOPT, "accept: ENOPROTOOPT", Head::Taken),
    (libc::EHOSTDOWN, "accept: EHOSTDOWN", Head::Taken),
    (libc::EHOSTUNREACH, "accept: EHOSTUNREACH", Head::Taken),
    (libc::EOPNOTSUPP, "accept: EOPNOTSUPP", Head::Taken),
    (libc::ENETUNREACH, "accept: ENETUNREACH", Head::Taken),
    (libc::ETIMEDOUT, "accept: ETIMEDOUT", Head::Taken),
    #[cfg(target_os = "linux")]
    (libc::ENONET, "accept: ENONET", Head::Taken),
    (libc::EINTR, "accept: EINTR", Head::Kept),
    (libc::EMFILE, "accept: EMFILE", Head::Kept),
    (libc::ENFILE, "accept: ENFILE", Head::Kept),
    (libc::ENOBUFS, "accept: ENOBUFS", Head::Kept),
    (libc::ENOMEM, "accept: ENOMEM", Head::Kept),
    (libc::ENOSR, "accept: ENOSR", Head::Kept),
    (libc::ESOCKTNOSUPPORT, "accept: ESOCKTNOSUPPORT", Head::Kept),
    (libc::EPROTONOSUPPORT, "accept: EPROTONOSUPPORT", Head::Kept),
    (libc::EINVAL, "accept: EINVAL", Head::Kept),
];

/// Those that come in spells: the process or the machine has run out of something.
pub(super) const ACCEPT_EXHAUSTED: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];

/// How often each kind of fault really struck.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    faults: [u64; Fault::ALL.len()],
    accept_errors: [u64; ACCEPT_ERRORS.len()],
}

impl FaultCounts {
    /// How often one kind struck.
    pub fn of(&self, fault: Fault) -> u64 {
        self.faults[fault as usize]
    }

    /// Every kind and every error of accept(2), by name.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let faults = Fault::ALL.into_iter().map(|fault| (fault.name(), self.of(fault)));
        let errors = ACCEPT_ERRORS.iter().zip(self.accept_errors).map(|((_, name, _), count)| (*name, count));
        faults.chain(errors)
    }

    pub(super) fn count(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    pub(super) fn count_accept_error(&mut self, errno: i32) {
        let place = ACCEPT_ERRORS.iter().position(|(number, _, _)| *number == errno).expect("a listed error");
        self.accept_errors[place] += 1;
    }
}

impl AddAssign<&Self> for FaultCounts {
    fn add_assign(&mut self, other: &Self) {
        add_each(&mut self.faults, &other.faults);
        add_each(&mut self.accept_errors, &other.accept_errors);
    }
}

impl Add<&Self> for FaultCounts {
    type Output = Self;

    fn add(mut self, other: &Self) -> Self {
        self += other;
        self
    }
}

fn add_each(sums: &mut [u64], counts: &[u64]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count;
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.rows() {
            writeln!(f, "{name:<26} {count:>12}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_stands_at_its_own_place() {
        for (place, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, place);
        }
    }

    #[test]
    fn seeds_draw_different_worlds_and_leave_some_faults_out() {
        let worlds: Vec<Faults> = (0..100).map(Faults::drawn_from).collect();
        for fault in Fault::ALL.into_iter().filter(|fault| fault.probability_max() > 0.0) {
            let present = worlds.iter().filter(|world| world.probability(fault) > 0.0).count();
            assert!((40..95).contains(&present), "{} in {present} of 100 worlds", fault.name());
        }
    }

    #[test]
    fn a_world_of_delays_has_no_losses() {
        for seed in 0..100 {
            let faults = Faults::delays_drawn_from(seed);
            assert!(Fault::ALL.iter().all(|&kind| kind.harm() == Harm::Delay || faults.probability(kind) == 0.0));
        }
    }
}
