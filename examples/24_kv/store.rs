//! Keys and values in memory, and their snapshot in a file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use readyloop::codec::{Codec as _, Decoded};
use readyloop::instant::Instant;
use readyloop::service::TimerKey;

use super::resp::{Progress, Reply, Resp};

/// What an entry costs besides its key and value, roughly.
const ENTRY_BYTES: usize = 128;

/// Keys and values, within a bound of memory.
pub(crate) struct Store {
    entries: HashMap<Vec<u8>, Entry>,
    bytes: usize,
    bytes_max: usize,
}

struct Entry {
    value: Vec<u8>,
    expiry: Option<Expiry>,
}

/// When a key expires, and the timer that will remove it.
#[derive(Clone, Copy)]
pub(crate) struct Expiry {
    pub(crate) at: Instant,
    pub(crate) timer: TimerKey,
}

/// The store has no space for a value.
pub(crate) struct StoreFull;

impl Store {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { entries: HashMap::new(), bytes: 0, bytes_max }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.entries.get(key).map(|entry| &entry.value[..])
    }

    /// Stores a value that does not expire. Returns the expiry of the value that it replaces.
    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Expiry>, StoreFull> {
        let replaced = self.get(key).map_or(0, |old| cost(key, old));
        let bytes = (self.bytes - replaced).saturating_add(cost(key, value));
        if bytes > self.bytes_max {
            return Err(StoreFull);
        }
        self.bytes = bytes;
        let old = self.entries.insert(key.to_vec(), Entry { value: value.to_vec(), expiry: None });
        Ok(old.and_then(|old| old.expiry))
    }

    /// Removes a key. Returns its expiry if it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Option<Expiry>> {
        let entry = self.entries.remove(key)?;
        self.bytes -= cost(key, &entry.value);
        Some(entry.expiry)
    }

    /// The expiry of a key, for changes.
    pub(crate) fn expiry_mut(&mut self, key: &[u8]) -> Option<&mut Option<Expiry>> {
        self.entries.get_mut(key).map(|entry| &mut entry.expiry)
    }

    /// The time that a key has left: `None` without the key, `Some(None)` if it does not expire.
    pub(crate) fn time_left(&self, key: &[u8], now: Instant) -> Option<Option<Duration>> {
        self.entries.get(key).map(|entry| entry.expiry.map(|expiry| expiry.at - now))
    }

    /// Writes all entries to a file, as the requests that store them again.
    ///
    /// The file is replaced as a whole, so a failure leaves the old one.
    pub(crate) fn save(&self, path: &Path, now: Instant) -> io::Result<()> {
        let unfinished = path.with_extension("unfinished");
        let mut file = io::BufWriter::new(File::create(&unfinished)?);
        for (key, entry) in &self.entries {
            let request = match entry.expiry {
                None => Reply::array(3).bulk(b"SET").bulk(key).bulk(&entry.value),
                Some(expiry) => {
                    let left = (expiry.at - now).as_millis().to_string();
                    Reply::array(5).bulk(b"SET").bulk(key).bulk(&entry.value).bulk(b"PX").bulk(left.as_bytes())
                }
            };
            file.write_all(request.as_bytes())?;
        }
        file.into_inner()?.sync_all()?;
        fs::rename(unfinished, path)
    }
}

fn cost(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_BYTES
}

/// Reads the requests of a snapshot. A file that does not exist has none.
pub(crate) fn load(path: &Path) -> io::Result<Vec<Vec<Vec<u8>>>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (mut rest, mut requests) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let decoded = Resp.decode(&mut Progress::default(), rest, usize::MAX).map_err(io::Error::other)?;
        let Decoded::Frame { frame, consumed } = decoded else {
            return Err(io::Error::other("the snapshot ends inside of a request"));
        };
        let request = Resp.frame(&rest[frame]).map_err(io::Error::other)?;
        requests.push(request.into_iter().map(<[u8]>::to_vec).collect());
        rest = &rest[consumed..];
    }
    Ok(requests)
}
