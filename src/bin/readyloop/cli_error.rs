//! `CliError`: an error message, a hint and an exit status for the user of the command.
//!
//! The code that finds the cause writes the message and the hint.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use log::Level;

use crate::escape::one_line;
use crate::log_format::{is_stderr_journal, priority};
use crate::stream;

/// The exit status of wrong usage or configuration, found before anything was started.
pub(crate) const USAGE_STATUS: u8 = 2;

/// The hint of an error that no user can cause.
pub(crate) const BUG: &str = "this is a bug in readyloop: please report it";

/// How long an error waits for a reader of standard error. Without a reader, the error is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// One error line, one hint line, and the exit status for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CliError {
    exit_status: u8,
    /// The error, in one line.
    pub(crate) message: String,
    /// The next step for the user, in one line.
    pub(crate) hint: String,
}

impl CliError {
    /// Wrong usage: a flag, a variable or a configuration file has to change.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit_status: USAGE_STATUS, message: message.into(), hint: hint.into() }
    }

    /// A failure at run time.
    pub(crate) fn failure(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit_status: 1, message: message.into(), hint: hint.into() }
    }

    /// A failure of the system: what failed and why.
    pub(crate) fn system(what: impl Display, error: &io::Error, hint: impl Into<String>) -> Self {
        Self::failure(format!("{what}: {}", io_message(error)), hint)
    }

    /// The run succeeded, and a result exceeds a threshold of the user.
    pub(crate) fn threshold_exceeded(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit_status: 3, message: message.into(), hint: hint.into() }
    }

    /// Puts a place such as `server.toml:3` before the message.
    pub(crate) fn at(self, place: &str) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }

    /// Prints both lines on standard error and returns the exit status.
    pub(crate) fn print(self) -> ExitCode {
        let (message, hint) = (one_line(&self.message), one_line(&self.hint));
        let priority = if is_stderr_journal() { priority(Level::Error) } else { "" };
        let lines = [format!("{priority}readyloop: error: {message}\n"), format!("{priority}hint: {hint}\n")];
        // A closed standard error leaves no place to report to.
        let _ = stream::write_all(io::stderr(), lines.concat().as_bytes(), Some(PATIENCE));
        ExitCode::from(self.exit_status)
    }
}

/// The message of a system error, in lower case, as the rest of a sentence.
pub(crate) fn io_message(error: &io::Error) -> String {
    // For these, the text of the kind is shorter than that of the system.
    let short = [io::ErrorKind::AddrInUse, io::ErrorKind::AddrNotAvailable, io::ErrorKind::PermissionDenied];
    match error.raw_os_error() {
        Some(number) if short.contains(&error.kind()) => format!("{} (os error {number})", error.kind()),
        Some(_) | None => {
            let text = error.to_string();
            // std puts this before the reason of the resolver.
            let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
            let mut chars = text.chars();
            chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(number: i32, expected: &str) {
        assert_eq!(io_message(&io::Error::from_raw_os_error(number)), expected);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn system_errors_are_in_lower_case_with_their_number() {
        check(98, "address in use (os error 98)");
        check(13, "permission denied (os error 13)");
        check(2, "no such file or directory (os error 2)");
        check(24, "too many open files (os error 24)");
    }
}
