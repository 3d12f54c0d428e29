//! Parses the summary line that the server prints at its end and on SIGUSR1.

use std::collections::BTreeMap;

/// The numbers in a summary line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) connections: u64,
    pub(crate) open: u64,
    pub(crate) refused: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    closed: BTreeMap<String, u64>,
    /// Bytes read and not served, and bytes queued and not written.
    pub(crate) dropped_in: u64,
    pub(crate) dropped_out: u64,
}

impl Summary {
    /// The last summary among the lines of a log.
    #[track_caller]
    pub(crate) fn among(log: &[String]) -> Self {
        let line = log.iter().rev().find(|line| line.contains("; closed: "));
        let line = line.unwrap_or_else(|| panic!("no summary in the log:\n{}", log.join("\n")));
        Self::parse(line).unwrap_or_else(|| panic!("cannot parse: {line}"))
    }

    fn parse(line: &str) -> Option<Self> {
        let (counts, rest) = line.split_once("; closed: ")?;
        let closed = rest.split(';').next()?.split(", ").filter(|reason| *reason != "none").map(|reason| {
            let (name, count) = reason.rsplit_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        });
        let dropped = line.split_once("; dropped: ").map_or("", |(_, rest)| rest.split(';').next().unwrap_or(rest));
        Some(Self {
            connections: before(counts, " connection")?,
            open: before(counts, " open")?,
            refused: before(counts, " refused")?,
            bytes_in: before(counts, " bytes in").or_else(|| before(counts, " byte in"))?,
            bytes_out: before(counts, " out")?,
            closed: closed.collect::<Option<_>>()?,
            dropped_in: before(dropped, " bytes in").or_else(|| before(dropped, " byte in")).unwrap_or(0),
            dropped_out: before(dropped, " out").unwrap_or(0),
        })
    }

    /// The number of connections closed for this reason.
    pub(crate) fn closed(&self, reason: &str) -> u64 {
        self.closed.get(reason).copied().unwrap_or(0)
    }

    /// Whether every connection and every byte of an echo service is accounted for.
    pub(crate) fn reconciles_as_echo(&self) -> bool {
        self.connections == self.open + self.closed_in_all()
            && (self.open > 0 || self.bytes_in == self.bytes_out + self.dropped_in + self.dropped_out)
    }

    pub(crate) fn closed_in_all(&self) -> u64 {
        self.closed.values().sum()
    }
}

/// The number right before `name`.
fn before(text: &str, name: &str) -> Option<u64> {
    text.split_once(name)?.0.rsplit([' ', ',', ';']).next()?.parse().ok()
}
