//! The generator as a child of its own: `readyloop bench`, whose record comes back as JSON.

use std::io::Read;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use readyloop::load::Record;
use readyloop::load::plan::RunLength;
use readyloop::load::record::{ErrorKind, RunEnd};

use super::contender::RunningServer;
use super::interrupt::Interrupt;
use super::process::{Process, WaitError, wait_for};
use crate::cli_error::io_message;
use crate::report::comparison::Load;

/// How long all connections together may take to come about; ten thousand take well below a second.
const OPENING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long an answer, or a connection, may take; and for each connection so much more: where all
/// ask at once, the last is answered when all others are. Who waits for a worker of a pool waits
/// this long in vain, in each trial: so not long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT_EACH: Duration = Duration::from_micros(250);

/// How long a server may take to be gone when its connections are.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// What is asked of the generator.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrialConfig {
    pub(super) load: Load,
    pub(super) run_length: RunLength,
    pub(super) warm_up: Duration,
}

/// Why there is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TrialError {
    /// The server could not be measured.
    Failed(String),
    /// The server is no echo.
    Mismatch(String),
}

impl From<String> for TrialError {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// Puts the server under a load.
///
/// # Errors
/// What there is to say of it, as the rest of a sentence.
pub(super) fn run(
    server: &mut RunningServer,
    config: &TrialConfig,
    core: Option<usize>,
    interrupt: &Interrupt,
) -> Result<Record, TrialError> {
    let command = std::env::current_exe().map(Command::new).map(|mut command| {
        command.args(words(server, config));
        command
    });
    let spawned = command.and_then(|mut command| Process::spawn(&mut command, core));
    let (mut process, mut output) =
        spawned.map_err(|error| format!("the generator cannot be started: {}", io_message(&error)))?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = output.read_to_string(&mut text);
        // Whoever was to hear it may have given up.
        let _ = sender.send(read.map(|_| text));
    });
    let measuring = match config.run_length {
        RunLength::Time(time) => time,
        RunLength::Requests(_) => OPENING_TIMEOUT,
    };
    // Connections that do not come about take two timeouts, and answers that do not come another.
    let within = OPENING_TIMEOUT + config.warm_up + measuring + 4 * answer_timeout(config.load);
    let text = match wait_for(&receiver, within, interrupt) {
        Ok(read) => read.map_err(|error| format!("the generator's record cannot be read: {}", io_message(&error)))?,
        Err(WaitError::Interrupted) => return Err("it was interrupted".to_owned().into()),
        Err(WaitError::TimedOut | WaitError::Ended) => {
            let slow = || format!("not all connections came about, or were answered, within {} s", within.as_secs());
            return Err(ending_of(server).unwrap_or_else(slow).into());
        }
    };
    let record = Record::from_json(&text).map_err(|_| {
        ending_of(server).unwrap_or_else(|| {
            process.ending_within(END_TIMEOUT);
            let words = process.last_words().unwrap_or_else(|| "it does not say why".to_owned());
            let words = words.strip_prefix("readyloop: error: ").unwrap_or(&words);
            format!("the generator measured nothing: {words}")
        })
    })?;
    judge(server, record)
}

fn answer_timeout(load: Load) -> Duration {
    let connections = u32::try_from(load.open()).unwrap_or(u32::MAX);
    ANSWER_TIMEOUT.saturating_add(ANSWER_TIMEOUT_EACH.saturating_mul(connections))
}

/// A record tells nothing of a server that has ended, has hardly answered, or is no echo.
fn judge(server: &mut RunningServer, record: Record) -> Result<Record, TrialError> {
    let first = record.errors.first();
    let kind = || first.map_or_else(String::new, |error| format!(": {}", error.kind));
    if let Some(error) = record.errors.iter().find(|error| error.kind == ErrorKind::Mismatch) {
        return Err(TrialError::Mismatch(format!("it sent back other bytes than it was sent: {}", error.example)));
    }
    if record.ending == RunEnd::Abandoned {
        // Its connections end a moment before it does.
        let gone = server.process.ending_within(END_TIMEOUT).map(gone);
        return Err(gone.unwrap_or_else(|| format!("all connections broke off{}", kind())).into());
    }
    if let Some(ending) = ending_of(server) {
        return Err(ending.into());
    }
    if let Some(own) = record.errors.iter().find(|error| error.kind.is_own()) {
        return Err(format!("{} connections did not come about: {}", own.count, own.kind).into());
    }
    // Who did not come in, or was turned away, is told beside the figures of those who were served.
    if record.requests.answered == 0 {
        let advice = if first.is_none() { "; a longer --duration may show more" } else { "" };
        return Err(format!("no request that left in the measured time was answered{}{advice}", kind()).into());
    }
    Ok(record)
}

/// How the server has ended, if it has.
fn ending_of(server: &mut RunningServer) -> Option<String> {
    server.process.ending().map(gone)
}

fn gone(ending: String) -> String {
    format!("the server is gone: {ending}")
}

fn words(server: &RunningServer, config: &TrialConfig) -> Vec<String> {
    let load = config.load;
    let seconds = |time: Duration| format!("{}ns", time.as_nanos());
    let mut words = vec!["bench".to_owned(), server.address.clone()];
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    flag("--connections", load.connections.to_string());
    flag("--idle", load.idle_connections.to_string());
    flag("--size", load.message_bytes.to_string());
    flag("--warm-up", seconds(config.warm_up));
    flag("--timeout", seconds(answer_timeout(load)));
    flag("--pid", server.process.working_pid().to_string());
    match config.run_length {
        RunLength::Time(time) => flag("--duration", seconds(time)),
        RunLength::Requests(requests) => flag("--requests", requests.to_string()),
    }
    words.push("--json".to_owned());
    words
}
