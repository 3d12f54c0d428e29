//! The only writer of standard output. Results of every subcommand go through it.

use std::io;

use crate::cli_error::CliError;
use crate::stream;

/// The state of standard output after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputState {
    Open,
    /// A pipe that its reader has closed.
    Closed,
}

/// Prints a text on standard output. A closed pipe is not an error.
///
/// # Errors
/// Standard output cannot be written, for example because the disk is full.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    print_and_check(text).map(|_| ())
}

/// Like [`print`], and returns whether standard output is still open.
pub(crate) fn print_and_check(text: &str) -> Result<OutputState, CliError> {
    match stream::write_all(io::stdout(), text.as_bytes(), None) {
        Ok(()) => Ok(OutputState::Open),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(OutputState::Closed),
        Err(error) => {
            let hint = "redirect it to a writable file with free space";
            Err(CliError::system("cannot write to standard output", &error, hint))
        }
    }
}
