//! Announces the bound addresses on standard output and in the ready file.
//!
//! Scripts read the real port from these lines.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use log::debug;
use readyloop::Address;

use crate::cli_error::{CliError, io_message};

/// The start of each line. A file of such lines is recognized as a ready file.
const LINE_START: &[u8] = b"listening on ";

/// Returns one line for each listener.
pub(super) fn lines(addresses: &[Address]) -> String {
    addresses.iter().map(|address| format!("listening on {address}\n")).collect()
}

/// The state of standard output after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputState {
    Open,
    /// A pipe that its reader has closed.
    Closed,
}

/// Prints the lines on standard output and flushes it.
///
/// # Errors
/// Standard output cannot be written. A closed pipe is not an error.
pub(super) fn print(lines: &str) -> Result<OutputState, CliError> {
    let mut output = io::stdout().lock();
    match output.write_all(lines.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(OutputState::Open),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(OutputState::Closed),
        Err(error) => Err(CliError::failure(
            format!("cannot write to standard output: {}", io_message(&error)),
            "redirect it to a writable file with free space",
        )),
    }
}

/// A file that exists while the server listens. It is removed on drop.
#[derive(Debug)]
pub(super) struct ReadyFile {
    path: PathBuf,
    /// Device and inode of our file, because another server may have replaced it since.
    identity: (u64, u64),
}

impl ReadyFile {
    /// Removes the ready file of an earlier server, so that no script reads it too early.
    ///
    /// # Errors
    /// Another file exists at `path`. It is not removed, because the path may be mistyped.
    pub(super) fn remove_leftover(path: &Path) -> Result<(), CliError> {
        // Links are not followed, because the link itself would be removed, such as /dev/stderr.
        let Ok(metadata) = fs::symlink_metadata(path) else {
            // The path is free, or writing to it reports the error.
            return Ok(());
        };
        if metadata.is_file() && fs::read(path).is_ok_and(|content| is_announcement(&content)) {
            return fs::remove_file(path).map_err(|error| write_error(path, &error));
        }
        Err(CliError::usage(
            format!("--ready-file {} exists and is not a ready file", path.display()),
            "type the path of a file that does not exist",
        ))
    }

    /// Writes the lines atomically: a reader sees the complete file or none.
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

/// Whether all lines are those of a ready file. An empty file, as from mktemp(1), counts as one.
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
        "type a path in a writable directory",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(test: &str) -> PathBuf {
        std::env::temp_dir().join(format!("readyloop-{}-{test}.ready", std::process::id()))
    }

    #[test]
    fn the_file_holds_the_lines_and_is_removed_on_drop() {
        let path = path("whole");
        let lines = lines(&["127.0.0.1:1".parse().unwrap(), "unix:/a".parse().unwrap()]);
        assert_eq!(lines, "listening on tcp://127.0.0.1:1\nlistening on unix:/a\n");
        let ready = ReadyFile::write(&path, &lines).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), lines);
        drop(ready);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_the_next_server_is_not_removed() {
        let path = path("next");
        let first = ReadyFile::write(&path, "first").unwrap();
        let second = ReadyFile::write(&path, "second").unwrap();
        drop(first);
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_leftover_is_removed() {
        let path = path("left");
        fs::write(&path, "").unwrap();
        assert_eq!(ReadyFile::remove_leftover(&path), Ok(()));
        assert!(!path.exists());
        fs::write(&path, lines(&["unix:/a".parse().unwrap(), "unix:/b".parse().unwrap()])).unwrap();
        assert_eq!(ReadyFile::remove_leftover(&path), Ok(()));
        assert!(!path.exists());
        assert_eq!(ReadyFile::remove_leftover(&path), Ok(()));
    }

    #[test]
    fn other_files_are_not_removed() {
        let (file, link) = (path("theirs"), path("link"));
        for content in ["root:x:0:0\n", "listening on unix:/a\nmine\n", "listening on half a line"] {
            fs::write(&file, content).unwrap();
            assert!(ReadyFile::remove_leftover(&file).is_err(), "{content:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        fs::write(&file, "listening on unix:/a\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(ReadyFile::remove_leftover(&link).is_err());
        assert!(link.is_symlink() && file.exists());
        fs::remove_file(&link).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(ReadyFile::remove_leftover(&std::env::temp_dir()).is_err());
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        assert!(ReadyFile::write(Path::new("/nonexistent/ready"), "lines").is_err());
    }
}
