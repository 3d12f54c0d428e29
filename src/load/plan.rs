//! `Plan`: the configuration of a run of the load generator.
//!
//! It opens no socket and reads no clock. [`Plan::check`] rejects plans that no machine can carry out.

use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use crate::codec::Framing;
use crate::net::Address;

use super::record::{RunConfig, Transport};
use super::schedule::nanos;

/// Maximum length of a message. Many messages must fit into memory at once.
pub const MESSAGE_LEN_MAX: usize = 16 * 1024 * 1024;

/// Minimum length of a message over UDP: its first 8 bytes hold the number of the request.
pub const DATAGRAM_LEN_MIN: usize = 8;

/// Maximum payload of a UDP datagram over IPv4.
pub const DATAGRAM_LEN_MAX: usize = 65_507;

/// Maximum number of planned requests per second: more than a machine can send.
pub const RATE_MAX: f64 = 10e6;

/// Maximum number of connections, with the idle ones.
pub const CONNECTIONS_MAX: usize = 10_000_000;

/// Maximum number of threads: more than any machine has cores for.
pub const THREADS_MAX: usize = 1024;

/// Maximum number of requests in flight over all connections. The generator stores the times of each.
pub const IN_FLIGHT_MAX: usize = 50_000_000;

/// Maximum number of bytes of all requests in flight. Requests that a server does not read stay in memory.
pub const IN_FLIGHT_BYTES_MAX: usize = 1 << 36;

/// Maximum measured time and maximum warm-up. Planned times are exact for that long.
pub const TIME_MAX: Duration = Duration::from_secs(100 * 24 * 3600);

/// Maximum time for the last answers of a run with a duration, so that it ends even with a timeout of hours.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(10);

/// Configuration of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Address of the server.
    pub address: Address,
    /// Framing of requests and answers.
    pub framing: Framing,
    /// Number of connections that carry requests; with one connection per request, how many are in
    /// use at once.
    pub connections: usize,
    /// Number of additional idle connections.
    pub idle: usize,
    /// Number of threads, each with an event loop and a share of the connections.
    pub threads: usize,
    /// Length of a request in bytes, without the bytes that the framing adds.
    pub message_len: usize,
    /// Maximum number of requests in flight on one connection.
    pub pipeline: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// Lifetime of the connections.
    pub reuse: ConnectionReuse,
    /// Maximum number of connects per second.
    pub connect_rate: Option<f64>,
    /// Source addresses, used in rotation; if empty, the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// When the run ends.
    pub run_length: RunLength,
    /// Time before the measured time, in which requests are sent and not measured.
    pub warm_up: Duration,
    /// Timeout of an answer and of a connect.
    pub timeout: Duration,
    /// How answers are checked.
    pub verify: Verify,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// A closed loop: an answer triggers the next request. A server that stalls receives fewer
    /// requests meanwhile, so few latencies contain the stall.
    Closed,
    /// An open loop with this many requests per second, however fast the server answers. Latency is
    /// measured from the planned time of a request.
    Open(f64),
}

/// Lifetime of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionReuse {
    /// Connections stay open for the whole run.
    Persistent,
    /// Every request uses a new connection.
    PerRequest,
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunLength {
    /// After this measured time.
    Time(Duration),
    /// After this number of measured requests.
    Requests(u64),
}

/// How answers are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Every byte is compared with the request.
    EveryByte,
    /// Only the length is checked.
    Length,
}

/// Error of [`Plan::check`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The number of connections is out of range.
    #[error("the number of connections, with the idle ones, must be 1 to {CONNECTIONS_MAX}")]
    Connections,
    /// The number of threads is out of range.
    #[error("the number of threads must be 1 to {THREADS_MAX}")]
    Threads,
    /// A thread would have no connection that carries requests.
    #[error("{connections} connections are too few for {threads} threads: each thread needs one")]
    ThreadWithoutConnection {
        /// Number of connections that carry requests.
        connections: usize,
        /// Number of threads.
        threads: usize,
    },
    /// The pipeline is zero.
    #[error("the pipeline must be greater than zero")]
    NoPipeline,
    /// The connections may have too many requests in flight.
    #[error(
        "{connections} connections with a pipeline of {pipeline} are too many requests in flight: at most {max} are possible"
    )]
    InFlight {
        /// Number of connections that carry requests.
        connections: usize,
        /// Requests in flight on each.
        pipeline: usize,
        /// Maximum number of requests in flight, for messages of this length.
        max: usize,
    },
    /// The measured time or the warm-up is out of range.
    #[error("{0} must be at most {days} days", days = TIME_MAX.as_secs() / 86_400)]
    Time(&'static str),
    /// The message length is out of range.
    #[error("a message of {len} bytes is out of range: it must have {min} to {max} bytes")]
    MessageLen {
        /// Configured length.
        len: usize,
        /// Minimum length.
        min: usize,
        /// Maximum length.
        max: usize,
    },
    /// The frames of this framing have another length than the messages.
    #[error("frames of {frame_len} bytes cannot carry messages of {message_len} bytes")]
    FrameLen {
        /// Length of a frame.
        frame_len: usize,
        /// Length of a message.
        message_len: usize,
    },
    /// The framing cannot carry messages of this length.
    #[error("the framing {framing} cannot carry messages of {message_len} bytes")]
    Unframable {
        /// Configured framing.
        framing: Framing,
        /// Length of a message.
        message_len: usize,
    },
    /// A connection for one request cannot have several requests in flight.
    #[error("a connection for one request cannot have a pipeline")]
    PipelineNeedsReuse,
    /// A rate is out of range.
    #[error("a rate must be greater than 0 and at most {RATE_MAX}")]
    Rate,
    /// An option has no meaning for UDP.
    #[error("{0} needs connections, and UDP has none")]
    NeedsConnections(&'static str),
    /// Source addresses have no meaning for a Unix socket.
    #[error("a Unix socket has no source address")]
    UnixSource,
}

impl Plan {
    /// A closed loop over one connection to `address`, with messages of 64 bytes, for ten seconds.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            framing: Framing::Raw(crate::codec::Raw),
            connections: 1,
            idle: 0,
            threads: 1,
            message_len: 64,
            pipeline: 1,
            pace: Pace::Closed,
            reuse: ConnectionReuse::Persistent,
            connect_rate: None,
            sources: Vec::new(),
            run_length: RunLength::Time(Duration::from_secs(10)),
            warm_up: Duration::ZERO,
            timeout: Duration::from_secs(5),
            verify: Verify::EveryByte,
        }
    }

    /// Checks the values against each other and against their limits.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.connections == 0 || self.connections_max() > CONNECTIONS_MAX {
            return Err(PlanError::Connections);
        }
        if self.threads == 0 || self.threads > THREADS_MAX {
            return Err(PlanError::Threads);
        }
        if self.connections < self.threads {
            let (connections, threads) = (self.connections, self.threads);
            return Err(PlanError::ThreadWithoutConnection { connections, threads });
        }
        self.check_message()?;
        self.check_in_flight()?;
        self.check_times()?;
        let rates = [self.connect_rate, self.pace.rate()];
        if !rates.into_iter().flatten().all(|rate| rate > 0.0 && rate <= RATE_MAX) {
            return Err(PlanError::Rate);
        }
        if self.transport() == Transport::Unix && !self.sources.is_empty() {
            return Err(PlanError::UnixSource);
        }
        if self.transport() == Transport::Udp {
            let unsupported = [
                ("--churn", self.reuse == ConnectionReuse::PerRequest),
                ("--idle", self.idle > 0),
                ("--connect-rate", self.connect_rate.is_some()),
                ("--framing", !matches!(self.framing, Framing::Raw(_))),
            ];
            if let Some((flag, _)) = unsupported.into_iter().find(|(_, is_set)| *is_set) {
                return Err(PlanError::NeedsConnections(flag));
            }
        }
        if self.reuse == ConnectionReuse::PerRequest && self.pipeline > 1 {
            Err(PlanError::PipelineNeedsReuse)
        } else {
            Ok(())
        }
    }

    fn check_in_flight(&self) -> Result<(), PlanError> {
        let (connections, pipeline) = (self.connections, self.pipeline);
        let max = IN_FLIGHT_MAX.min(IN_FLIGHT_BYTES_MAX / self.message_len);
        match connections.checked_mul(pipeline) {
            Some(0) => Err(PlanError::NoPipeline),
            Some(in_flight) if in_flight <= max => Ok(()),
            Some(_) | None => Err(PlanError::InFlight { connections, pipeline, max }),
        }
    }

    fn check_times(&self) -> Result<(), PlanError> {
        match self.run_length {
            RunLength::Time(time) if time > TIME_MAX => Err(PlanError::Time("the measured time")),
            RunLength::Time(_) | RunLength::Requests(_) if self.warm_up > TIME_MAX => {
                Err(PlanError::Time("the warm-up"))
            }
            RunLength::Time(_) | RunLength::Requests(_) => Ok(()),
        }
    }

    fn check_message(&self) -> Result<(), PlanError> {
        let (len, is_datagram) = (self.message_len, self.transport() == Transport::Udp);
        let (min, max) = if is_datagram { (DATAGRAM_LEN_MIN, DATAGRAM_LEN_MAX) } else { (1, MESSAGE_LEN_MAX) };
        if len < min || max < len {
            return Err(PlanError::MessageLen { len, min, max });
        }
        match self.framing {
            Framing::Fixed(fixed) if fixed.len() != len => {
                Err(PlanError::FrameLen { frame_len: fixed.len(), message_len: len })
            }
            Framing::Length(length) if length.width.max() < len as u64 => {
                Err(PlanError::Unframable { framing: self.framing, message_len: len })
            }
            Framing::Raw(_) | Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_) => Ok(()),
        }
    }

    /// Transport of the address.
    pub fn transport(&self) -> Transport {
        match self.address {
            Address::Tcp(_) => Transport::Tcp,
            Address::Tls(_) => Transport::Tls,
            Address::Unix(_) => Transport::Unix,
            Address::Udp(_) => Transport::Udp,
        }
    }

    /// Maximum number of open connections.
    pub fn connections_max(&self) -> usize {
        self.connections.saturating_add(self.idle)
    }

    /// Time for the last answers of a run, after its last request.
    pub(super) fn last_answers_timeout(&self) -> Duration {
        match self.run_length {
            RunLength::Time(_) => self.timeout.min(LAST_ANSWERS_MAX),
            // The run ends with the last answer.
            RunLength::Requests(_) => self.timeout,
        }
    }

    /// Time between two searches for requests without an answer in time.
    pub(super) fn expiry_interval(&self) -> Duration {
        self.timeout / 8
    }

    /// Source address of connection number `serial`: the addresses rotate.
    pub fn source(&self, serial: u64) -> Option<IpAddr> {
        let len = self.sources.len() as u64;
        serial.checked_rem(len).and_then(|index| self.sources.get(index as usize)).copied()
    }

    /// The plan as plain data for a record.
    pub fn config(&self) -> RunConfig {
        let (duration_ns, requests) = match self.run_length {
            RunLength::Time(time) => (Some(nanos(time)), None),
            RunLength::Requests(requests) => (None, Some(requests)),
        };
        RunConfig {
            address: self.address.to_string(),
            transport: self.transport(),
            framing: self.framing.to_string(),
            connections: self.connections as u64,
            idle_connections: self.idle as u64,
            threads: self.threads as u64,
            message_bytes: self.message_len as u64,
            pipeline: self.pipeline as u64,
            rate: self.pace.rate(),
            churn: self.reuse == ConnectionReuse::PerRequest,
            connect_rate: self.connect_rate,
            sources: self.sources.iter().map(ToString::to_string).collect(),
            duration_ns,
            requests,
            warm_up_ns: nanos(self.warm_up),
            timeout_ns: nanos(self.timeout),
            verified: self.verify == Verify::EveryByte,
        }
    }
}

impl Pace {
    /// Requests per second; `None` in a closed loop.
    pub const fn rate(self) -> Option<f64> {
        match self {
            Self::Closed => None,
            Self::Open(rate) => Some(rate),
        }
    }
}

#[cfg(test)]
mod tests;
