//! The end of a session as the result of the command.

use std::io;

use readyloop::Address;
use readyloop::connection::CloseReason;

use crate::cli_error::{CliError, io_message};

/// The result of a session that has ended.
pub(super) type Ended = Result<(), CliError>;

/// A session cannot be started.
pub(super) fn start_error(error: io::Error) -> CliError {
    CliError::failure(
        format!("cannot start the session: {}", io_message(&error)),
        "free some descriptors, threads or memory",
    )
}

/// The event loop failed.
pub(super) fn loop_failed(error: io::Error) -> Ended {
    Err(CliError::failure(
        format!("the event loop failed: {}", io_message(&error)),
        "this is a bug in readyloop: please report it",
    ))
}

/// Standard input cannot be read.
pub(super) fn input_failed(error: io::Error) -> Ended {
    Err(CliError::failure(
        format!("cannot read standard input: {}", io_message(&error)),
        "the input before the error was sent; check the rest",
    ))
}

/// Standard output cannot be written. A closed pipe is no error: its reader needs no more.
pub(super) fn output_failed(error: io::Error) -> Ended {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(CliError::failure(
        format!("cannot write to standard output: {}", io_message(&error)),
        "redirect it to a writable file with free space",
    ))
}

/// The connection closed before all input was sent.
pub(super) fn closed_early(reason: CloseReason, address: &Address) -> Ended {
    closed(reason, address)?;
    Err(CliError::failure(
        format!("{address} ended the connection before all input was sent"),
        "the replies until then were printed",
    ))
}

/// The connection closed after all input was sent.
pub(super) fn closed(reason: CloseReason, address: &Address) -> Ended {
    let (message, hint) = match reason {
        CloseReason::Finished | CloseReason::Probed => return Ok(()),
        CloseReason::PartialFrame => (
            format!("{address} ended the connection in the middle of a frame"),
            "the incomplete frame is not printed; --framing raw prints every byte",
        ),
        CloseReason::BadFrame | CloseReason::FrameTooLong => (
            format!("{address} sent data that is not a frame of this framing ({reason})"),
            "--framing raw prints every byte",
        ),
        CloseReason::BadReply => {
            ("a line of the input is not a frame of this framing".to_owned(), "--framing raw sends the input unchanged")
        }
        CloseReason::Reset => (
            format!("{address} reset the connection"),
            "the replies until then were printed, and some may be missing; check whether the server still runs",
        ),
        CloseReason::Truncated => (
            format!("{address} ended the connection without the close_notify of TLS"),
            "the replies until then were printed; an attacker on the path may have removed the rest",
        ),
        CloseReason::BadTls
        | CloseReason::BadProxyHeader
        | CloseReason::UntrustedProxy
        | CloseReason::HandshakeTimeout
        | CloseReason::HandshakesFull
        | CloseReason::Failed
        | CloseReason::IdleTimeout
        | CloseReason::FrameTimeout
        | CloseReason::WriteTimeout
        | CloseReason::TooSlow
        | CloseReason::MaxLifetime
        | CloseReason::QueueFull
        | CloseReason::BudgetSpent
        | CloseReason::Service
        | CloseReason::Panicked
        | CloseReason::Drained
        | CloseReason::Stopped => {
            (format!("the connection to {address} ended: {reason}"), "run again with -v for details")
        }
    };
    Err(CliError::failure(message, hint))
}
