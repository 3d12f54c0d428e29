//! The exit status of a run, with the error and the hint.

use readyloop::load::record::{ErrorKind, RunEnd};
use readyloop::load::{LoadResult, Record};

use crate::cli_error::CliError;
use crate::quantity::{Unit, counted, grouped};
use crate::tls::reason_and_hint;

use super::threshold::Threshold;

/// The fraction of the configured rate from which on the rate counts as reached.
const REACHED: f64 = 0.99;

/// Returns an error if a run measured nothing, so that there is no report.
pub(super) fn check_measured(measured: &LoadResult) -> Result<(), CliError> {
    let record = &measured.record;
    let is_abandoned = record.connections.opened == 0 && record.ending == RunEnd::Abandoned;
    match record.errors.first() {
        Some(error) if is_abandoned => Err(CliError::failure(
            format!("cannot connect to {}: {}", record.config.address, error.example),
            hint(error.kind, measured),
        )),
        None if record.requests.lost > 0 && record.requests.answered == 0 => Err(CliError::failure(
            format!("no answer from {}: {} lost", record.config.address, counted(record.requests.lost, "datagram")),
            "no UDP server listens there: start one with `readyloop serve -l udp://HOST:PORT`, or check host and port",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Returns an error if requests failed or nothing was measured, then if the rate or a `--fail-if` threshold was
/// missed. `pid` is the configured process of the server.
pub(super) fn check_outcome(measured: &LoadResult, pid: Option<u32>, thresholds: &[Threshold]) -> Result<(), CliError> {
    let record = &measured.record;
    if let Some(error) = record.errors.first() {
        let kinds: Vec<String> =
            record.errors.iter().map(|error| format!("{} {}", error.kind, grouped(error.count))).collect();
        return Err(CliError::failure(
            format!("there were errors: {} (first: {})", kinds.join(", "), error.example),
            hint(error.kind, measured),
        ));
    }
    if record.requests.failed > 0 {
        return Err(CliError::failure(
            format!("{} without an answer", counted(record.requests.failed, "request")),
            "--timeout 30s waits longer",
        ));
    }
    if record.requests.answered == 0 {
        return Err(CliError::failure(
            "nothing was measured: no answer arrived to a request of the measured time",
            if record.ending == RunEnd::Interrupted { "let it run longer" } else { "type a longer --duration" },
        ));
    }
    if let (Some(pid), None) = (pid, &record.server) {
        return Err(CliError::failure(
            format!("cannot measure process {pid}: it ended during the run"),
            "check the log of the server, or type the id of its lasting process",
        ));
    }
    if let Some(message) = rate_shortfall(record) {
        return Err(CliError::failure(message, "use a lower --rate, or more connections with -c"));
    }
    exceeded_thresholds(record, thresholds)
}

/// Returns an error if a `--fail-if` threshold was exceeded.
pub(super) fn exceeded_thresholds(record: &Record, thresholds: &[Threshold]) -> Result<(), CliError> {
    let exceeded: Vec<String> = thresholds.iter().filter_map(|threshold| threshold.violation(record)).collect();
    if exceeded.is_empty() {
        return Ok(());
    }
    let message = format!("a --fail-if threshold was exceeded: {}", exceeded.join("; "));
    Err(CliError::threshold_exceeded(message, "lower the load, or change --fail-if"))
}

/// The message about a run that did not reach its configured rate.
pub(super) fn rate_shortfall(record: &Record) -> Option<String> {
    let planned = record.config.rate.filter(|_| record.ending == RunEnd::Done)?;
    // The answer to the last request may arrive just after the end.
    let seconds = record.requests.measured_ns as f64 / 1e9;
    let reached = (record.rate_per_s * seconds + 1.0) / seconds;
    let is_missed = reached < REACHED * planned;
    let print = |rate| Unit::Rate.print(rate);
    is_missed.then(|| format!("the rate was not reached: {} of {}", print(record.rate_per_s), print(planned)))
}

fn hint(kind: ErrorKind, measured: &LoadResult) -> String {
    if let (ErrorKind::Tls, Some(error)) = (kind, &measured.tls_error) {
        return reason_and_hint(error).1.to_owned();
    }
    let hint = match kind {
        ErrorKind::Refused => "no server listens there: start one with `readyloop serve`, or check host and port",
        ErrorKind::Unreachable => "this machine has no route to the address: check the network and the address family",
        ErrorKind::ConnectTimedOut => {
            "check the host, the firewall and the backlog of the server, or use --connect-rate 1k to connect slower"
        }
        ErrorKind::Tls => {
            "check that a TLS server listens there, or type --ca FILE with the authority that signed its certificate"
        }
        ErrorKind::Reset | ErrorKind::Ended => "the server closed connections: check its log and its limits",
        ErrorKind::TimedOut if measured.record.requests.answered == 0 && measured.record.config.framing == "raw" => {
            "a server of lines needs --framing lines; --timeout 30s waits longer for a slow one"
        }
        ErrorKind::TimedOut => "the server hangs or is too slow; --timeout 30s waits longer",
        ErrorKind::Mismatch if measured.record.config.answer.is_some() => {
            "check --request and --expect: `readyloop client` shows what the server answers"
        }
        ErrorKind::Mismatch => {
            return format!("check that this is an echo server with {} framing", measured.record.config.framing);
        }
        ErrorKind::NoDescriptors => "the generator reached its own descriptor limit: raise it with `ulimit -n`",
        ErrorKind::NoPorts => {
            "the machine of the generator has no free port: add addresses with --source 127.0.0.2-127.0.0.9"
        }
        ErrorKind::Other => "run again with -v for details",
    };
    hint.to_owned()
}
