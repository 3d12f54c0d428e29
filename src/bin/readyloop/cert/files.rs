//! The files of `cert`: each appears whole, and keys are for their owner only.
//!
//! What is in them is not known here.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::cli_error::{CliError, io_message};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    Public,
    OwnerOnly,
}

/// Makes the directory and those above it, if they are not there.
pub(super) fn make_directory(path: &Path) -> Result<(), CliError> {
    fs::create_dir_all(path).map_err(|error| {
        CliError::failure(
            format!("cannot make the directory {}: {}", path.display(), io_message(&error)),
            "type --dir with a directory that you may write to",
        )
    })
}

/// Refuses to write over what is there.
pub(super) fn check_absent(path: &Path) -> Result<(), CliError> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(CliError::usage(
            format!("{} is there already", path.display()),
            "type --replace to write over it, or --stem with another name",
        ));
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(|error| {
        CliError::failure(
            format!("cannot read {}: {}", path.display(), io_message(&error)),
            "ca.pem and ca-key.pem belong together: type --dir with a directory that holds both or neither",
        )
    })
}

/// Writes a file so that a reader sees all of it or what was there before.
pub(super) fn write(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), CliError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = write_new(&temporary, text, secrecy).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        CliError::failure(
            format!("cannot write {}: {}", path.display(), io_message(&error)),
            "type --dir with a directory that you may write to",
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
    fn a_key_is_for_its_owner_and_nothing_is_left_beside_it() {
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
