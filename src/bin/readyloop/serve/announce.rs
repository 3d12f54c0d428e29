//! Announcing: who waits for the server learns that it listens, and where.
//!
//! These lines are a result, not a log: scripts read the real port from them.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use log::debug;
use readyloop::Address;

use crate::cli_error::{CliError, io_message};

/// How each line begins, and how a file of such lines is known again.
const LINE_START: &[u8] = b"listening on ";

/// One line for each listener.
pub(super) fn lines(addresses: &[Address]) -> String {
    addresses.iter().map(|address| format!("listening on {address}\n")).collect()
}

/// Whether anybody can hear us on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputState {
    /// The lines are out.
    Open,
    /// Whoever was to read them has closed the pipe.
    Closed,
}

/// Prints the lines on standard output, at once.
///
/// # Errors
/// They cannot be written, for another reason than a closed pipe.
pub(super) fn print(lines: &str) -> Result<OutputState, CliError> {
    let mut output = io::stdout().lock();
    match output.write_all(lines.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(OutputState::Open),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(OutputState::Closed),
        Err(error) => Err(CliError::failure(
            format!("cannot write to standard output: {}", io_message(&error)),
            "the address that peers connect to is told there: redirect it to a place with room",
        )),
    }
}

/// A file that is there exactly while the server listens; dropping this removes it.
#[derive(Debug)]
pub(super) struct ReadyFile {
    path: PathBuf,
    /// Which file we wrote: another server may have replaced it since.
    identity: (u64, u64),
}

impl ReadyFile {
    /// Removes what an earlier server left at `path`, so that nobody is told too early.
    ///
    /// Anything else that is there is somebody's, and stays: a mistyped path must destroy nothing.
    pub(super) fn clear(path: &Path) -> Result<(), CliError> {
        // Not through a link: what would be removed is the link, such as /dev/stderr.
        let Ok(metadata) = fs::symlink_metadata(path) else {
            // Nothing is there, or writing will tell what is wrong.
            return Ok(());
        };
        if metadata.is_file() && fs::read(path).is_ok_and(|content| is_announcement(&content)) {
            return fs::remove_file(path).map_err(|error| write_error(path, &error));
        }
        Err(CliError::usage(
            format!("--ready-file {} exists and was not written by a server", path.display()),
            "type the path of a file that does not exist yet",
        ))
    }

    /// Writes the lines so that a reader sees all of them or no file.
    pub(super) fn write(path: &Path, lines: &str) -> Result<Self, CliError> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let written = fs::write(&temporary, lines).and_then(|()| fs::metadata(&temporary)).and_then(|metadata| {
            fs::rename(&temporary, path)?;
            Ok(identity(&metadata))
        });
        match written {
            Ok(identity) => Ok(Self { path: path.to_owned(), identity }),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(write_error(path, &error))
            }
        }
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let is_own = fs::metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == self.identity);
        if is_own && let Err(error) = fs::remove_file(&self.path) {
            debug!("cannot remove {}: {}", self.path.display(), io_message(&error));
        }
    }
}

/// Whether this is what a server writes, all its lines and no other; or nothing, as from mktemp(1).
fn is_announcement(content: &[u8]) -> bool {
    let is_whole = content.is_empty() || content.ends_with(b"\n");
    is_whole && content.split_inclusive(|byte| *byte == b'\n').all(|line| line.starts_with(LINE_START))
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn write_error(path: &Path, error: &io::Error) -> CliError {
    CliError::failure(
        format!("cannot write --ready-file {}: {}", path.display(), io_message(error)),
        "type a path in a directory that exists and that you may write to",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(test: &str) -> PathBuf {
        std::env::temp_dir().join(format!("readyloop-{}-{test}.ready", std::process::id()))
    }

    #[test]
    fn the_file_holds_the_lines_and_goes_with_the_server() {
        let path = path("whole");
        let lines = lines(&["127.0.0.1:1".parse().unwrap(), "unix:/a".parse().unwrap()]);
        assert_eq!(lines, "listening on tcp://127.0.0.1:1\nlistening on unix:/a\n");
        let ready = ReadyFile::write(&path, &lines).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), lines);
        drop(ready);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_the_next_server_stays() {
        let path = path("next");
        let first = ReadyFile::write(&path, "first").unwrap();
        let second = ReadyFile::write(&path, "second").unwrap();
        drop(first);
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_left_over_is_removed() {
        let path = path("left");
        fs::write(&path, "").unwrap();
        assert_eq!(ReadyFile::clear(&path), Ok(()));
        assert!(!path.exists());
        fs::write(&path, lines(&["unix:/a".parse().unwrap(), "unix:/b".parse().unwrap()])).unwrap();
        assert_eq!(ReadyFile::clear(&path), Ok(()));
        assert!(!path.exists());
        assert_eq!(ReadyFile::clear(&path), Ok(()));
    }

    #[test]
    fn what_no_server_wrote_stays() {
        let (file, link) = (path("theirs"), path("link"));
        for content in ["root:x:0:0\n", "listening on unix:/a\nmine\n", "listening on half a line"] {
            fs::write(&file, content).unwrap();
            assert!(ReadyFile::clear(&file).is_err(), "{content:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        fs::write(&file, "listening on unix:/a\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(ReadyFile::clear(&link).is_err());
        assert!(link.is_symlink() && file.exists());
        fs::remove_file(&link).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(ReadyFile::clear(&std::env::temp_dir()).is_err());
    }

    #[test]
    fn nothing_is_left_where_writing_failed() {
        assert!(ReadyFile::write(Path::new("/nonexistent/ready"), "lines").is_err());
    }
}
