//! Reads and writes the files of `cert`: complete or not at all, and keys for their owner only.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

use crate::cli_error::CliError;
use crate::output_file::temporary;

/// The longest file of an authority that is read.
const LEN_MAX: u64 = 64 * 1024;

/// The permissions of a file for all users to read.
pub(super) const PUBLIC: u32 = 0o644;

/// The permissions of a key.
pub(super) const OWNER_ONLY: u32 = 0o600;

/// Whether a file that exists is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    Keep,
    Replace,
}

/// Creates the directory if it does not exist, and locks it until the value is dropped.
pub(super) fn lock_directory(path: &Path) -> Result<File, CliError> {
    let open = || {
        fs::create_dir_all(path)?;
        let directory = File::open(path)?;
        flock(&directory, FlockOperation::LockExclusive)?;
        Ok(directory)
    };
    open().map_err(|error| failure("use the directory", path, &error))
}

/// Reads a file of the authority; `None` if it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<String>, CliError> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(LEN_MAX).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure("read", path, &error)),
    }
}

/// Checks that no file exists at `path`.
pub(super) fn check_absent(path: &Path) -> Result<(), CliError> {
    if fs::symlink_metadata(path).is_ok() { Err(exists(path)) } else { Ok(()) }
}

/// Writes a complete file under a temporary name beside `path`, which is removed on drop.
pub(super) fn stage(path: &Path, text: &str, mode: u32) -> Result<NamedTempFile, CliError> {
    temporary(path, text.as_bytes(), mode).map_err(|error| failure("write", path, &error))
}

/// Gives a staged file its name, so that a reader sees the complete file or the earlier one.
pub(super) fn commit(file: NamedTempFile, path: &Path, existing: Existing) -> Result<(), CliError> {
    let committed = match existing {
        Existing::Keep => file.persist_noclobber(path),
        Existing::Replace => file.persist(path),
    };
    committed.map(drop).map_err(|error| {
        let is_there = error.error.kind() == ErrorKind::AlreadyExists;
        if is_there { exists(path) } else { failure("write", path, &error.error) }
    })
}

fn exists(path: &Path) -> CliError {
    CliError::usage(
        format!("{} already exists", path.display()),
        "add --replace to overwrite it, or type --stem with another name",
    )
}

fn failure(what: &str, path: &Path, error: &io::Error) -> CliError {
    CliError::system(format_args!("cannot {what} {}", path.display()), error, "type --dir with a writable directory")
}
