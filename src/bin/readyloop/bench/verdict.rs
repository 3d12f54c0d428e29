//! Whether a run went well: what ends with which exit status, and what is said.

use readyloop::load::Record;
use readyloop::load::record::{Ending, ErrorKind};

use crate::cli_error::CliError;

use super::figures::{grouped, rate};
use super::threshold::Threshold;

/// A rate counts as reached at this part of it.
const REACHED: f64 = 0.99;

/// Refuses a run in which nobody could even be asked.
pub(super) fn is_worth_a_report(record: &Record) -> Result<(), CliError> {
    let is_deserted = record.connections.opened == 0 && record.ending == Ending::Abandoned;
    match record.errors.first() {
        Some(error) if is_deserted => Err(CliError::failure(
            format!("cannot connect to {}: {}", record.asked.address, error.example),
            advice(error.kind, record),
        )),
        None if record.requests.lost > 0 && record.requests.answered == 0 => Err(CliError::failure(
            format!("no answer from {}: {} datagrams were lost", record.asked.address, grouped(record.requests.lost)),
            "does an echo server for UDP listen there? `readyloop serve -l udp://HOST:PORT` starts one",
        )),
        Some(_) | None => Ok(()),
    }
}

/// What the run is worth: failures first, then what was wished for.
pub(super) fn judge(record: &Record, thresholds: &[Threshold]) -> Result<(), CliError> {
    if let Some(error) = record.errors.first() {
        let kinds: Vec<String> =
            record.errors.iter().map(|error| format!("{} {}", error.kind, grouped(error.count))).collect();
        return Err(CliError::failure(
            format!("not all went well: {}; the first: {}", kinds.join(", "), error.example),
            advice(error.kind, record),
        ));
    }
    if record.requests.failed > 0 {
        return Err(CliError::failure(
            format!("{} requests got no answer", grouped(record.requests.failed)),
            "--timeout 30s waits longer",
        ));
    }
    if let Some(message) = missed_rate(record) {
        return Err(CliError::failure(message, "type a lower --rate, or more connections with -c"));
    }
    let missed: Vec<String> = thresholds.iter().filter_map(|threshold| threshold.missed(record)).collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(CliError::threshold_exceeded(missed.join("; "), "this is what --fail-if asked for"))
}

/// What to say where less than the asked rate was reached.
pub(super) fn missed_rate(record: &Record) -> Option<String> {
    let asked = record.asked.rate.filter(|_| record.ending == Ending::Done)?;
    // An answer to the last request may come just after the end.
    let seconds = record.requests.measured_ns as f64 / 1e9;
    let reached = (record.requests.rate * seconds + 1.0) / seconds;
    let is_missed = reached < REACHED * asked;
    is_missed.then(|| format!("{} were asked for, {} reached", rate(asked), rate(record.requests.rate)))
}

fn advice(kind: ErrorKind, record: &Record) -> String {
    match kind {
        ErrorKind::Refused => {
            "nobody listens there: start the server (`readyloop serve`) or check host and port".to_owned()
        }
        ErrorKind::Unreachable => "this machine has no way there: check the network, or the address family".to_owned(),
        ErrorKind::ConnectTimedOut => {
            "the host is down, a firewall is silent, or the backlog of the server is full; --connect-rate 1k is gentler"
                .to_owned()
        }
        ErrorKind::Tls => {
            "does a TLS server listen there? --ca FILE tells whom to trust, --insecure trusts any".to_owned()
        }
        ErrorKind::Reset | ErrorKind::Ended => {
            "the server ends connections: its log or its limits may say why".to_owned()
        }
        ErrorKind::TimedOut => "the server is stuck or too slow; --timeout 30s waits longer".to_owned(),
        ErrorKind::Mismatch => {
            format!("the server is no echo in {} framing, or it mixes up what it sends", record.asked.framing)
        }
        ErrorKind::NoDescriptors => {
            "this generator ran out of descriptors, not the server: raise `ulimit -n`".to_owned()
        }
        ErrorKind::NoPorts => {
            "this machine ran out of ports, not the server: type more addresses, such as --source 127.0.0.2-127.0.0.9"
                .to_owned()
        }
        ErrorKind::Other => "-v tells more".to_owned(),
    }
}
