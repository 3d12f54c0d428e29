//! `Record`: one run of the load generator as plain data, to be stored, compared and drawn.
//!
//! It measures nothing and prints nothing. The generator fills it; reports read it.
//!
//! # The schema
//!
//! `bench --json` prints one record as JSON. Its members are the fields below, under their names;
//! [`Record::latency`] is called `latency_ns`, and [`Record::service`] is called `service_ns`.
//!
//! - `schema` is always `"readyloop.run"` and `version` is [`VERSION`]. A new field does not change the
//!   version: readers ignore unknown fields, and use the default of a missing one: 0, `null`, or what its
//!   documentation says. Removing a field or changing its meaning raises the version.
//! - A name ends in its unit: `_ns` is whole nanoseconds, `_bytes` is bytes, `_per_s` is per second.
//! - A value that was not measured or not configured is `null`.
//! - Latencies are percentiles and a histogram, see [`Latencies`]. So runs can be merged, and any other
//!   percentile can be read.
//! - `errors` has the number of errors of each [`ErrorKind`], zeros included. `error_examples` has the
//!   message of the first error of each kind that occurred.
//! - Enum values are in snake case: `"timed_out"`.
//!
//! Files of version 1 are read as well, see `version_1`.

mod errors_by_kind;
mod schema;
mod version_1;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::latencies::Latencies;

pub use super::error_kind::{ErrorCount, ErrorKind};
pub use schema::{RecordError, SCHEMA, VERSION};

/// One run: the machine, the configuration and the results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: String,
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// Name of the run in reports; the server address by default.
    pub name: String,
    /// Start of the run, in seconds since 1970 (UTC).
    pub begun_unix_s: u64,
    /// Machine of the generator.
    pub machine: Machine,
    /// Configuration of the run.
    pub config: RunConfig,
    /// How the run ended.
    pub ending: RunEnd,
    /// Answers per second in the measured time.
    pub rate_per_s: f64,
    /// Results of the requests.
    pub requests: Requests,
    /// Results of the connections.
    pub connections: Connections,
    /// Errors by kind, most frequent first.
    #[serde(flatten, with = "errors_by_kind")]
    pub errors: Vec<ErrorCount>,
    /// Time from sending a request to its complete answer. At a fixed rate it starts at the *planned*
    /// time of the request. With one connection per request it starts at the connect.
    #[serde(rename = "latency_ns")]
    pub latency: Latencies,
    /// At a fixed rate: time from really sending a request to its complete answer. `null` in a closed
    /// loop, where both are the same.
    #[serde(rename = "service_ns")]
    pub service: Option<Latencies>,
    /// The measured time in intervals of equal length, in order.
    pub series: Vec<Interval>,
    /// Resources that the generator used.
    pub generator: GeneratorCost,
    /// Resources that the server used, if its process is known.
    pub server: Option<ServerCost>,
    /// What else used the cores of the generator's machine.
    #[serde(default)]
    pub other_work: OtherWork,
}

/// The machine of a run, and the version of readyloop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Version of readyloop.
    pub readyloop: String,
    /// Kernel: `Linux 6.12.0`.
    pub kernel: String,
    /// Model of the processor.
    pub processor: String,
    /// Number of cores that the generator could use.
    pub cores: u64,
    /// TCP congestion control algorithm.
    pub congestion_control: String,
}

/// Configuration of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Server address: `tcp://127.0.0.1:7007`.
    pub address: String,
    /// Transport of the connections.
    pub transport: Transport,
    /// Framing of requests and answers: `raw`, `lines`, `length`, `fixed:16`.
    pub framing: String,
    /// Number of threads of the generator; 1 in a file of an earlier version.
    #[serde(default = "one")]
    pub threads: u64,
    /// Number of connections that carry requests; with a ramp, the highest one.
    pub connections: u64,
    /// How that number changes; `null` if it does not.
    #[serde(default)]
    pub ramp: Option<RampConfig>,
    /// Number of additional idle connections.
    pub idle_connections: u64,
    /// Length of a request, without the bytes that the framing adds; the maximum, if lengths vary.
    pub message_bytes: u64,
    /// Minimum length of a request, if lengths vary: each length is equally probable. Otherwise `null`.
    #[serde(default)]
    pub message_bytes_min: Option<u64>,
    /// The first bytes of every request, with escapes; `null` if requests are made from a pattern.
    #[serde(default)]
    pub request: Option<String>,
    /// The expected answer: `bytes:+PONG\r\n`, `length:132`, `until:\r\n`; `null` if it is the request.
    #[serde(default)]
    pub answer: Option<String>,
    /// Maximum number of requests in flight on one connection.
    pub pipeline: u64,
    /// Requests per second over all connections. `null` is a closed loop, in which an answer triggers
    /// the next request.
    pub rate: Option<f64>,
    /// Time between an answer and the next request: `10ms`, `5ms..20ms`, `exp:10ms`; `null` is no time.
    #[serde(default)]
    pub think: Option<String>,
    /// After which time or number of requests a connection is replaced: `5s`, `100 requests`; `null` is never.
    #[serde(default)]
    pub lifetime: Option<String>,
    /// Whether every request uses a new connection.
    pub churn: bool,
    /// Maximum number of connects per second; `null` is no limit.
    pub connect_rate: Option<f64>,
    /// Source addresses; if empty, the kernel chooses.
    pub sources: Vec<String>,
    /// Configured measured time; `null` if `requests` is set.
    pub duration_ns: Option<u64>,
    /// Configured number of measured requests; `null` if `duration_ns` is set.
    pub requests: Option<u64>,
    /// Length of the warm-up, in which no request is measured.
    pub warm_up_ns: u64,
    /// Timeout of an answer and of a connect.
    pub timeout_ns: u64,
    /// Whether every received byte was compared with the expected one.
    pub verified: bool,
}

/// A number of connections that changes linearly from the start of the measured time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RampConfig {
    /// The first number.
    pub from: u64,
    /// The last number.
    pub to: u64,
    /// Length of the ramp, in which the first and the last number last as long as each other number.
    pub duration_ns: u64,
}

fn one() -> u64 {
    1
}

/// Transport of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP connections.
    Tcp,
    /// TLS over TCP connections.
    Tls,
    /// Unix stream sockets.
    Unix,
    /// UDP datagrams. Lost datagrams are counted and are no error.
    Udp,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// After the configured time or number of requests.
    Done,
    /// Interrupted by the user or by a signal. The measurements until then are valid.
    Interrupted,
    /// No usable connection was left.
    Abandoned,
}

/// Results of the requests that belong to the measured time.
///
/// `sent = answered + failed + lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Requests that were sent.
    pub sent: u64,
    /// Requests with a complete and correct answer in time.
    pub answered: u64,
    /// Requests without an answer, or with a wrong one.
    pub failed: u64,
    /// Datagrams without an answer in time.
    pub lost: u64,
    /// At a fixed rate: planned requests that were never sent.
    pub unsent: u64,
    /// Length of the measured time.
    pub measured_ns: u64,
    /// Bytes sent in the measured time.
    pub sent_bytes: u64,
    /// Bytes received in the measured time.
    pub received_bytes: u64,
}

/// Results of the connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    /// Connections that were established.
    pub opened: u64,
    /// Connects that failed, or were skipped because connects kept timing out.
    pub failed: u64,
    /// Established connections that failed later.
    pub broken: u64,
    /// Connections for requests that received no answer: a server with fewer threads than peers keeps some of
    /// them waiting. Connections without a request before the end count too.
    #[serde(default)]
    pub silent: u64,
    /// Highest number of open connections; with several threads, the sum of the highest number of each.
    pub open_max: u64,
    /// Time from the first connect until all lasting connections were open.
    pub opening_ns: u64,
    /// Time of each connect, with its TLS handshake if there is one.
    #[serde(rename = "latency_ns")]
    pub latency: Latencies,
}

/// Results of one interval of the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Start of the interval, from the start of the measured time.
    pub begin_ns: u64,
    /// Length of the interval; the last one may be shorter.
    pub span_ns: u64,
    /// Answers that were received in the interval.
    pub answered: u64,
    /// Errors in the interval.
    pub errors: u64,
    /// Open connections that carry requests, at the end of the interval. With one connection per request,
    /// those in use.
    #[serde(default)]
    pub connections: u64,
    /// Median latency of these answers, with a precision of two digits; 0 without answers.
    pub p50_ns: u64,
    /// 90th percentile, as `p50_ns`.
    pub p90_ns: u64,
    /// 99th percentile, as `p50_ns`.
    pub p99_ns: u64,
    /// Maximum, as `p50_ns`.
    pub max_ns: u64,
}

/// Resources that the generator used in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorCost {
    /// User and system CPU time of all threads.
    pub cpu_ns: u64,
    /// CPU time of the busiest thread as a fraction of the measured time: 1 is one full core.
    pub busy: f64,
    /// Fraction of the measured time in which this thread was runnable and waited for a core; 0 if unknown.
    #[serde(default)]
    pub waited: f64,
    /// Whether the idle time of this thread was so short that it may have limited the results.
    pub was_bottleneck: bool,
    /// Anonymous memory per connection; `null` if unknown.
    pub memory_per_connection_bytes: Option<u64>,
}

/// Resources of the server in the measured time, with all processes that its process had started before the first
/// connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    /// Process id of the server.
    pub pid: u32,
    /// User and system CPU time of all threads.
    pub cpu_ns: u64,
    /// CPU time per answer.
    pub cpu_per_request_ns: Option<u64>,
    /// Anonymous memory before the first connection.
    pub memory_before_bytes: u64,
    /// Anonymous memory with all connections open.
    pub memory_bytes: u64,
    /// Growth of the anonymous memory per connection.
    pub memory_per_connection_bytes: Option<u64>,
    /// Number of threads with all connections open.
    pub threads: u64,
    /// Voluntary context switches of all threads; `null` if reading them from `/proc` took too long.
    pub switches_voluntary: Option<u64>,
    /// Involuntary context switches of all threads; `null` in the same case.
    pub switches_involuntary: Option<u64>,
}

/// Work on the generator's machine that is not part of the run, in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OtherWork {
    /// Cores that other processes used: 1 is one full core. `null` if it is unknown, or if the server may
    /// be one of them.
    pub busy_cores: Option<f64>,
    /// Cores that the hypervisor gave to other machines while this one needed them; `null` if unknown.
    pub stolen_cores: Option<f64>,
}

/// Other work of more than this many cores is worth a note.
const OTHER_CORES_MAX: f64 = 0.1;

impl OtherWork {
    /// Whether it may have changed the results.
    pub fn is_notable(&self) -> bool {
        [self.busy_cores, self.stolen_cores].into_iter().flatten().any(|cores| cores > OTHER_CORES_MAX)
    }
}

impl Record {
    /// Formats the record as one line of JSON, with a line feed.
    ///
    /// # Panics
    /// Never: every field can be written as JSON.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string(self).expect("every field can be written as JSON");
        json.push('\n');
        json
    }

    /// Parses the JSON of [`Self::to_json`], in this version of the schema or an older one.
    ///
    /// # Errors
    /// The text is not such JSON, or its histograms are inconsistent.
    pub fn from_json(json: &str) -> Result<Self, RecordError> {
        let run: Value = serde_json::from_str(json)?;
        if run["schema"] != SCHEMA {
            return Err(RecordError::Foreign);
        }
        let version = run["version"].as_u64().unwrap_or(0);
        if version > u64::from(VERSION) {
            return Err(RecordError::TooNew(u32::try_from(version).unwrap_or(u32::MAX)));
        }
        let record: Self = serde_json::from_value(run)?;
        if record.is_consistent() { Ok(record) } else { Err(RecordError::Inconsistent) }
    }

    /// Whether the numbers of each histogram agree with each other. Those of a file may not.
    pub fn is_consistent(&self) -> bool {
        let latencies = [Some(&self.latency), Some(&self.connections.latency), self.service.as_ref()];
        latencies.into_iter().flatten().all(Latencies::is_consistent)
    }

    /// Number of errors of all kinds.
    pub fn error_count(&self) -> u64 {
        self.errors.iter().fold(0, |sum, error| sum.saturating_add(error.count))
    }

    /// Whether a request or a connection failed. A lost datagram is not a failure.
    pub fn has_failed(&self) -> bool {
        self.error_count() > 0 || self.requests.failed > 0 || self.connections.failed > 0
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    /// Reads any version, also inside another document.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut run = Value::deserialize(deserializer)?;
        if run["version"] == 1 {
            version_1::upgrade(&mut run);
        }
        Self::deserialize(run).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
