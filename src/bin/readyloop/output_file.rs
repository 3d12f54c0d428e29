//! Output files: checked before a run, written as a whole at its end, and never deleted.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, access, flock};
use tempfile::NamedTempFile;

use crate::cli_error::{CliError, io_message};
use crate::stream;

/// The permissions of a file that is not secret, before the umask.
pub(crate) const PUBLIC_MODE: u32 = 0o666;

/// Checks that each output, a flag and its path, can be written. Creates, changes and deletes nothing.
///
/// # Errors
/// A path that cannot be written, or that two outputs have.
pub(crate) fn check<'a>(outputs: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Result<(), CliError> {
    let mut identities = HashSet::new();
    for (flag, path) in outputs {
        check_path(path).map_err(|reason| {
            CliError::usage(
                format!("cannot write {flag} {}: {reason}", path.display()),
                "type a path in an existing, writable directory",
            )
        })?;
        if let Some(identity) = identity(path)
            && !identities.insert(identity)
        {
            return Err(CliError::usage(
                format!("{flag} {} is the path of another output, too", path.display()),
                "type a different path for each output",
            ));
        }
    }
    Ok(())
}

/// Whether two paths are those of one file.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    identity(one).is_some_and(|identity_of_one| Some(identity_of_one) == identity(other))
}

/// Returns why a path cannot be written.
fn check_path(path: &Path) -> Result<(), String> {
    let directory = directory(path);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err("it is a directory".to_owned()),
        Ok(found) if found.file_type().is_socket() => Err("it is a socket".to_owned()),
        Ok(_) => access(path, Access::WRITE_OK).map_err(|error| io_message(&error.into())),
        Err(_) if path.as_os_str().is_empty() => Err("the path is empty".to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_message(&error)),
        Err(_) if path.is_symlink() => Err("it is a link to a file that does not exist".to_owned()),
        Err(_) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => Err("it is a directory".to_owned()),
        Err(_) => access(directory, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| format!("directory {}: {}", directory.display(), io_message(&error.into()))),
    }
}

/// What two paths of the same file have in common. `None` for a device or a pipe, which take several outputs.
fn identity(path: &Path) -> Option<(PathBuf, u64, u64)> {
    match fs::metadata(path) {
        Ok(found) => found.is_file().then(|| (PathBuf::new(), found.dev(), found.ino())),
        Err(_) => Some((fs::canonicalize(directory(path)).ok()?.join(path.file_name()?), 0, 0)),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes every output, even if another one fails.
///
/// # Errors
/// The first failure.
pub(crate) fn write_all<'a>(outputs: impl IntoIterator<Item = (&'a Path, String)>) -> Result<(), CliError> {
    let mut result = Ok(());
    for (path, text) in outputs {
        let written = write(path, text.as_bytes(), PUBLIC_MODE).map_err(|error| cannot_write(path, &error));
        result = result.and(written);
    }
    result
}

/// The error about an output file.
pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> CliError {
    let what = format!("cannot write {}", path.display());
    CliError::system(what, error, "type a path in a writable directory with free space")
}

/// Writes a whole file: a reader sees the old content or the new one. An existing file keeps its permissions.
///
/// The target of a link, a device and a pipe are written in place. A pipe without a reader is an error.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            let file = OpenOptions::new().write(true).truncate(true).custom_flags(libc::O_NONBLOCK).open(path)?;
            stream::write_all(&file, bytes, None)
        }
        Ok(found) => {
            let temporary = temporary(path, bytes, mode)?;
            temporary.as_file().set_permissions(found.permissions())?;
            temporary.persist(path).map(drop).map_err(|error| error.error)
        }
        Err(_) => temporary(path, bytes, mode)?.persist(path).map(drop).map_err(|error| error.error),
    }
}

/// What happens to a file that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays as it is, and the error is `AlreadyExists`. A link to nothing counts as a file.
    Keep,
    Replace,
}

/// Creates a whole file, which stays locked (flock(2)) while the returned file is open.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32, existing: Existing) -> io::Result<File> {
    let temporary = temporary(path, bytes, mode)?;
    flock(&temporary, FlockOperation::NonBlockingLockExclusive)?;
    let persisted = match existing {
        Existing::Keep => temporary.persist_noclobber(path),
        Existing::Replace => temporary.persist(path),
    };
    persisted.map_err(|error| error.error)
}

/// A file with this content beside `path`, which is removed on drop.
pub(crate) fn temporary(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let permissions = Permissions::from_mode(mode);
    let mut file =
        tempfile::Builder::new().prefix(".readyloop-").permissions(permissions).tempfile_in(directory(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(path: &Path, reason: &str) {
        let error = check([("--out", path)]).unwrap_err();
        assert_eq!(error.message, format!("cannot write --out {}: {reason}", path.display()));
    }

    #[test]
    fn an_output_is_checked_without_changing_anything() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::write(path("file"), "old").unwrap();
        std::os::unix::fs::symlink(path("nothing"), path("dangling")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for accepted in [path("file"), path("new"), path("fifo"), PathBuf::from("/dev/full")] {
            assert_eq!(check([("--out", accepted.as_path())]), Ok(()), "{}", accepted.display());
        }
        check_refused(scratch.path(), "it is a directory");
        check_refused(&path("new/"), "it is a directory");
        check_refused(&path("socket"), "it is a socket");
        check_refused(&path("dangling"), "it is a link to a file that does not exist");
        check_refused(Path::new(""), "the path is empty");
        assert!(check([("--out", path("none/file").as_path())]).is_err());
        assert!(check([("--out", path("file/file").as_path())]).is_err());
        assert_eq!(fs::read_to_string(path("file")).unwrap(), "old");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 4);
    }

    #[test]
    fn two_outputs_cannot_have_one_path() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::write(path("file"), "").unwrap();
        fs::hard_link(path("file"), path("link")).unwrap();
        for (first, second) in [("new", "new"), ("new", "./new"), ("file", "link")] {
            let error = check([("--json", path(first).as_path()), ("--html", path(second).as_path())]).unwrap_err();
            assert!(error.message.starts_with("--html "), "{}", error.message);
        }
        assert_eq!(check([("--json", path("a").as_path()), ("--html", path("b").as_path())]), Ok(()));
        assert_eq!(check([("--json", Path::new("/dev/null")), ("--html", Path::new("/dev/null"))]), Ok(()));
    }

    #[test]
    fn a_written_file_is_complete_and_leaves_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        write(&path, b"one", 0o640).unwrap();
        write(&path, b"two", PUBLIC_MODE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let refused = create(&path, b"three", PUBLIC_MODE, Existing::Keep).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        create(&path, b"four", PUBLIC_MODE, Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"four");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_pipe_without_a_reader_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        assert!(write(&path, b"text", PUBLIC_MODE).is_err());
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    }
}
