//! The verdict of a row, and what ends a row before it passes.

use std::fmt::Display;
use std::io;

use rustix::io::Errno;
use serde::Serialize;

use crate::child::StartError;
use crate::cli_error::io_message;

/// The verdict of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RowVerdict {
    Pass,
    Fail,
    /// The row says nothing about the server; the evidence is the reason.
    Skip,
}

impl RowVerdict {
    /// The word in the table.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        }
    }
}

/// What ends a row before it passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The server broke a rule; the text is the evidence.
    Failed(String),
    /// This machine cannot run the row; the text is the reason.
    Skipped(String),
    /// The user interrupted the program.
    Interrupted,
}

/// The result of a step of a row. The text of a whole row is its evidence.
pub(super) type Checked<T = ()> = Result<T, Stop>;

/// Errors that say that this machine, and not the server, has too little of something.
const OWN_LIMITS: [Errno; 6] =
    [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM, Errno::AGAIN];

impl Stop {
    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped(reason.into())
    }

    /// The server does not start: a limit of this machine, or the fault of the server.
    pub(super) fn of_start(what: impl Display, error: &StartError) -> Self {
        match error {
            StartError::System(_) => Self::Skipped(format!("{what}: {error}")),
            StartError::Server(_) => Self::Failed(format!("{what}: {error}")),
        }
    }

    /// A call of this program failed: a limit of this machine, or the fault of the server.
    pub(super) fn of_call(what: impl Display, error: &io::Error) -> Self {
        let text = format!("{what}: {}", io_message(error));
        let is_own = Errno::from_io_error(error).is_some_and(|errno| OWN_LIMITS.contains(&errno));
        if is_own { Self::Skipped(format!("a limit of this machine: {text}")) } else { Self::Failed(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_this_machine_is_no_fault_of_the_server() {
        let stop = |errno: Errno| Stop::of_call("cannot connect", &errno.into());
        assert!(matches!(stop(Errno::MFILE), Stop::Skipped(_)));
        assert!(matches!(stop(Errno::ADDRNOTAVAIL), Stop::Skipped(_)));
        assert!(matches!(stop(Errno::CONNREFUSED), Stop::Failed(_)));
        assert!(matches!(stop(Errno::CONNRESET), Stop::Failed(_)));
    }
}
