//! `PeerLog`: log lines at the debug level for the start and the end of each connection.

use std::collections::HashMap;
use std::fmt::Display;

use log::{Level, debug, log_enabled};

use crate::admission::Count;
use crate::connection::{CloseReason, Ledger};
use crate::instant::Instant;
use crate::slab::Key;

/// Logs opened and closed peers. It uses memory only for peers opened while the debug level is on.
#[derive(Default)]
pub(super) struct PeerLog {
    records: HashMap<Key, PeerRecord>,
}

struct PeerRecord {
    address: String,
    opened_at: Instant,
    bytes_in: u64,
    bytes_out: u64,
    frames: u64,
}

impl PeerLog {
    pub(super) fn opened(&mut self, key: Key, address: &dyn Display, now: Instant) {
        debug!("opened {key} {address}");
        if log_enabled!(Level::Debug) {
            let address = address.to_string();
            self.records.insert(key, PeerRecord { address, opened_at: now, bytes_in: 0, bytes_out: 0, frames: 0 });
        }
    }

    /// Logs the address that a proxy has announced for a peer.
    pub(super) fn announced(&mut self, key: Key, address: &dyn Display) {
        debug!("a proxy announced {address} for {key}");
        if let Some(record) = self.records.get_mut(&key) {
            record.address = address.to_string();
        }
    }

    /// Whether any peer is recorded, so that [`Self::served`] has an effect.
    pub(super) fn is_active(&self) -> bool {
        !self.records.is_empty()
    }

    /// Adds the traffic of a peer, as the ledgers of its endpoint before and after it was served.
    pub(super) fn served(&mut self, key: Key, before: &Ledger, after: &Ledger) {
        if let Some(record) = self.records.get_mut(&key) {
            record.bytes_in += after.bytes_read - before.bytes_read;
            record.bytes_out += after.bytes_written - before.bytes_written;
            record.frames += after.frames - before.frames;
        }
    }

    pub(super) fn closed(&mut self, key: Key, reason: CloseReason, now: Instant) {
        let Some(PeerRecord { address, opened_at, bytes_in, bytes_out, frames }) = self.records.remove(&key) else {
            return debug!("closed {key}: {reason}");
        };
        let (bytes_in, frames) = (Count(bytes_in, "byte"), Count(frames, "frame"));
        let seconds = now.since(opened_at).as_secs_f64();
        debug!("closed {key} {address}: {reason}; {bytes_in} in, {bytes_out} out, {frames}, {seconds:.1} s");
    }
}
