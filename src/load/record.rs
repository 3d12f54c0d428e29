//! `Record`: one run as plain data, to be kept, compared and drawn again.
//!
//! It measures nothing and prints nothing: the generator fills it, any number of printers read it.
//!
//! # The schema
//!
//! `bench --json` prints one record as JSON. Its members are the fields below, under their names:
//!
//! - `schema` is always `"readyloop.run"`, `version` is [`VERSION`]. A field that is added leaves
//!   the version as it is: readers pass over those that they do not know, and read 0 where a record
//!   does not have it yet. A field that goes or changes its meaning raises it.
//! - The end of a name is its unit: `_ns` is whole nanoseconds, `_bytes` bytes. A rate is per second.
//! - What was not measured, or not asked for, is `null`.
//! - Latencies are histograms, see [`Latencies`]: `buckets` has pairs of the highest latency of a
//!   bucket and how many fell into it. So runs can be merged, and any percentile be read.
//! - Names of kinds are in kebab case: `"timed-out"`.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Latencies;

/// What every record calls itself.
pub const SCHEMA: &str = "readyloop.run";

/// The version of the schema that is written, and the latest that is read.
pub const VERSION: u32 = 1;

/// One run: where, what was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: String,
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// What the run is called in a report; by default its address.
    pub name: String,
    /// When it began, in seconds since 1970 (UTC).
    pub begun_unix_s: u64,
    /// Where it took place.
    pub machine: Machine,
    /// What was asked for.
    #[serde(rename = "asked")]
    pub config: RunConfig,
    /// How it ended.
    pub ending: RunEnd,
    /// What became of the requests.
    pub requests: Requests,
    /// What became of the connections.
    pub connections: Connections,
    /// What went wrong, most frequent first; empty when nothing did.
    pub errors: Vec<ErrorCount>,
    /// From when a request left until its answer was there; at a fixed rate from when it was *to*
    /// leave. A connection that is made for one request counts from the beginning of its connect.
    pub latency: Latencies,
    /// At a fixed rate: from when a request really left. `null` in a closed loop, where that is the
    /// same.
    pub service: Option<Latencies>,
    /// The measured time in pieces of equal length, in their order.
    pub series: Vec<Interval>,
    /// What the run cost the generator itself.
    pub generator: GeneratorCost,
    /// What it cost the server, where its process was known.
    pub server: Option<ServerCost>,
}

/// Where a run took place, and with what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The version of readyloop.
    pub readyloop: String,
    /// The kernel: `Linux 6.12.0`.
    pub kernel: String,
    /// The model of the processor.
    pub processor: String,
    /// How many cores the generator could use.
    pub cores: u64,
    /// The congestion control of TCP.
    pub congestion_control: String,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// The server: `tcp://127.0.0.1:7007`.
    pub address: String,
    /// What carries the bytes.
    pub transport: Transport,
    /// How requests are framed: `raw`, `lines`, `length`, `fixed:16`.
    pub framing: String,
    /// Connections that carry requests.
    pub connections: u64,
    /// Connections beside them that carry nothing.
    pub idle_connections: u64,
    /// The length of a request, and so of its answer, without what the framing puts around it.
    pub message_bytes: u64,
    /// How many requests a connection may have under way at once.
    pub pipeline: u64,
    /// Requests a second, of all connections together; `null`: a closed loop, in which a request
    /// leaves when an answer has come.
    pub rate: Option<f64>,
    /// Whether every request has a connection of its own.
    pub churn: bool,
    /// The most connections that are begun in a second; `null`: as many as the kernel takes.
    pub connect_rate: Option<f64>,
    /// The addresses to connect from; empty: the kernel's choice.
    pub sources: Vec<String>,
    /// For how long to measure; `null` when a number of requests was asked for.
    pub duration_ns: Option<u64>,
    /// How many requests to measure; `null` when a time was asked for.
    pub requests: Option<u64>,
    /// For how long requests are made before any counts.
    pub warm_up_ns: u64,
    /// How long an answer, or a connection, may take.
    pub timeout_ns: u64,
    /// Whether every byte that came back was compared with what it should be.
    pub verified: bool,
}

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A TCP connection.
    Tcp,
    /// TLS over a TCP connection.
    Tls,
    /// A Unix socket.
    Unix,
    /// Datagrams: what is lost is counted, and is no error.
    Udp,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    /// As asked.
    Done,
    /// Somebody interrupted it; what was measured until then stands.
    Interrupted,
    /// No connection was left to go on with.
    Abandoned,
}

/// What became of the requests that belong to the measured time.
///
/// `sent = answered + failed + lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// Those that left.
    pub sent: u64,
    /// Those whose answer came, whole and in time, and right as far as it was looked at.
    pub answered: u64,
    /// Those whose answer did not come, or was wrong.
    pub failed: u64,
    /// Datagrams without an answer in time.
    pub lost: u64,
    /// At a fixed rate: those that were to leave and never could.
    pub unsent: u64,
    /// The length of the measured time.
    pub measured_ns: u64,
    /// Answers a second in the measured time.
    pub rate: f64,
    /// Bytes that left in the measured time.
    pub sent_bytes: u64,
    /// Bytes that came in the measured time.
    pub received_bytes: u64,
}

/// What became of the connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// Those that came about.
    pub opened: u64,
    /// Those that did not, and those that were not even begun because none came about any more.
    pub failed: u64,
    /// Those that came about and broke.
    pub broken: u64,
    /// Those that carried requests and never an answer: a server with fewer threads than peers keeps
    /// them waiting.
    #[serde(default)]
    pub silent: u64,
    /// The most that were open at once.
    pub open_max: u64,
    /// From the beginning of the first until the last of those that stay was there.
    pub opening_ns: u64,
    /// From when each was begun until it could carry bytes, over TLS until both had agreed.
    pub latency: Latencies,
}

/// How often one kind of thing went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// What went wrong.
    pub kind: ErrorKind,
    /// How often.
    pub count: u64,
    /// The first of them, in words.
    pub example: String,
}

/// What can go wrong with a connection, a request or the generator itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Nobody listens there.
    Refused,
    /// No way leads there.
    Unreachable,
    /// There was no connection in time.
    ConnectTimedOut,
    /// Both could not agree on TLS, or it broke.
    Tls,
    /// The server broke a connection off.
    Reset,
    /// The server ended a connection that had more to ask.
    Ended,
    /// No answer came in time.
    TimedOut,
    /// What came back is not what was sent.
    Mismatch,
    /// The generator had no descriptor left (`EMFILE`, `ENFILE`): its own limit.
    NoDescriptors,
    /// The generator had no local port left (`EADDRNOTAVAIL`): its own limit.
    NoPorts,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::Refused,
        Self::Unreachable,
        Self::ConnectTimedOut,
        Self::Tls,
        Self::Reset,
        Self::Ended,
        Self::TimedOut,
        Self::Mismatch,
        Self::NoDescriptors,
        Self::NoPorts,
        Self::Other,
    ];

    /// Whether it says something of the generator's machine and nothing of the server.
    pub const fn is_own(self) -> bool {
        matches!(self, Self::NoDescriptors | Self::NoPorts)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimedOut => "connect timed out",
            Self::Tls => "no TLS",
            Self::Reset => "reset",
            Self::Ended => "ended by the server",
            Self::TimedOut => "timed out",
            Self::Mismatch => "mismatch",
            Self::NoDescriptors => "no descriptors (ours)",
            Self::NoPorts => "no ports (ours)",
            Self::Other => "other",
        })
    }
}

/// A piece of the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// When it began, since the measured time did.
    pub begin_ns: u64,
    /// Its length; the last may be shorter.
    pub span_ns: u64,
    /// Answers that came in it.
    pub answered: u64,
    /// What went wrong in it.
    pub errors: u64,
    /// The latencies of these answers, to two digits; 0 where none came.
    pub p50_ns: u64,
    /// As `p50_ns`.
    pub p90_ns: u64,
    /// As `p50_ns`.
    pub p99_ns: u64,
    /// As `p50_ns`.
    pub max_ns: u64,
}

/// What a run cost the generator itself, in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorCost {
    /// User and system time.
    pub cpu_ns: u64,
    /// The part of the measured time in which it ran: 1 is all of one core.
    pub busy: f64,
    /// The part in which it could have run and had no core; 0 also where that was not told.
    #[serde(default)]
    pub waited: f64,
    /// Whether it rested so little that it may have been what was measured.
    pub was_bottleneck: bool,
    /// Memory of its own for each connection; `null` when that could not be told.
    pub memory_per_connection_bytes: Option<u64>,
}

/// What a run cost the server's process, in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    /// Its number.
    pub pid: u32,
    /// User and system time of all its threads.
    pub cpu_ns: u64,
    /// The same for each answer.
    pub cpu_per_request_ns: Option<u64>,
    /// Memory of its own before the first connection.
    pub memory_before_bytes: u64,
    /// Memory of its own with all connections open.
    pub memory_bytes: u64,
    /// The difference for each connection.
    pub memory_per_connection_bytes: Option<u64>,
    /// Threads with all connections open.
    pub threads: u64,
    /// How often a thread of it gave up a core by itself; unknown where so many threads could not
    /// be looked at in time.
    pub switches_voluntary: Option<u64>,
    /// How often a core was taken from a thread of it; unknown likewise.
    pub switches_involuntary: Option<u64>,
}

/// Why a text is no record that can be read.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It is no JSON, or something is missing in it.
    #[error("no record of a run: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is something else.
    #[error("no record of a run: it has no \"schema\": \"{SCHEMA}\"")]
    Foreign,
    /// A later program wrote it.
    #[error("version {0} of the schema; this program reads up to {VERSION}")]
    TooNew(u32),
    /// Its numbers contradict each other.
    #[error("its latencies do not add up")]
    Inconsistent,
}

impl Record {
    /// The record as JSON, with its line end.
    ///
    /// # Panics
    /// Never: all that it holds can be written.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string(self).expect("names and numbers can be written");
        json.push('\n');
        json
    }

    /// Reads what [`Self::to_json`] has written, in this version of the schema or an earlier one.
    ///
    /// # Errors
    /// It is no such text.
    pub fn from_json(json: &str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct RecordHead {
            #[serde(default)]
            schema: String,
            #[serde(default)]
            version: u32,
        }
        let head: RecordHead = serde_json::from_str(json)?;
        match head {
            RecordHead { schema, .. } if schema != SCHEMA => return Err(RecordError::Foreign),
            RecordHead { version, .. } if version > VERSION => return Err(RecordError::TooNew(version)),
            RecordHead { .. } => {}
        }
        let record: Self = serde_json::from_str(json)?;
        let latencies = [Some(&record.latency), Some(&record.connections.latency), record.service.as_ref()];
        let adds_up = latencies.into_iter().flatten().all(Latencies::is_consistent);
        if adds_up { Ok(record) } else { Err(RecordError::Inconsistent) }
    }

    /// How many things went wrong.
    pub fn error_count(&self) -> u64 {
        self.errors.iter().map(|error| error.count).sum()
    }

    /// Whether anything failed that was asked for; a datagram that was lost did not.
    pub fn has_failed(&self) -> bool {
        self.error_count() > 0 || self.requests.failed > 0 || self.connections.failed > 0
    }
}

#[cfg(test)]
mod tests;
