//! Announces the bound addresses on standard output and in the ready file.
//!
//! Scripts read the real port from these lines.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use log::{debug, info};
use readyloop::Address;
use rustix::fs::{FlockOperation, flock};

use crate::cli_error::{CliError, io_message};
use crate::output_file::{self, Existing, PUBLIC_MODE};
use crate::standard_output::{OutputState, print_and_check};

use super::settings::Settings;
use super::warnings;

/// The start of each line. A file of such lines is recognized as a ready file.
const LINE_START: &[u8] = b"listening on ";

/// The longest ready file: 255 listeners with the longest addresses.
const LEN_MAX: u64 = 256 << 10;

/// A server that was announced. The ready file exists as long as this value.
pub(super) struct Announced {
    pub(super) output: OutputState,
    _ready_file: Option<ReadyFile>,
}

/// Announces a server that listens: writes the ready file, and prints a line for each listener.
pub(super) fn announce(
    settings: &Settings,
    addresses: &[Address],
    admin: Option<&Address>,
) -> Result<Announced, CliError> {
    warnings::warn_of_public_addresses(addresses);
    warnings::warn_of_capped_backlog(settings.sockets.backlog);
    let lines = lines(addresses);
    if settings.threads.successor {
        // Its standard output is read by its predecessor.
        lines.lines().for_each(|line| info!("{line}"));
    }
    let existing = if settings.threads.successor { Existing::Replace } else { Existing::Keep };
    let path = settings.output.ready_file.as_deref();
    let ready_file = path.map(|path| ReadyFile::write(path, &lines, existing)).transpose()?;
    let admin_line = admin.map_or_else(String::new, |address| format!("administration on {address}\n"));
    Ok(Announced { output: print_and_check(&(lines + &admin_line))?, _ready_file: ready_file })
}

/// Returns one line for each listener.
fn lines(addresses: &[Address]) -> String {
    addresses.iter().map(|address| format!("listening on {address}\n")).collect()
}

/// A file that exists while the server listens. It is removed on drop.
///
/// The server holds a lock on it, so that a second server does not take it for a leftover.
#[derive(Debug)]
pub(super) struct ReadyFile {
    path: PathBuf,
    file: File,
}

impl ReadyFile {
    /// Removes the ready file of an earlier server, so that no script reads it too early.
    ///
    /// # Errors
    /// A running server holds the file, or another kind of file exists at `path`, which may be mistyped.
    pub(super) fn remove_leftover(path: &Path) -> Result<(), CliError> {
        // Links are not followed, because the link itself would be removed, such as /dev/stderr.
        let Ok(metadata) = fs::symlink_metadata(path) else {
            // The path is free, or writing to it reports the error.
            return Ok(());
        };
        let mut content = Vec::new();
        let file = if metadata.is_file() { File::open(path).ok() } else { None };
        let is_read = |file: &File| file.take(LEN_MAX).read_to_end(&mut content).is_ok();
        let Some(file) = file.filter(is_read).filter(|_| is_announcement(&content)) else {
            return Err(CliError::usage(
                format!("--ready-file {} exists and is not a ready file", path.display()),
                "type the path of a file that does not exist",
            ));
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(CliError::failure(
                format!("--ready-file {} belongs to a running server", path.display()),
                "type another path, or stop that server",
            ));
        }
        fs::remove_file(path).map_err(|error| write_error(path, &error))
    }

    /// Writes the lines atomically: a reader sees the complete file or none.
    pub(super) fn write(path: &Path, lines: &str, existing: Existing) -> Result<Self, CliError> {
        let file = output_file::create(path, lines.as_bytes(), PUBLIC_MODE, existing);
        let file = file.map_err(|error| write_error(path, &error))?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let found = fs::symlink_metadata(&self.path).map(identity);
        let is_own = found.ok().zip(self.file.metadata().map(identity).ok()).is_some_and(|(found, own)| found == own);
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

fn write_error(path: &Path, error: &io::Error) -> CliError {
    let what = format!("cannot write --ready-file {}", path.display());
    CliError::system(what, error, "type a path in a writable directory with free space")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(test: &str) -> PathBuf {
        std::env::temp_dir().join(format!("readyloop-{}-{test}.ready", std::process::id()))
    }

    #[test]
    fn a_file_that_another_program_has_put_there_stays() {
        let path = path("replaced");
        let ready = ReadyFile::write(&path, "listening on unix:/a\n", Existing::Keep).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "theirs").unwrap();
        drop(ready);
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        fs::remove_file(&path).unwrap();
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
}
