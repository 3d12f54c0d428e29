//! [`FaultPlan`]: which faults are injected, how often, and from which seed.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// Declares the kinds of faults with their names.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal;)*) => {
        /// One kind of fault of a real network.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FaultKind {
            $($(#[$doc])* $kind,)*
        }

        impl FaultKind {
            /// All kinds, where `ALL[kind as usize] == kind`.
            pub(super) const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The names of all kinds, as [`FaultPlan`] parses them.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The name of the kind.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// A read returns at most 16 bytes, although more are available.
    ShortRead = "short-read";
    /// A write takes at most 16 bytes, although there is space for more.
    ShortWrite = "short-write";
    /// A read, a write or an accept would block although it could succeed. An event follows.
    WouldBlock = "would-block";
    /// A read or a write is interrupted by a signal (EINTR).
    Interrupted = "interrupted";
    /// A call finds the connection reset (ECONNRESET). The peer gets a reset too.
    Reset = "reset";
    /// A call finds the connection broken (EPIPE). The peer gets a reset.
    BrokenPipe = "broken-pipe";
    /// A call finds the connection timed out (ETIMEDOUT). The peer gets a reset.
    TimedOut = "timed-out";
    /// An accept fails with one of the errors of accept(2). Some of them cost the peer its connection.
    AcceptError = "accept-error";
    /// For up to five seconds, every accept fails because descriptors or memory are exhausted.
    Emfile = "emfile";
    /// An accepted stream cannot be registered (ENOMEM or ENOSPC).
    RegisterError = "register-error";
    /// A poll also returns an event that no source has caused. Its source may be closed already.
    Spurious = "spurious";
    /// A poll returns an event twice.
    Duplicate = "duplicate";
    /// An event is held back for up to `delay-ms` milliseconds.
    Delay = "delay";
    /// A datagram is lost, in either direction.
    DatagramLoss = "datagram-loss";
}

/// The most milliseconds that an event can be held back.
const DELAY_MS_MAX: u16 = 60_000;

/// Which kinds of faults are injected, how often, and from which seed.
///
/// It is parsed from `short-read=0.3,reset=0.001,seed=7`. Each kind of [`FaultKind`] has the probability of
/// one call or event, from 0 to 1. Without a seed, a random one is drawn. `delay-ms=50` is the longest time that
/// `delay` holds an event back, 10 ms by default. Printed, it is a text that repeats the plan.
///
/// ```
/// use readyloop::faulty::{FaultKind, FaultPlan};
///
/// let plan: FaultPlan = "short-read=0.3,seed=7".parse().unwrap();
/// assert_eq!(plan.probability(FaultKind::ShortRead), 0.3);
/// assert_eq!(plan.to_string(), "short-read=0.3,seed=7");
/// assert!("short-read=1.5".parse::<FaultPlan>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FaultPlan {
    probability: [f64; FaultKind::ALL.len()],
    delay_ms: Option<u16>,
    seed: u64,
}

/// The text is not a [`FaultPlan`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FaultPlanError {
    /// The text names no fault.
    #[error("no fault is named")]
    Empty,
    /// A part has no `=`.
    #[error("`{0}` has no value")]
    NoValue(String),
    /// No kind of fault has this name.
    #[error("`{0}` is not a kind of fault")]
    UnknownKind(String),
    /// A name occurs twice.
    #[error("`{0}` is given twice")]
    Repeated(String),
    /// A probability is not a number from 0 to 1.
    #[error("the probability of `{0}` must be a number from 0 to 1")]
    BadProbability(String),
    /// The seed is not a whole number below 2^64.
    #[error("the seed must be a whole number from 0 to {}", u64::MAX)]
    BadSeed,
    /// The delay is not a whole number of milliseconds in its range.
    #[error("`delay-ms` must be a whole number of milliseconds from 1 to {DELAY_MS_MAX}")]
    BadDelay,
}

impl FaultPlan {
    /// The probability of one kind.
    pub fn probability(&self, kind: FaultKind) -> f64 {
        self.probability[kind as usize]
    }

    /// The seed that decides when each fault occurs.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The longest time that an event is held back.
    pub(super) fn delay_max(&self) -> Duration {
        Duration::from_millis(self.delay_ms.unwrap_or(10).into())
    }
}

impl FromStr for FaultPlan {
    type Err = FaultPlanError;

    fn from_str(text: &str) -> Result<Self, FaultPlanError> {
        let mut plan = Self { probability: [0.0; FaultKind::ALL.len()], delay_ms: None, seed: 0 };
        let mut names = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, value) = part.split_once('=').ok_or_else(|| match part {
                "" => FaultPlanError::Empty,
                part => FaultPlanError::NoValue(part.to_owned()),
            })?;
            if names.contains(&name) {
                return Err(FaultPlanError::Repeated(name.to_owned()));
            }
            names.push(name);
            plan.assign(name, value)?;
        }
        if names.iter().all(|name| ["seed", "delay-ms"].contains(name)) {
            return Err(FaultPlanError::Empty);
        }
        if !names.contains(&"seed") {
            // The only source of randomness in std: the system seeds a `RandomState`.
            plan.seed = RandomState::new().hash_one(0);
        }
        Ok(plan)
    }
}

impl FaultPlan {
    fn assign(&mut self, name: &str, value: &str) -> Result<(), FaultPlanError> {
        if name == "seed" {
            self.seed = value.parse().map_err(|_| FaultPlanError::BadSeed)?;
            return Ok(());
        }
        if name == "delay-ms" {
            let delay = value.parse().ok().filter(|delay| (1..=DELAY_MS_MAX).contains(delay));
            self.delay_ms = Some(delay.ok_or(FaultPlanError::BadDelay)?);
            return Ok(());
        }
        let kind = FaultKind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| FaultPlanError::UnknownKind(name.to_owned()))?;
        let probability = value.parse().ok().filter(|probability| (0.0..=1.0).contains(probability));
        let probability = probability.filter(|probability: &f64| probability.is_sign_positive());
        self.probability[kind as usize] = probability.ok_or_else(|| FaultPlanError::BadProbability(name.to_owned()))?;
        Ok(())
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in FaultKind::ALL.into_iter().filter(|kind| self.probability(*kind) > 0.0) {
            write!(f, "{}={},", kind.name(), self.probability(kind))?;
        }
        if let Some(delay_ms) = self.delay_ms {
            write!(f, "delay-ms={delay_ms},")?;
        }
        write!(f, "seed={}", self.seed)
    }
}

/// How often each kind of fault was injected.
///
/// Printed, it lists the kinds that occurred: `short-read 12, reset 1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InjectedFaults {
    counts: [u64; FaultKind::ALL.len()],
}

impl InjectedFaults {
    /// The count of one kind.
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.counts[kind as usize]
    }

    pub(super) fn count(&mut self, kind: FaultKind) {
        self.counts[kind as usize] += 1;
    }
}

impl fmt::Display for InjectedFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for kind in FaultKind::ALL.into_iter().filter(|kind| self.of(*kind) > 0) {
            write!(f, "{separator}{} {}", kind.name(), self.of(kind))?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, FaultPlanError>) {
        let printed = text.parse::<FaultPlan>().map(|plan| plan.to_string());
        assert_eq!(printed, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn a_plan_is_printed_as_it_is_parsed() {
        check("short-read=0.3,reset=0.001,seed=7", Ok("short-read=0.3,reset=0.001,seed=7"));
        check(" seed=7 , delay=1 , delay-ms=60000 ", Ok("delay=1,delay-ms=60000,seed=7"));
        check("reset=0,seed=18446744073709551615", Ok("seed=18446744073709551615"));
        for name in FaultKind::NAMES {
            check(&format!("{name}=1e-3,seed=0"), Ok(&format!("{name}=0.001,seed=0")));
        }
    }

    #[test]
    fn a_text_that_is_not_a_plan_is_refused_with_the_reason() {
        use FaultPlanError::*;
        for empty in ["", " ", ",", "reset=1,", "seed=7", "seed=7,delay-ms=5"] {
            check(empty, Err(Empty));
        }
        check("short-read", Err(NoValue("short-read".to_owned())));
        check("short-reed=1", Err(UnknownKind("short-reed".to_owned())));
        check("=1", Err(UnknownKind(String::new())));
        check("reset=1,reset=1", Err(Repeated("reset".to_owned())));
        check("reset=0.1,seed=1,seed=2", Err(Repeated("seed".to_owned())));
        for value in ["", "-0", "-0.1", "1.1", "NaN", "inf", "-inf", "1e999", "half", "0x1", "\u{661}", "0 .5"] {
            check(&format!("reset={value},seed=1"), Err(BadProbability("reset".to_owned())));
        }
        for value in ["", "-1", "18446744073709551616", "1.5"] {
            check(&format!("reset=1,seed={value}"), Err(BadSeed));
        }
        for value in ["0", "60001", "-1", "99999999999", "1ms"] {
            check(&format!("delay=1,delay-ms={value}"), Err(BadDelay));
        }
    }

    #[test]
    fn a_plan_without_a_seed_draws_one() {
        let draw = || "reset=1".parse::<FaultPlan>().unwrap().seed();
        assert_ne!(draw(), draw());
    }

    #[test]
    fn counts_are_printed_by_name() {
        let mut injected = InjectedFaults::default();
        assert_eq!(injected.to_string(), "none");
        for kind in [FaultKind::Reset, FaultKind::ShortRead, FaultKind::Reset] {
            injected.count(kind);
        }
        assert_eq!(injected.to_string(), "short-read 1, reset 2");
    }
}
