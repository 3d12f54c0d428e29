//! [`Output`]: where the blocks of a recording go: any writer, or two files of bounded length.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use super::format::Header;

/// Where a recording is written.
pub(super) enum Output {
    /// A writer without a bound.
    Stream(Box<dyn Write + Send>),
    /// A file, and the previous one.
    Files(FilePair),
}

/// The newest turns are in the file, and the turns before are in the file with `.old` added to its name.
///
/// The file gets its name with its first block. A program that fails before its first turn replaces no recording.
pub(super) struct FilePair {
    path: PathBuf,
    header: Header,
    file: BufWriter<File>,
    /// The file until it has its name. It is removed on drop.
    unnamed: Option<TempPath>,
    /// The length of the file, in bytes.
    len: u64,
    /// A file that would get longer becomes the old one.
    len_max: u64,
}

impl FilePair {
    /// Creates the file. Only its owner can read it, because it may hold the content of connections.
    ///
    /// # Errors
    /// The path is that of something other than a regular file, or the file cannot be created.
    pub(super) fn create(path: &Path, header: Header, len_max: u64) -> io::Result<Self> {
        is_there(path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (file, unnamed) = NamedTempFile::new_in(directory)?.into_parts();
        let mut file = BufWriter::new(file);
        let bytes = header.to_bytes()?;
        file.write_all(&bytes)?;
        let (path, len) = (path.to_owned(), bytes.len() as u64);
        Ok(Self { path, header, file, unnamed: Some(unnamed), len, len_max })
    }

    /// Gives the file its name. An existing file becomes the old one.
    fn name_file(&mut self) -> io::Result<()> {
        let Some(unnamed) = self.unnamed.take() else { return Ok(()) };
        if is_there(&self.path)? {
            fs::rename(&self.path, old_path(&self.path))?;
        }
        unnamed.persist(&self.path).map_err(|failed| failed.error)
    }

    fn write_block(&mut self, block: &[u8], turn: u64) -> io::Result<()> {
        self.name_file()?;
        let len = self.len.saturating_add(block.len() as u64);
        if len > self.len_max && self.header.first_turn < turn {
            self.file.flush()?;
            if !self.is_at_its_path()? {
                return Err(io::Error::other("another process has begun to record to this file"));
            }
            let header = Header { first_turn: turn, ..self.header.clone() };
            *self = Self::create(&self.path, header, self.len_max)?;
            self.name_file()?;
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

/// The name of the file with the turns before those in the recording at `path`: `FILE.old`.
pub fn old_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

/// Whether there is a file.
///
/// # Errors
/// There is something else.
fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "something other than a regular file exists there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(path: &Path) -> FilePair {
        let header = Header { run: 1, first_turn: 0, has_content: false, text: String::new() };
        FilePair::create(path, header, 100).unwrap()
    }

    #[test]
    fn a_recording_without_a_block_replaces_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.rec");
        fs::write(&path, "another recording").unwrap();
        drop(create(&path));
        assert_eq!(fs::read(&path).unwrap(), b"another recording");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left");
        create(&path).write_block(&[1; 10], 0).unwrap();
        assert_eq!(fs::read(old_path(&path)).unwrap(), b"another recording");
        assert!(fs::read(&path).unwrap().ends_with(&[1; 10]));
    }

    #[test]
    fn a_recording_does_not_rename_the_file_of_a_successor() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.rec");
        let mut first = create(&path);
        first.write_block(&[1; 60], 1).unwrap();
        let mut second = create(&path);
        second.write_block(&[2; 60], 1).unwrap();
        let error = first.write_block(&[1; 60], 2).unwrap_err();
        assert_eq!(error.to_string(), "another process has begun to record to this file");
        second.write_block(&[2; 60], 2).unwrap();
        drop(second);
        assert!(fs::read(old_path(&path)).unwrap().ends_with(&[2; 60]), "the second recording is in both files");
    }
}
