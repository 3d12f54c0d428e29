//! `Plan`: what a run is asked to do.
//!
//! It opens nothing and reads no clock; what cannot be done by any machine is refused here.

use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use crate::codec::Framing;
use crate::instant::Instant;
use crate::net::Address;

use super::record::{RunConfig, Transport};

/// The longest message: many of them at once must still fit into memory.
pub const MESSAGE_LEN_MAX: usize = 16 * 1024 * 1024;

/// The shortest message over UDP: its first bytes tell which request it answers.
pub const DATAGRAM_LEN_MIN: usize = 8;

/// The longest datagram that IPv4 carries.
pub const DATAGRAM_LEN_MAX: usize = 65_507;

/// The most planned requests a second: a thread that did nothing else could not send as many.
pub const RATE_MAX: f64 = 10e6;

/// What a run is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The server, as it was named.
    pub address: Address,
    /// How a request is framed; an echo comes back in the same framing.
    pub framing: Framing,
    /// Connections that carry requests, or how many at a time when each request has its own.
    pub connections: usize,
    /// Connections beside them that carry nothing.
    pub idle: usize,
    /// The length of a request.
    pub message_len: usize,
    /// How many requests a connection may have under way at once.
    pub pipeline: usize,
    /// When requests leave.
    pub pace: Pace,
    /// How long a connection lasts.
    pub reuse: ConnectionReuse,
    /// The most connections to begin in a second.
    pub connect_rate: Option<f64>,
    /// The addresses to connect from, in turn; empty: the kernel's choice.
    pub sources: Vec<IpAddr>,
    /// When it is enough.
    pub run_length: RunLength,
    /// For how long requests are made before any counts.
    pub warm_up: Duration,
    /// How long an answer, or a connection, may take.
    pub timeout: Duration,
    /// What is looked at of what comes back.
    pub verify: Verify,
}

/// When requests leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// When an answer has come: a closed loop. A server that stalls is asked less meanwhile, so
    /// its stall is in few of the latencies.
    Closed,
    /// So many a second, whatever the server does: an open loop. Latency counts from when a request
    /// was to leave.
    Open(f64),
}

/// How long a connection lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionReuse {
    /// As long as the run.
    Persistent,
    /// For one request.
    PerRequest,
}

/// When it is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunLength {
    /// After this time.
    Time(Duration),
    /// After so many requests.
    Requests(u64),
}

/// What is looked at of what comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Every byte.
    EveryByte,
    /// How many bytes there are.
    Length,
}

/// Why a plan cannot be carried out by any machine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Nothing would be asked.
    #[error("there is nothing to ask over {0} connections")]
    NoConnections(usize),
    /// A message that is no message.
    #[error("a message of {len} bytes: there are {min} to {max}")]
    MessageLen {
        /// What was asked.
        len: usize,
        /// The shortest.
        min: usize,
        /// The longest.
        max: usize,
    },
    /// All frames have another length than the messages.
    #[error("frames of {frame_len} bytes carry no messages of {message_len}")]
    FrameLen {
        /// The length of a frame.
        frame_len: usize,
        /// The length of a message.
        message_len: usize,
    },
    /// The framing cannot carry such a message.
    #[error("{framing} cannot carry {message_len} bytes")]
    Unframable {
        /// The framing.
        framing: Framing,
        /// The length of a message.
        message_len: usize,
    },
    /// A connection that carries one request cannot have several under way.
    #[error("a connection for one request has no pipeline")]
    PipelineNeedsReuse,
    /// A rate at which nothing, or too much, would leave.
    #[error("a rate must be above 0 and at most {RATE_MAX}")]
    Rate,
    /// What only connections can do.
    #[error("{0} needs connections, and datagrams have none")]
    NeedsConnections(&'static str),
    /// Addresses to connect from, where there are none.
    #[error("a Unix socket is connected to from no address")]
    UnixSource,
}

impl Plan {
    /// A closed loop over one connection to `address`, 64 bytes a message, for ten seconds.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            framing: Framing::Raw(crate::codec::Raw),
            connections: 1,
            idle: 0,
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

    /// Refuses what no machine could do.
    ///
    /// # Errors
    /// The first thing that cannot be.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.connections == 0 || self.pipeline == 0 {
            return Err(PlanError::NoConnections(0));
        }
        self.check_message()?;
        let rates = [self.connect_rate, self.pace.rate()];
        if !rates.into_iter().flatten().all(|rate| rate > 0.0 && rate <= RATE_MAX) {
            return Err(PlanError::Rate);
        }
        if self.transport() == Transport::Unix && !self.sources.is_empty() {
            return Err(PlanError::UnixSource);
        }
        if self.transport() == Transport::Udp {
            let in_vain = [
                ("--churn", self.reuse == ConnectionReuse::PerRequest),
                ("--idle", self.idle > 0),
                ("--connect-rate", self.connect_rate.is_some()),
                ("--framing", !matches!(self.framing, Framing::Raw(_))),
            ];
            if let Some((flag, _)) = in_vain.into_iter().find(|(_, is_asked)| *is_asked) {
                return Err(PlanError::NeedsConnections(flag));
            }
        }
        if self.reuse == ConnectionReuse::PerRequest && self.pipeline > 1 {
            Err(PlanError::PipelineNeedsReuse)
        } else {
            Ok(())
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

    /// What carries the bytes.
    pub fn transport(&self) -> Transport {
        match self.address {
            Address::Tcp(_) => Transport::Tcp,
            Address::Tls(_) => Transport::Tls,
            Address::Unix(_) => Transport::Unix,
            Address::Udp(_) => Transport::Udp,
        }
    }

    /// How many connections are open at once at most.
    pub fn connections_max(&self) -> usize {
        self.connections.saturating_add(self.idle)
    }

    /// The source of a connection: each address in turn.
    pub fn source(&self, serial: u64) -> Option<IpAddr> {
        let len = self.sources.len() as u64;
        serial.checked_rem(len).and_then(|place| self.sources.get(place as usize)).copied()
    }

    /// The plan as plain data.
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
    /// Requests a second; `None` in a closed loop.
    pub const fn rate(self) -> Option<f64> {
        match self {
            Self::Closed => None,
            Self::Open(rate) => Some(rate),
        }
    }
}

/// Whole nanoseconds; what does not fit is as good as for ever.
pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Planned times at a constant rate.
///
/// Each is computed from the first, so that rounding never adds up.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateSchedule {
    begin: Instant,
    rate: f64,
}

impl RateSchedule {
    pub(super) fn new(begin: Instant, rate: f64) -> Self {
        Self { begin, rate }
    }

    /// When number `number` is planned, the first being 0.
    #[inline]
    pub(super) fn planned(&self, number: u64) -> Instant {
        // Exact for a hundred days: a fraction of 53 bits holds as many nanoseconds.
        self.begin + Duration::from_nanos((number as f64 * 1e9 / self.rate) as u64)
    }

    /// How many are planned in the first `span`.
    pub(super) fn count_in(&self, span: Duration) -> u64 {
        // Ten seconds at 0.1 a second are one, whatever floating-point numbers make of it.
        (span.as_secs_f64() * self.rate * (1.0 - 1e-12)).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(address: &str) -> Plan {
        Plan::new(address.parse().unwrap())
    }

    fn framed(framing: &str, message_len: usize) -> Plan {
        Plan { framing: framing.parse().unwrap(), message_len, ..plan("127.0.0.1:7") }
    }

    #[test]
    fn what_no_machine_can_do_is_refused() {
        let tcp = || plan("127.0.0.1:7");
        assert_eq!(tcp().check(), Ok(()));
        assert_eq!(Plan { connections: 0, ..tcp() }.check(), Err(PlanError::NoConnections(0)));
        assert!(matches!(Plan { message_len: 0, ..tcp() }.check(), Err(PlanError::MessageLen { min: 1, .. })));
        assert_eq!(Plan { pace: Pace::Open(0.0), ..tcp() }.check(), Err(PlanError::Rate));
        assert_eq!(Plan { pace: Pace::Open(f64::NAN), ..tcp() }.check(), Err(PlanError::Rate));
        assert_eq!(Plan { connect_rate: Some(-1.0), ..tcp() }.check(), Err(PlanError::Rate));
        assert_eq!(
            Plan { reuse: ConnectionReuse::PerRequest, pipeline: 2, ..tcp() }.check(),
            Err(PlanError::PipelineNeedsReuse)
        );
    }

    #[test]
    fn a_message_must_fit_its_frame() {
        assert_eq!(framed("fixed:64", 64).check(), Ok(()));
        assert!(matches!(framed("fixed:63", 64).check(), Err(PlanError::FrameLen { .. })));
        assert_eq!(framed("length:u8", 255).check(), Ok(()));
        assert!(matches!(framed("length:u8", 256).check(), Err(PlanError::Unframable { .. })));
        assert_eq!(framed("lines", 1).check(), Ok(()));
    }

    #[test]
    fn datagrams_have_no_connections() {
        let udp = || plan("udp://127.0.0.1:7");
        assert_eq!(udp().check(), Ok(()));
        assert_eq!(Plan { idle: 1, ..udp() }.check(), Err(PlanError::NeedsConnections("--idle")));
        assert_eq!(
            Plan { reuse: ConnectionReuse::PerRequest, ..udp() }.check(),
            Err(PlanError::NeedsConnections("--churn"))
        );
        assert!(matches!(Plan { message_len: 7, ..udp() }.check(), Err(PlanError::MessageLen { min: 8, .. })));
        assert!(matches!(Plan { message_len: 65_508, ..udp() }.check(), Err(PlanError::MessageLen { .. })));
    }

    #[test]
    fn sources_take_turns() {
        assert_eq!(plan("127.0.0.1:7").source(5), None);
        let sources = vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()];
        let unix = Plan { sources: sources.clone(), ..plan("unix:/tmp/a") };
        assert_eq!(unix.check(), Err(PlanError::UnixSource));
        let plan = Plan { sources: sources.clone(), ..plan("127.0.0.1:7") };
        assert_eq!([0, 1, 2].map(|serial| plan.source(serial)), [Some(sources[0]), Some(sources[1]), Some(sources[0])]);
    }

    #[test]
    fn planned_times_do_not_drift() {
        let schedule = RateSchedule::new(Instant::ORIGIN, 3.0);
        assert_eq!(schedule.planned(3_000_000), Instant::ORIGIN + Duration::from_secs(1_000_000));
        assert_eq!(schedule.count_in(Duration::from_secs(10)), 30);
        assert_eq!(schedule.planned(0), Instant::ORIGIN);
    }

    #[test]
    fn a_plan_is_written_down_whole() {
        let plan = Plan { run_length: RunLength::Requests(7), pace: Pace::Open(2.5), ..plan("tls://localhost:7") };
        let config = plan.config();
        assert_eq!((config.transport, config.requests, config.duration_ns), (Transport::Tls, Some(7), None));
        assert_eq!((config.rate, config.address.as_str()), (Some(2.5), "tls://localhost:7"));
    }
}
