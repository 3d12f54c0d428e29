//! `PlanError`: why a plan cannot be carried out.

use thiserror::Error;

use crate::codec::Framing;
use crate::load::delimiter::DELIMITER_LEN_MAX;

use super::limits::{CONNECTIONS_MAX, MESSAGE_LEN_MAX, RATE_MAX, THREADS_MAX, TIME_MAX};

/// Error of [`Plan::check`](super::Plan::check).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The number of connections is out of range.
    #[error("the number of connections, with the idle ones, must be 1 to {CONNECTIONS_MAX}")]
    Connections,
    /// The number of threads is out of range.
    #[error("the number of threads must be 1 to {THREADS_MAX}")]
    Threads,
    /// A thread would have no connection that carries requests.
    #[error("each of {threads} threads needs a connection, and the number of connections is {connections}")]
    ThreadWithoutConnection {
        /// Number of connections that carry requests; with a ramp, the lowest one.
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
    /// The durations are out of range.
    #[error("{0} must be greater than zero and at most {days} days", days = TIME_MAX.as_secs() / 86_400)]
    Durations(&'static str),
    /// A connection has no request in its lifetime.
    #[error("a lifetime must be at least one request")]
    NoRequestInLifetime,
    /// The ends of the ramp are out of range.
    #[error("both ends of a ramp must be 1 or more connections, and the higher one is the number of connections")]
    RampEnds,
    /// The ramp is longer than the run.
    #[error("a ramp must end within the measured time")]
    RampTime,
    /// An option has no meaning in an open loop, in which requests have planned times.
    #[error("{0} needs a closed loop, in which an answer triggers the next request")]
    NeedsClosedLoop(&'static str),
    /// A think time has no meaning for several requests in flight.
    #[error("a think time needs a pipeline of 1")]
    ThinkNeedsOneRequest,
    /// A connection for one request has no time between two requests.
    #[error("a connection for one request cannot have a think time")]
    ThinkNeedsReuse,
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
    /// The expected answer is empty or too long.
    #[error("an expected answer must have 1 to {MESSAGE_LEN_MAX} bytes, and a delimiter 1 to {DELIMITER_LEN_MAX}")]
    AnswerLen,
    /// Custom requests and answers are not frames.
    #[error("--request and --expect need raw framing, and the framing is {0}")]
    NeedsRawFraming(Framing),
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
