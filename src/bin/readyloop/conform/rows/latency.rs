//! The latency of a neighbor, compared with its latency alone in the same run.

use std::fmt;
use std::time::{Duration, Instant};

use crate::conform::connection::Connection;
use crate::conform::verdict::Checked;
use crate::conform::wait::Wait;
use crate::quantity::Unit;

/// How long round trips are measured.
const SPAN: Duration = Duration::from_millis(500);

/// Time between two round trips. Without it, fast round trips would outnumber the slow ones.
const INTERVAL: Duration = Duration::from_millis(2);

/// A latency up to this is never too long, because a busy machine causes it as well.
const LATENCY_ALLOWED: Duration = Duration::from_millis(250);

/// A latency up to this many times of that alone is never too long.
const RATIO_ALLOWED: u32 = 20;

/// The time that 90 % of the round trips did not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latency(Duration);

impl Latency {
    /// Measures round trips of 64 bytes.
    pub(super) fn of(connection: &Connection<'_>, wait: &Wait<'_>) -> Checked<Self> {
        let (begun, mut times) = (Instant::now(), Vec::new());
        while begun.elapsed() < SPAN {
            let started = Instant::now();
            connection.echo(64)?;
            times.push(started.elapsed());
            wait.pause(INTERVAL)?;
        }
        times.sort_unstable();
        Ok(Self(times.get(times.len() * 9 / 10).copied().unwrap_or_default()))
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&Unit::Time.print(self.0.as_nanos() as f64))
    }
}

/// Whether a neighbor waits much longer than alone.
pub(super) fn is_slower(beside: Latency, alone: Latency) -> bool {
    beside.0 > LATENCY_ALLOWED.max(alone.0.saturating_mul(RATIO_ALLOWED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_latency_far_above_that_alone_is_too_long() {
        let latency = |millis| Latency(Duration::from_millis(millis));
        assert!(!is_slower(latency(250), latency(0)));
        assert!(is_slower(latency(251), latency(1)));
        assert!(!is_slower(latency(2_000), latency(100)));
        assert!(is_slower(latency(2_001), latency(100)));
        assert!(!is_slower(Latency(Duration::MAX), Latency(Duration::MAX)));
    }
}
