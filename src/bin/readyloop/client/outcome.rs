//! What is said, and with which exit status, when a conversation is over.

use std::io;

use readyloop::Address;
use readyloop::connection::CloseReason;

use crate::cli_error::{CliError, io_message};
use crate::tls::connection_error;

use super::session::SessionEnd;

/// Whether that is how it should have ended.
pub(super) fn outcome(ending: SessionEnd, address: &Address) -> Result<(), CliError> {
    match ending {
        SessionEnd::Closed(reason) => closed(reason, address),
        SessionEnd::ClosedEarly(CloseReason::Finished) => Err(CliError::failure(
            format!("{address} ended the connection before it had all of the input"),
            "what came back until then was printed",
        )),
        SessionEnd::ClosedEarly(reason) => closed(reason, address),
        SessionEnd::LayerFailed(error) => Err(connection_error(address, &error)),
        SessionEnd::TimedOut => Ok(()),
        SessionEnd::InputFailed(error) => Err(input_error(&error)),
        SessionEnd::OutputFailed(error) => output_result(&error),
        SessionEnd::LoopFailed(error) => Err(CliError::failure(
            format!("the loop broke: {}", io_message(&error)),
            "this should not happen: please report it",
        )),
    }
}

/// Standard input failed.
pub(super) fn input_error(error: &io::Error) -> CliError {
    CliError::failure(
        format!("cannot read standard input: {}", io_message(error)),
        "what was read before has been sent",
    )
}

/// Standard output failed.
pub(super) fn output_result(error: &io::Error) -> Result<(), CliError> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        // As any command in a pipe: its reader has seen enough.
        return Ok(());
    }
    Err(CliError::failure(
        format!("cannot write to standard output: {}", io_message(error)),
        "redirect it to a place with room",
    ))
}

fn closed(reason: CloseReason, address: &Address) -> Result<(), CliError> {
    let (message, hint) = match reason {
        CloseReason::Finished => return Ok(()),
        CloseReason::PartialFrame => (
            format!("{address} ended the connection in the middle of a frame"),
            "what came of it is not shown; --framing raw shows every byte",
        ),
        CloseReason::BadFrame | CloseReason::FrameTooLong => {
            (format!("what {address} sent is no frame of this framing ({reason})"), "--framing raw shows every byte")
        }
        CloseReason::BadReply => {
            ("a line of the input is no frame of this framing".to_owned(), "--framing raw sends bytes as they are")
        }
        CloseReason::Reset => (
            format!("{address} broke the connection off"),
            "what came before was printed, and more may have been on its way; did the server die?",
        ),
        CloseReason::Truncated => (
            format!("{address} ended the connection without the close_notify of TLS"),
            "what came until then was printed; somebody on the way may have cut off the rest",
        ),
        CloseReason::BadTls
        | CloseReason::HandshakeTimeout
        | CloseReason::HandshakesFull
        | CloseReason::Failed
        | CloseReason::IdleTimeout
        | CloseReason::FrameTimeout
        | CloseReason::WriteTimeout
        | CloseReason::QueueFull
        | CloseReason::BudgetSpent
        | CloseReason::Service
        | CloseReason::Panicked
        | CloseReason::Drained
        | CloseReason::Stopped => {
            (format!("the connection to {address} ended: {reason}"), "-v tells what happened before")
        }
    };
    Err(CliError::failure(message, hint))
}
