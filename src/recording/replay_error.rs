//! [`ReplayError`]: why a recording cannot be replayed, or where its replay differs.

use std::io;

use thiserror::Error;

/// Why a recording cannot be replayed, or where its replay differs from it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The system cannot read the file.
    #[error("cannot read the recording: {}", system_error(*kind, *errno))]
    Read {
        /// The kind of the error.
        kind: io::ErrorKind,
        /// The number of the error, if it is one of the system.
        errno: Option<i32>,
    },
    /// The file does not begin as a recording does.
    #[error("the file is not a recording")]
    NotARecording,
    /// Another version of the format.
    #[error("the recording has version {0} of the format, which this program does not read")]
    Version(u8),
    /// The file is shorter than its header.
    #[error("the recording is cut off before its first turn")]
    Empty,
    /// The checksum or the content of a turn is wrong.
    #[error("the recording is damaged at turn {turn}")]
    Damaged {
        /// The number of the turn. The first one is 1, and 0 is before it.
        turn: u64,
    },
    /// The older turns were dropped, because the recording was longer than its limit.
    #[error("the recording begins at turn {turn}, because older turns were dropped; only a whole recording replays")]
    NoBeginning {
        /// The first turn that is left.
        turn: u64,
    },
    /// The loop called something else than it did when it was recorded.
    #[error("the replay differs in turn {turn}: the loop asked for {asked}, and the recording has {recorded}")]
    Differs {
        /// The number of the turn.
        turn: u64,
        /// The call of the replayed loop.
        asked: String,
        /// The call in the recording.
        recorded: String,
    },
    /// The recording has no content of a message, so the service cannot receive it.
    #[error(
        "the recording has no content of the message in turn {turn}, because Service::encode_message returned none"
    )]
    NoMessage {
        /// The number of the turn.
        turn: u64,
    },
}

impl ReplayError {
    pub(super) fn read(error: &io::Error) -> Self {
        Self::Read { kind: error.kind(), errno: error.raw_os_error() }
    }

    /// The error with which the file could not be read.
    pub fn read_error(&self) -> Option<io::Error> {
        if let Self::Read { kind, errno } = self { Some(system_error(*kind, *errno)) } else { None }
    }
}

fn system_error(kind: io::ErrorKind, errno: Option<i32>) -> io::Error {
    errno.map_or_else(|| kind.into(), io::Error::from_raw_os_error)
}

impl From<ReplayError> for io::Error {
    fn from(error: ReplayError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
