//! Reads files that the user names.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::cli_error::{CliError, io_message};

/// Reads a text of at most `mebibytes_max`, because a device has no end.
///
/// # Errors
/// The file cannot be read, is longer, or is not text.
pub(crate) fn read(path: &Path, mebibytes_max: u64, hint: &str) -> Result<String, CliError> {
    String::from_utf8(read_bytes(path, mebibytes_max, hint)?).map_err(|_| refused(path, "it is not UTF-8 text", hint))
}

/// Reads at most `mebibytes_max` of any bytes.
///
/// # Errors
/// The file cannot be read, or is longer.
pub(crate) fn read_bytes(path: &Path, mebibytes_max: u64, hint: &str) -> Result<Vec<u8>, CliError> {
    let len_max = mebibytes_max << 20;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(len_max + 1).read_to_end(&mut bytes));
    read.map_err(|error| refused(path, &io_message(&error), hint))?;
    if bytes.len() as u64 > len_max {
        return Err(refused(path, &format!("it is longer than {mebibytes_max} MiB"), hint));
    }
    Ok(bytes)
}

fn refused(path: &Path, reason: &str, hint: &str) -> CliError {
    CliError::usage(format!("cannot read {}: {reason}", path.display()), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_endless_or_binary_is_a_usage_error() {
        let reason = |path: &str| read(Path::new(path), 1, "").unwrap_err().message;
        assert!(reason("/nonexistent/server.toml").starts_with("cannot read /nonexistent/server.toml: no such file"));
        assert_eq!(reason("/dev/zero"), "cannot read /dev/zero: it is longer than 1 MiB");
        let binary = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&binary, b"\xff\xfe").unwrap();
        assert!(reason(binary.path().to_str().unwrap()).ends_with(": it is not UTF-8 text"));
    }
}
