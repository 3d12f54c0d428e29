//! The setting for injected faults.

use clap::{Args, Command};
use readyloop::faulty::{FaultKind, FaultPlan, FaultPlanError};

use crate::units::ParseError;
use crate::usage_error::nearest_flag;

/// Faults that the server injects into its own calls.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Faults")]
pub(super) struct Faults {
    /// Inject faults into the calls of the server, for learning and for testing clients
    ///
    /// Kinds with the probability of each call, and a seed that repeats the faults:
    /// short-read=0.3,reset=0.001,seed=7. Kinds that cost only time: short-read, short-write, would-block,
    /// interrupted, spurious, duplicate, emfile, after which all accepts fail for up to 5 s, and delay, which holds an
    /// event back for up to delay-ms=10.
    /// Kinds that cost a connection or a datagram: reset, broken-pipe, timed-out, accept-error, register-error,
    /// datagram-loss. Connections of --admin have faults too.
    #[arg(id = "faults", long, value_name = "FAULTS", value_parser = fault_plan)]
    pub(super) plan: Option<FaultPlan>,
}

/// Parses a plan of faults. The hint names the kind with the most similar name.
fn fault_plan(text: &str) -> Result<FaultPlan, ParseError> {
    text.parse().map_err(|error: FaultPlanError| {
        let nearest = if let FaultPlanError::UnknownKind(name) = &error { nearest_kind(name) } else { None };
        let hint = match nearest {
            Some(kind) => format!("type {kind}=0.1"),
            None => "type kinds with probabilities, such as short-read=0.3,reset=0.001,seed=7".to_owned(),
        };
        ParseError::new(error.to_string(), hint)
    })
}

fn nearest_kind(name: &str) -> Option<String> {
    let kinds = FaultKind::NAMES.iter().map(|kind| clap::Arg::new(*kind).long(*kind));
    nearest_flag(&Command::new("faults").args(kinds), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, message: &str, hint: &str) {
        let error = fault_plan(text).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.hint.as_str()), (message, hint));
    }

    #[test]
    fn an_unknown_kind_is_reported_with_the_nearest_name() {
        check("short-reed=0.3", "`short-reed` is not a kind of fault", "type short-read=0.1");
        check("resett=1,seed=7", "`resett` is not a kind of fault", "type reset=0.1");
        let example = "type kinds with probabilities, such as short-read=0.3,reset=0.001,seed=7";
        check("=1", "`` is not a kind of fault", example);
        check("1\u{1b}[2J=1", "`1\u{1b}[2J` is not a kind of fault", example);
        check("reset=2", "the probability of `reset` must be a number from 0 to 1", example);
    }
}
