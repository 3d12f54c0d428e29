//! Reads and writes the files of `cert`: atomically, and keys with permissions for their owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::cli_error::{CliError, io_message};

/// The readers of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    Public,
    OwnerOnly,
}

/// Creates the directory and its parents if they do not exist.
pub(super) fn make_directory(path: &Path) -> Result<(), CliError> {
    fs::create_dir_all(path).map_err(|error| {
        CliError::failure(
            format!("cannot create the directory {}: {}", path.display(), io_message(&error)),
            "type --dir with a writable directory",
        )
    })
}

/// Checks that no file exists at `path`.
pub(super) fn check_absent(path: &Path) -> Result<(), CliError> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(CliError::usage(
            format!("{} already exists", path.display()),
            "add --replace to overwrite it, or type --stem with another name",
        ));
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(|error| {
        CliError::failure(
            format!("cannot read {}: {}", path.display(), io_message(&error)),
            "type --dir with a directory that has both ca.pem and ca-key.pem, or neither",
        )
    })
}

/// Writes a file atomically: a reader sees the complete new file or the old one.
pub(super) fn write(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), CliError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = write_new(&temporary, text, secrecy).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        CliError::failure(
            format!("cannot write {}: {}", path.display(), io_message(&error)),
            "type --dir with a writable directory",
        )
    })
}

fn write_new(path: &Path, text: &str, secrecy: Secrecy) -> io::Result<()> {
    let mode = match secrecy {
        Secrecy::Public => 0o644,
        Secrecy::OwnerOnly => 0o600,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_for_its_owner_and_no_temporary_file_remains() {
        let directory = std::env::temp_dir().join(format!("readyloop-{}-cert-files", std::process::id()));
        make_directory(&directory).unwrap();
        let path = directory.join("key.pem");
        assert_eq!(check_absent(&path), Ok(()));
        for text in ["one", "another"] {
            write(&path, text, Secrecy::OwnerOnly).unwrap();
            assert_eq!(read(&path).unwrap(), text);
        }
        assert!(check_absent(&path).is_err());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        assert!(write(&directory.join("none/key.pem"), "", Secrecy::Public).is_err());
        fs::remove_dir_all(&directory).unwrap();
    }
}
