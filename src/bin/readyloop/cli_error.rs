//! `CliError`: why the command ends without having done its work, as its user reads it.
//!
//! It knows no cause of its own: whoever meets one says what happened and what to type.

use std::io::{self, Write};
use std::process::ExitCode;

/// One error line, one hint line, and the exit status that goes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CliError {
    kind: Kind,
    /// What happened.
    pub(crate) message: String,
    /// What to type now.
    pub(crate) hint: String,
}

/// Who can act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The user: a word on the command line, a variable or a configuration.
    Usage,
    /// The system refused something at run time.
    Failure,
    /// Nobody: what was measured is not what was wished for.
    Threshold,
}

impl CliError {
    /// The user asked for what cannot be.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into(), hint: hint.into() }
    }

    /// The system refused what the user asked for.
    pub(crate) fn failure(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Failure, message: message.into(), hint: hint.into() }
    }

    /// All went well, but not as well as the user wished.
    pub(crate) fn threshold_exceeded(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Threshold, message: message.into(), hint: hint.into() }
    }

    /// The same, with where it was met in front: `server.toml:3`.
    pub(crate) fn at(self, place: &str) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }

    /// Prints both lines on standard error and tells the exit status.
    pub(crate) fn print(self) -> ExitCode {
        let (message, hint) = (one_line(&self.message), one_line(&self.hint));
        // Nobody is left to tell when standard error is closed.
        let _ = write!(io::stderr(), "readyloop: error: {message}\nhint: {hint}\n");
        match self.kind {
            Kind::Usage => ExitCode::from(2),
            Kind::Failure => ExitCode::from(1),
            Kind::Threshold => ExitCode::from(3),
        }
    }
}

/// What the system says of an error, as the rest of a sentence.
pub(crate) fn io_message(error: &io::Error) -> String {
    // What a newcomer meets most, in the shorter words of its kind.
    let short = [io::ErrorKind::AddrInUse, io::ErrorKind::AddrNotAvailable, io::ErrorKind::PermissionDenied];
    match error.raw_os_error() {
        Some(number) if short.contains(&error.kind()) => format!("{} (os error {number})", error.kind()),
        Some(_) | None => {
            let text = error.to_string();
            let mut chars = text.chars();
            chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
        }
    }
}

/// Line ends and escapes that came in with a user's word must not break the line apart.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stays_on_its_line() {
        assert_eq!(one_line("grüße\n\u{1b}[2J"), "grüße\\n\\u{1b}[2J");
    }

    #[track_caller]
    fn check_words(number: i32, expected: &str) {
        assert_eq!(io_message(&io::Error::from_raw_os_error(number)), expected);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_speaks_in_lower_case_with_its_number() {
        check_words(98, "address in use (os error 98)");
        check_words(13, "permission denied (os error 13)");
        check_words(2, "no such file or directory (os error 2)");
        check_words(24, "too many open files (os error 24)");
    }
}
