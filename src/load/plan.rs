//! `Plan`: the configuration of a run of the load generator.
//!
//! It opens no socket and reads no clock. [`Plan::check`] rejects plans that no machine can carry out.

mod check;
mod config;
mod error;
mod limits;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Framing;
use crate::net::Address;

use super::distribution::Lengths;
use super::record::Transport;
use super::share::Share;

pub use super::delimiter::DELIMITER_LEN_MAX;
pub use super::distribution::Distribution;
pub use super::expected::ExpectedAnswer;
pub use super::ramp::Ramp;
pub use error::PlanError;
pub use limits::{
    CONNECTIONS_MAX, DATAGRAM_LEN_MAX, DATAGRAM_LEN_MIN, IN_FLIGHT_BYTES_MAX, IN_FLIGHT_MAX, MESSAGE_LEN_MAX, RATE_MAX,
    THREADS_MAX, TIME_MAX,
};

/// Maximum time for the last answers of a run with a duration, so that it ends even with a timeout of hours.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(10);

/// Configuration of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Address of the server.
    pub address: Address,
    /// Framing of requests and answers.
    pub framing: Framing,
    /// Number of connections that carry requests; with a ramp, the highest one. If connections are
    /// replaced, how many are in use at once.
    pub connections: usize,
    /// How the number of connections that carry requests changes over the measured time.
    pub ramp: Option<Ramp>,
    /// Number of additional idle connections.
    pub idle: usize,
    /// Number of threads, each with an event loop and a share of the connections.
    pub threads: usize,
    /// Length of a request in bytes, without the bytes that the framing adds. With `message_len_min`, the
    /// maximum length.
    pub message_len: usize,
    /// Minimum length of a request. Each length from it to `message_len` is equally probable.
    pub message_len_min: Option<usize>,
    /// The bytes of every request, in the place of a pattern of `message_len` bytes.
    pub request: Option<Arc<[u8]>>,
    /// The answer to a request.
    pub answer: ExpectedAnswer,
    /// Maximum number of requests in flight on one connection.
    pub pipeline: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// In a closed loop, time between an answer and the next request of its connection.
    pub think: Option<Distribution>,
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
///
/// When connections are replaced, the first ones have a random part of their lifetime, so that not all
/// of them end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionReuse {
    /// Connections stay open for the whole run.
    Persistent,
    /// Every request uses a new connection, and its latency begins with the connect.
    PerRequest,
    /// A new connection replaces each one after this number of requests.
    Requests(u64),
    /// A new connection replaces each one after its last answer, when this time has passed since its
    /// first request.
    Time(Distribution),
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
    /// Every byte is compared with the expected one, if it is known.
    EveryByte,
    /// Only the length is checked.
    Length,
}

impl Plan {
    /// A closed loop over one connection to `address`, with messages of 64 bytes, for ten seconds.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            framing: Framing::Raw(crate::codec::Raw),
            connections: 1,
            ramp: None,
            idle: 0,
            threads: 1,
            message_len: 64,
            message_len_min: None,
            request: None,
            answer: ExpectedAnswer::Echo,
            pipeline: 1,
            pace: Pace::Closed,
            think: None,
            reuse: ConnectionReuse::Persistent,
            connect_rate: None,
            sources: Vec::new(),
            run_length: RunLength::Time(Duration::from_secs(10)),
            warm_up: Duration::ZERO,
            timeout: Duration::from_secs(5),
            verify: Verify::EveryByte,
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

    /// Number of connections of one share that carry requests before the measured time.
    pub(super) fn connections_at_start(&self, share: Share) -> usize {
        self.ramp.map_or(self.connections, |ramp| share.part(ramp.from as u64) as usize)
    }

    /// Lengths of the requests.
    pub(super) fn lengths(&self) -> Lengths {
        let max = self.request.as_ref().map_or(self.message_len, |request| request.len());
        Lengths { min: self.message_len_min.unwrap_or(max), max }
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
