//! [`Plan::check`]: rejects plans that no machine can carry out.

use crate::codec::Framing;
use crate::load::record::Transport;

use super::{
    CONNECTIONS_MAX, ConnectionReuse, DATAGRAM_LEN_MAX, DATAGRAM_LEN_MIN, DELIMITER_LEN_MAX, Distribution,
    ExpectedAnswer, IN_FLIGHT_BYTES_MAX, IN_FLIGHT_MAX, MESSAGE_LEN_MAX, Pace, Plan, PlanError, RATE_MAX, RunLength,
    THREADS_MAX, TIME_MAX,
};

impl Plan {
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
        self.check_ramp()?;
        let (connections, threads) = (self.ramp.map_or(self.connections, |ramp| ramp.from.min(ramp.to)), self.threads);
        if connections < threads {
            return Err(PlanError::ThreadWithoutConnection { connections, threads });
        }
        self.check_message()?;
        self.check_answer()?;
        self.check_in_flight()?;
        self.check_times()?;
        self.check_think()?;
        let rates = [self.connect_rate, self.pace.rate()];
        if !rates.into_iter().flatten().all(|rate| rate > 0.0 && rate <= RATE_MAX) {
            return Err(PlanError::Rate);
        }
        self.check_transport()?;
        match self.reuse {
            ConnectionReuse::PerRequest if self.pipeline > 1 => Err(PlanError::PipelineNeedsReuse),
            ConnectionReuse::PerRequest if self.think.is_some() => Err(PlanError::ThinkNeedsReuse),
            ConnectionReuse::Requests(0) => Err(PlanError::NoRequestInLifetime),
            ConnectionReuse::Time(lifetime) => check_durations(lifetime, "a lifetime"),
            ConnectionReuse::PerRequest | ConnectionReuse::Requests(_) | ConnectionReuse::Persistent => Ok(()),
        }
    }

    fn check_transport(&self) -> Result<(), PlanError> {
        if self.transport() == Transport::Unix && !self.sources.is_empty() {
            return Err(PlanError::UnixSource);
        }
        let flags = [
            ("--churn", self.reuse == ConnectionReuse::PerRequest),
            ("--lifetime", matches!(self.reuse, ConnectionReuse::Requests(_) | ConnectionReuse::Time(_))),
            ("--think", self.think.is_some()),
            ("--ramp", self.ramp.is_some()),
            ("--request", self.request.is_some()),
            ("--expect", self.answer != ExpectedAnswer::Echo),
            ("--idle", self.idle > 0),
            ("--connect-rate", self.connect_rate.is_some()),
            ("--framing", !matches!(self.framing, Framing::Raw(_))),
        ];
        match flags.into_iter().find(|(_, is_set)| *is_set) {
            Some((flag, _)) if self.transport() == Transport::Udp => Err(PlanError::NeedsConnections(flag)),
            Some(_) | None => Ok(()),
        }
    }

    fn check_in_flight(&self) -> Result<(), PlanError> {
        let (connections, pipeline) = (self.connections, self.pipeline);
        let max = IN_FLIGHT_MAX.min(IN_FLIGHT_BYTES_MAX / self.lengths().max);
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

    fn check_ramp(&self) -> Result<(), PlanError> {
        let Some(ramp) = self.ramp else { return Ok(()) };
        if ramp.from.min(ramp.to) == 0 || ramp.from.max(ramp.to) != self.connections {
            return Err(PlanError::RampEnds);
        }
        match self.run_length {
            RunLength::Time(time) if ramp.time <= time => self.check_closed_loop("a ramp"),
            RunLength::Time(_) | RunLength::Requests(_) => Err(PlanError::RampTime),
        }
    }

    fn check_think(&self) -> Result<(), PlanError> {
        let Some(think) = self.think else { return Ok(()) };
        check_durations(think, "a think time")?;
        self.check_closed_loop("a think time")?;
        if self.pipeline == 1 { Ok(()) } else { Err(PlanError::ThinkNeedsOneRequest) }
    }

    fn check_closed_loop(&self, option: &'static str) -> Result<(), PlanError> {
        match self.pace {
            Pace::Closed => Ok(()),
            Pace::Open(_) => Err(PlanError::NeedsClosedLoop(option)),
        }
    }

    fn check_message(&self) -> Result<(), PlanError> {
        let (lengths, is_datagram) = (self.lengths(), self.transport() == Transport::Udp);
        let (min, max) = if is_datagram { (DATAGRAM_LEN_MIN, DATAGRAM_LEN_MAX) } else { (1, MESSAGE_LEN_MAX) };
        if let Some(len) = [lengths.min, lengths.max].into_iter().find(|len| !(min..=max).contains(len)) {
            return Err(PlanError::MessageLen { len, min, max });
        }
        if lengths.min > lengths.max {
            return Err(PlanError::MessageLen { len: lengths.min, min, max: lengths.max });
        }
        match self.framing {
            Framing::Fixed(fixed) if [lengths.min, lengths.max] != [fixed.len(); 2] => {
                let message_len = if lengths.min == fixed.len() { lengths.max } else { lengths.min };
                Err(PlanError::FrameLen { frame_len: fixed.len(), message_len })
            }
            Framing::Length(length) if length.width.max() < lengths.max as u64 => {
                Err(PlanError::Unframable { framing: self.framing, message_len: lengths.max })
            }
            Framing::Raw(_) | Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_) => Ok(()),
        }
    }

    fn check_answer(&self) -> Result<(), PlanError> {
        let is_possible = match &self.answer {
            ExpectedAnswer::Echo => true,
            ExpectedAnswer::Bytes(bytes) => (1..=MESSAGE_LEN_MAX).contains(&bytes.len()),
            ExpectedAnswer::Length(len) => (1..=MESSAGE_LEN_MAX).contains(len),
            ExpectedAnswer::Until(delimiter) => (1..=DELIMITER_LEN_MAX).contains(&delimiter.len()),
        };
        let is_framed = !matches!(self.framing, Framing::Raw(_));
        match is_possible {
            false => Err(PlanError::AnswerLen),
            true if is_framed && (self.request.is_some() || self.answer != ExpectedAnswer::Echo) => {
                Err(PlanError::NeedsRawFraming(self.framing))
            }
            true => Ok(()),
        }
    }
}

fn check_durations(distribution: Distribution, what: &'static str) -> Result<(), PlanError> {
    let (min, max) = match distribution {
        Distribution::Constant(duration) | Distribution::Exponential(duration) => (duration, duration),
        Distribution::Uniform(min, max) => (min, max),
    };
    if min <= max && !max.is_zero() && max <= TIME_MAX { Ok(()) } else { Err(PlanError::Durations(what)) }
}
