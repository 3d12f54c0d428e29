//! The load generator as a child process: `readyloop bench --json`.

use std::ffi::OsString;
use std::io::Read;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use readyloop::load::Record;
use readyloop::load::plan::RunLength;
use readyloop::load::record::{ErrorKind, RunEnd};

use super::certificate::Certificate;
use super::request_flags::RequestFlags;
use super::trial_place::TrialPlace;
use crate::child::{Process, RunningServer, WaitError, wait_for};
use crate::cli_error::io_message;
use crate::report::comparison::Load;

/// Time for opening all connections.
const OPENING_TIMEOUT: Duration = Duration::from_secs(20);

/// Timeout of an answer and of a connect. Connections that wait for a busy worker of a pool take the
/// whole timeout in each trial, so it is short.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Addition to the timeout per connection, because the last of many simultaneous requests waits for all
/// others.
const ANSWER_TIMEOUT_EACH: Duration = Duration::from_micros(250);

/// Timeout of the end of a server after its connections were closed.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// Configuration of one trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrialConfig {
    /// Whether the server has the certificate of the comparison.
    pub(super) has_certificate: bool,
    pub(super) load: Load,
    pub(super) requests: RequestFlags,
    pub(super) run_length: RunLength,
    pub(super) warm_up: Duration,
}

/// Why a trial has no record. The reason is a clause such as `it closed its standard output`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TrialError {
    /// The server could not be measured.
    Failed(String),
    /// The server returned other bytes than it received.
    Mismatch(String),
}

impl From<String> for TrialError {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// Measures the server under a load.
///
/// # Errors
/// The server or the generator failed, the trial was interrupted, or the record is not usable.
pub(super) fn run(
    server: &mut RunningServer,
    config: &TrialConfig,
    place: &TrialPlace<'_>,
) -> Result<Record, TrialError> {
    let spawned = std::env::current_exe().and_then(|program| {
        let arguments = arguments(server, config, place.certificate).into_iter().map(OsString::from);
        Process::spawn([program.into_os_string()].into_iter().chain(arguments), &place.cores.generator, None)
    });
    let (mut process, mut output) =
        spawned.map_err(|error| format!("the generator cannot be started: {}", io_message(&error)))?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = output.read_to_string(&mut text);
        // The receiver may be gone.
        let _ = sender.send(read.map(|_| text));
    });
    let measuring = match config.run_length {
        RunLength::Time(time) => time,
        RunLength::Requests(_) => OPENING_TIMEOUT,
    };
    // Failing connects take up to two timeouts, missing answers another one.
    let timeouts = answer_timeout(config.load).saturating_mul(4);
    let within = timeouts.saturating_add(OPENING_TIMEOUT).saturating_add(config.warm_up).saturating_add(measuring);
    let text = match wait_for(&receiver, within, place.interrupt) {
        Ok(read) => {
            read.map_err(|error| format!("the output of the generator cannot be read: {}", io_message(&error)))?
        }
        Err(WaitError::Interrupted) => return Err("it was interrupted".to_owned().into()),
        Err(WaitError::TimedOut | WaitError::Ended) => {
            let slow = || format!("the trial did not end within {} s", within.as_secs());
            return Err(server_end(server).unwrap_or_else(slow).into());
        }
    };
    let record = Record::from_json(&text).map_err(|_| {
        server_end(server).unwrap_or_else(|| {
            process.wait_for_end(END_TIMEOUT);
            let line = process.last_error_line().unwrap_or_else(|| "it reported no error".to_owned());
            let reason = line.strip_prefix("readyloop: error: ").unwrap_or(&line);
            format!("the generator measured nothing: {reason}")
        })
    })?;
    check_record(server, record)
}

fn answer_timeout(load: Load) -> Duration {
    let connections = u32::try_from(load.open()).unwrap_or(u32::MAX);
    ANSWER_TIMEOUT.saturating_add(ANSWER_TIMEOUT_EACH.saturating_mul(connections))
}

/// Rejects a record if the server has ended, has not answered, or returned other bytes.
fn check_record(server: &mut RunningServer, record: Record) -> Result<Record, TrialError> {
    let first = record.errors.first();
    let kind = || first.map_or_else(String::new, |error| format!(": {}", error.kind));
    if let Some(error) = record.errors.iter().find(|error| error.kind == ErrorKind::Mismatch) {
        return Err(TrialError::Mismatch(format!("it returned other bytes than it received: {}", error.example)));
    }
    if record.ending == RunEnd::Abandoned {
        // The connections of a crashed server close shortly before its process ends.
        let end = server.process.wait_for_end(END_TIMEOUT).map(|end| ended_with(&end));
        return Err(end.unwrap_or_else(|| format!("all connections failed{}", kind())).into());
    }
    if let Some(end) = server_end(server) {
        return Err(end.into());
    }
    if let Some(own) = record.errors.iter().find(|error| error.kind.is_own()) {
        return Err(format!("the generator failed to connect ({}): {}", own.count, own.kind).into());
    }
    // Waiting and refused connections are no failure. The report shows them next to the results.
    if record.requests.answered == 0 {
        let advice = if first.is_none() { "; use a longer --duration" } else { "" };
        return Err(format!("no request of the measured time was answered{}{advice}", kind()).into());
    }
    Ok(record)
}

/// The end of the server as a clause, if it has ended.
fn server_end(server: &mut RunningServer) -> Option<String> {
    server.process.end().map(|end| ended_with(&end))
}

fn ended_with(end: &str) -> String {
    format!("the server ended with {end}")
}

fn arguments(server: &RunningServer, config: &TrialConfig, certificate: Option<&Certificate>) -> Vec<String> {
    let load = config.load;
    let nanos = |time: Duration| format!("{}ns", time.as_nanos());
    let mut arguments = vec!["bench".to_owned(), server.address.clone()];
    let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    flag("--connections", load.connections.to_string());
    flag("--idle", load.idle_connections.to_string());
    flag("--size", load.message_bytes.to_string());
    flag("--framing", config.requests.framing.to_string());
    flag("--pipeline", config.requests.pipeline.to_string());
    flag("--threads", config.requests.threads.to_string());
    if let Some(rate) = config.requests.rate {
        flag("--rate", rate.to_string());
    }
    flag("--warm-up", nanos(config.warm_up));
    flag("--timeout", nanos(answer_timeout(load)));
    flag("--pid", server.process.working_pid().to_string());
    match config.run_length {
        RunLength::Time(time) => flag("--duration", nanos(time)),
        RunLength::Requests(requests) => flag("--requests", requests.to_string()),
    }
    match certificate {
        Some(certificate) if config.has_certificate => {
            flag("--ca", certificate.ca.to_string_lossy().into_owned());
            arguments.push("--tls".to_owned());
        }
        // The server has a certificate of its own.
        Some(_) => arguments.extend(["--tls", "--insecure"].map(str::to_owned)),
        None => {}
    }
    arguments.push("--json".to_owned());
    arguments
}
