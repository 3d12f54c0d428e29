//! The flags that shape a workload, and the files that they name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use readyloop::load::Plan;
use readyloop::load::plan::{ConnectionReuse, Distribution, ExpectedAnswer, MESSAGE_LEN_MAX, Ramp};

use crate::cli_error::CliError;
use crate::input_file;
use crate::units::{above_zero, duration};

use super::shape_values::{Ends, Expectation, distribution, expectation, lifetime};

/// Flags about the shape of the workload.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Workload shapes")]
pub(super) struct Shapes {
    /// Time between an answer and the next request of its connection: 10ms, 5ms..20ms or exp:10ms
    ///
    /// In a range, each time is equally probable. exp:10ms is an exponential distribution with this mean. The
    /// first requests are spread over one such time.
    #[arg(long, value_name = "DURATION", value_parser = distribution)]
    think: Option<Distribution>,

    /// Replace each connection after this time or number of requests: 5s, 2s..8s, exp:5s or 100
    ///
    /// A connection ends after its last answer, and carries at least one request. The first connections have a
    /// random part of their lifetime.
    #[arg(long, value_name = "LIFETIME", value_parser = lifetime, conflicts_with = "churn")]
    lifetime: Option<ConnectionReuse>,

    /// Time in which the number of connections rises or falls over the range of -c, such as -c 10..10k
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    pub(super) ramp: Option<Duration>,

    /// Send the bytes of FILE as each request, instead of a pattern
    #[arg(long, value_name = "FILE", conflicts_with = "size")]
    request: Option<PathBuf>,

    /// Expected answer: file:FILE, length:SIZE or until:DELIMITER [default: the bytes of the request]
    ///
    /// With until:, an answer ends with the first DELIMITER, and has at most 16 MiB. DELIMITER may contain the escapes
    /// \r \n \t \0 \xHH \\.
    #[arg(long, value_name = "ANSWER", value_parser = expectation)]
    expect: Option<Expectation>,
}

impl Shapes {
    /// The lifetime of the connections, if it is limited.
    pub(super) fn lifetime(&self) -> Option<ConnectionReuse> {
        self.lifetime
    }

    /// Adds the shapes to a plan.
    pub(super) fn shape(&self, plan: Plan, connections: Ends<usize>) -> Result<Plan, CliError> {
        Ok(Plan {
            connections: connections.from.max(connections.to),
            ramp: self.ramp(connections)?,
            think: self.think,
            request: self.request.as_deref().map(bytes).transpose()?,
            answer: self.answer()?,
            ..plan
        })
    }

    fn ramp(&self, Ends { from, to }: Ends<usize>) -> Result<Option<Ramp>, CliError> {
        match self.ramp {
            Some(time) if from != to => Ok(Some(Ramp { from, to, time })),
            None if from == to => Ok(None),
            Some(_) => Err(CliError::usage(
                "--ramp needs a range of connections",
                "type a range such as -c 10..1000, or remove --ramp",
            )),
            None => Err(CliError::usage(
                format!("a range of connections needs --ramp, the time from {from} to {to} connections"),
                "type a duration such as --ramp 60s, or one number of connections",
            )),
        }
    }

    fn answer(&self) -> Result<ExpectedAnswer, CliError> {
        Ok(match &self.expect {
            None => ExpectedAnswer::Echo,
            Some(Expectation::File(path)) => ExpectedAnswer::Bytes(bytes(path)?),
            Some(Expectation::Length(len)) => ExpectedAnswer::Length(*len),
            Some(Expectation::Until(delimiter)) => ExpectedAnswer::Until(delimiter.as_slice().into()),
        })
    }
}

/// The bytes of a request or of an answer.
fn bytes(path: &Path) -> Result<Arc<[u8]>, CliError> {
    let hint = "type the path of a file with the bytes of one request or answer";
    let bytes = input_file::read_bytes(path, (MESSAGE_LEN_MAX >> 20) as u64, hint)?;
    if bytes.is_empty() {
        return Err(CliError::usage(format!("cannot use {}: the file is empty", path.display()), hint));
    }
    Ok(bytes.into())
}
