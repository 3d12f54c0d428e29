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
    let len_max = mebibytes_max << 20;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(len_max + 1).read_to_end(&mut bytes));
    let refused = |reason: &str| CliError::usage(format!("cannot read {}: {reason}", path.display()), hint);
    read.map_err(|error| refused(&io_message(&error)))?;
    if bytes.len() as u64 > len_max {
        return Err(refused(&format!("it is longer than {mebibytes_max} MiB")));
    }
    String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8 text"))
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
