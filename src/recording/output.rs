//! [`Output`]: where the blocks of a recording go: any writer, or two files of bounded length.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::format::Header;

/// Where a recording is written.
pub(super) enum Output {
    /// A writer without a bound.
    Stream(Box<dyn Write + Send>),
    /// A file, and the previous one.
    Files(FilePair),
}

/// The newest turns are in the file, and the turns before are in the file with `.old` added to its name.
pub(super) struct FilePair {
    path: PathBuf,
    header: Header,
    file: BufWriter<File>,
    /// The length of the file, in bytes.
    len: u64,
    /// A file that would get longer becomes the old one.
    len_max: u64,
}

impl FilePair {
    /// Creates the file. An existing file becomes the old one.
    ///
    /// # Errors
    /// The path is that of something other than a regular file, or the file cannot be created.
    pub(super) fn create(path: &Path, header: Header, len_max: u64) -> io::Result<Self> {
        let mut file = BufWriter::new(create_file(path)?);
        let bytes = header.to_bytes()?;
        file.write_all(&bytes)?;
        Ok(Self { path: path.to_owned(), header, file, len: bytes.len() as u64, len_max })
    }

    fn write_block(&mut self, block: &[u8], turn: u64) -> io::Result<()> {
        let len = self.len.saturating_add(block.len() as u64);
        if len > self.len_max && self.header.first_turn < turn {
            self.file.flush()?;
            if !self.is_at_its_path()? {
                return Err(io::Error::other("another process has begun to record to this file"));
            }
            let header = Header { first_turn: turn, ..self.header.clone() };
            *self = Self::create(&self.path, header, self.len_max)?;
            self.len += block.len() as u64;
        } else {
            self.len = len;
        }
        self.file.write_all(block)
    }

    /// Whether the path still names this file. A successor of this process may have replaced it.
    fn is_at_its_path(&self) -> io::Result<bool> {
        let (there, ours) = (fs::symlink_metadata(&self.path)?, self.file.get_ref().metadata()?);
        Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
    }
}

impl Output {
    /// Writes one block, which holds this turn.
    pub(super) fn write_block(&mut self, block: &[u8], turn: u64) -> io::Result<()> {
        match self {
            Self::Stream(writer) => writer.write_all(block),
            Self::Files(files) => files.write_block(block, turn),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(writer) => writer.flush(),
            Self::Files(files) => files.file.flush(),
        }
    }
}

/// The name of the file with the turns before those in the file at `path`.
pub(super) fn old_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

/// Creates a file that only its owner can read, because it may hold the content of connections.
fn create_file(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "something other than a regular file exists there",
            ));
        }
        Ok(_) => fs::rename(path, old_path(path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(path: &Path) -> FilePair {
        let header = Header { run: 1, first_turn: 0, has_content: false, text: String::new() };
        FilePair::create(path, header, 100).unwrap()
    }

    #[test]
    fn a_recording_does_not_rename_the_file_of_a_successor() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.rec");
        let mut first = create(&path);
        first.write_block(&[1; 60], 1).unwrap();
        let mut second = create(&path);
        let error = first.write_block(&[1; 60], 2).unwrap_err();
        assert_eq!(error.to_string(), "another process has begun to record to this file");
        second.write_block(&[2; 60], 1).unwrap();
        second.write_block(&[2; 60], 2).unwrap();
        drop(second);
        assert!(fs::read(old_path(&path)).unwrap().ends_with(&[2; 60]), "the second recording is in both files");
    }
}
