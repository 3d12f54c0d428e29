//! `Certificate`: the certificate of the servers with `--tls`, in a private temporary directory.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cert::write_local;
use crate::cli_error::CliError;

/// A certificate for this machine, and its key. The files are removed on drop.
pub(super) struct Certificate {
    /// Certificate of the authority that signed `cert`.
    pub(super) ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    _directory: TempDir,
}

impl Certificate {
    pub(super) fn new() -> Result<Self, CliError> {
        let failed = |error: &io::Error| {
            CliError::system("cannot make a temporary directory", error, "set TMPDIR to a directory of yours")
        };
        let private = Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().prefix("readyloop-compare-").permissions(private).tempdir();
        let directory = directory.map_err(|error| failed(&error))?;
        if !is_plain(directory.path()) {
            return Err(CliError::usage(
                format!("the temporary directory {} cannot be part of a command", directory.path().display()),
                "set TMPDIR to a path of letters, digits and the characters / . _ -",
            ));
        }
        let [ca, cert, key] = write_local(directory.path())?;
        Ok(Self { ca, cert, key, _directory: directory })
    }

    /// The files that replace {cert} and {key} in a command.
    pub(super) fn files(&self) -> (&Path, &Path) {
        (&self.cert, &self.key)
    }
}

/// Whether a shell takes the path as it is.
fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.chars().all(|char| char.is_ascii_alphanumeric() || "/._-".contains(char)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_private_and_are_removed() {
        let certificate = Certificate::new().unwrap();
        let (cert, key) = certificate.files();
        let directory = cert.parent().unwrap().to_owned();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(key)), (0o700, 0o600));
        drop(certificate);
        assert!(!directory.exists());
    }

    #[test]
    fn a_path_that_a_shell_changes_is_not_plain() {
        assert!(is_plain(Path::new("/tmp/readyloop-Ab1")));
        for path in ["/tmp/a b", "/tmp/$HOME", "/tmp/'", "/tmp/é"] {
            assert!(!is_plain(Path::new(path)), "{path}");
        }
    }
}
