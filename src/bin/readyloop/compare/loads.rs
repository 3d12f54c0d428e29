//! The loads of a comparison, and the order of its trials.

use std::str::FromStr;

use crate::report::comparison::Load;
use crate::units::{ParseError, count};

/// Busy and idle connections: `100`, or `100+18900`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionCounts {
    pub(super) connections: u64,
    pub(super) idle_connections: u64,
}

impl FromStr for ConnectionCounts {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (connections, idle) = text.split_once('+').map_or((text, None), |(busy, idle)| (busy, Some(idle)));
        let connections = crate::units::above_zero(count::<u64>)(connections)?;
        Ok(Self { connections, idle_connections: idle.map_or(Ok(0), count)? })
    }
}

/// All combinations of connection counts and request lengths.
pub(super) fn loads(counts: &[ConnectionCounts], sizes: &[u64]) -> Vec<Load> {
    let each = sizes.iter().flat_map(|&message_bytes| {
        counts.iter().map(move |&ConnectionCounts { connections, idle_connections }| Load {
            message_bytes,
            connections,
            idle_connections,
        })
    });
    let mut loads: Vec<Load> = Vec::new();
    for load in each {
        // The same load twice would have twice as many rounds as the others.
        if !loads.contains(&load) {
            loads.push(load);
        }
    }
    loads
}

/// One server under one load in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScheduledTrial {
    /// The first round is 1.
    pub(super) round: u64,
    pub(super) load: Load,
    /// Index of the server.
    pub(super) server: usize,
}

/// The trials of a round in order: each load has every server.
///
/// The first server rotates from load to load and from round to round, so that none always runs first.
pub(super) fn schedule(round: u64, loads: &[Load], servers: usize) -> impl Iterator<Item = ScheduledTrial> {
    loads.iter().enumerate().flat_map(move |(index, &load)| {
        let first = round as usize - 1 + index;
        (0..servers).map(move |step| ScheduledTrial { round, load, server: (first + step) % servers })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(connections: u64, idle_connections: u64) -> ConnectionCounts {
        ConnectionCounts { connections, idle_connections }
    }

    #[test]
    fn every_round_has_every_server_under_every_load() {
        let loads = loads(&[counts(1, 0), counts(2, 0), counts(1, 0)], &[64]);
        assert_eq!(loads.len(), 2);
        let schedule: Vec<_> = (1..=3).flat_map(|round| schedule(round, &loads, 3)).collect();
        assert_eq!(schedule.len(), 3 * 2 * 3);
        for round in 1..=3 {
            for load in &loads {
                let mut servers: Vec<usize> = schedule
                    .iter()
                    .filter(|trial| trial.round == round && trial.load == *load)
                    .map(|trial| trial.server)
                    .collect();
                servers.sort_unstable();
                assert_eq!(servers, [0, 1, 2]);
            }
        }
        let first = |round| schedule.iter().find(|trial| trial.round == round).unwrap().server;
        assert_eq!([first(1), first(2), first(3)], [0, 1, 2]);
    }
}
