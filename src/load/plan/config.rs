//! [`Plan::config`]: the plan as plain data.

use crate::load::expected::escaped;
use crate::load::record::{RampConfig, RunConfig};
use crate::load::schedule::nanos;

use super::{ConnectionReuse, ExpectedAnswer, Plan, RunLength, Verify};

impl Plan {
    /// The plan as plain data for a record.
    pub fn config(&self) -> RunConfig {
        let (duration_ns, requests) = match self.run_length {
            RunLength::Time(time) => (Some(nanos(time)), None),
            RunLength::Requests(requests) => (None, Some(requests)),
        };
        let lengths = self.lengths();
        RunConfig {
            address: self.address.to_string(),
            transport: self.transport(),
            framing: self.framing.to_string(),
            connections: self.connections as u64,
            threads: self.threads as u64,
            idle_connections: self.idle as u64,
            ramp: self.ramp.map(|ramp| RampConfig {
                from: ramp.from as u64,
                to: ramp.to as u64,
                duration_ns: nanos(ramp.time),
            }),
            message_bytes: lengths.max as u64,
            message_bytes_min: (lengths.min < lengths.max).then_some(lengths.min as u64),
            request: self.request.as_deref().map(escaped),
            answer: (self.answer != ExpectedAnswer::Echo).then(|| self.answer.to_string()),
            pipeline: self.pipeline as u64,
            rate: self.pace.rate(),
            think: self.think.map(|think| think.to_string()),
            lifetime: match self.reuse {
                ConnectionReuse::Persistent | ConnectionReuse::PerRequest => None,
                ConnectionReuse::Requests(1) => Some("1 request".to_owned()),
                ConnectionReuse::Requests(requests) => Some(format!("{requests} requests")),
                ConnectionReuse::Time(lifetime) => Some(lifetime.to_string()),
            },
            churn: self.reuse == ConnectionReuse::PerRequest,
            connect_rate: self.connect_rate,
            sources: self.sources.iter().map(ToString::to_string).collect(),
            duration_ns,
            requests,
            warm_up_ns: nanos(self.warm_up),
            timeout_ns: nanos(self.timeout),
            verified: self.verify == Verify::EveryByte
                && matches!(self.answer, ExpectedAnswer::Echo | ExpectedAnswer::Bytes(_)),
        }
    }
}
