//! `Report`: the results of all rows as plain data.
//!
//! # The schema
//!
//! `conform --json` writes one report as JSON with the fields below. `schema` is always
//! `"readyloop.conformance"`, and `version` is [`VERSION`]. A field may be added without a new version.

use std::time::{Duration, SystemTime};

use readyloop::load::record::Machine;
use serde::Serialize;

use super::rows::Row;
use super::verdict::RowVerdict;
use crate::cli_error::BUG;
use crate::escape::plain;
use crate::quantity::{Unit, counted};

/// The version of the schema that this program writes.
const VERSION: u32 = 1;

/// The longest evidence and the longest command, in characters. Both may hold text of the server.
const TEXT_CHARS_MAX: usize = 300;

/// The results of a run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    schema: &'static str,
    version: u32,
    /// Start time, in seconds since 1970 (UTC).
    begun_unix_s: u64,
    machine: Machine,
    /// The address or the command of the server.
    pub(super) server: String,
    /// Numbers of rows with each verdict.
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    /// Whether the user interrupted the run, so that rows are missing.
    pub(super) interrupted: bool,
    pub(super) rows: Vec<RowResult>,
}

/// The result of one row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RowResult {
    pub(super) row: &'static str,
    pub(super) rule: &'static str,
    pub(super) verdict: RowVerdict,
    /// The evidence in one line, or the reason why the row was skipped.
    pub(super) evidence: String,
    /// Time in milliseconds.
    pub(super) duration_ms: u64,
}

impl Report {
    /// A report without rows.
    pub(super) fn begin(server: &str) -> Self {
        let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            schema: "readyloop.conformance",
            version: VERSION,
            begun_unix_s: begun.as_secs(),
            machine: Machine::here(),
            server: plain(server, TEXT_CHARS_MAX),
            passed: 0,
            failed: 0,
            skipped: 0,
            interrupted: false,
            rows: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, row: &Row, verdict: RowVerdict, evidence: &str, took: Duration) {
        match verdict {
            RowVerdict::Pass => self.passed += 1,
            RowVerdict::Fail => self.failed += 1,
            RowVerdict::Skip => self.skipped += 1,
        }
        self.rows.push(RowResult {
            row: row.name,
            rule: row.rule,
            verdict,
            evidence: plain(evidence, TEXT_CHARS_MAX),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
    }

    /// The names of the failed rows.
    pub(super) fn failures(&self) -> Vec<&'static str> {
        self.rows.iter().filter(|result| result.verdict == RowVerdict::Fail).map(|result| result.row).collect()
    }

    /// One sentence with the numbers.
    pub(super) fn summary(&self) -> String {
        let Self { passed, failed, skipped, .. } = self;
        let rows = counted(self.rows.len() as u64, "row");
        let millis = self.rows.iter().fold(0_u64, |sum, result| sum.saturating_add(result.duration_ms));
        format!(
            "{rows} in {}: {passed} passed, {failed} failed, {skipped} skipped",
            Unit::Time.print(millis as f64 * 1e6)
        )
    }

    /// The machine in one line.
    pub(super) fn machine(&self) -> String {
        let Machine { readyloop, kernel, processor, cores, .. } = &self.machine;
        let hardware = plain(&format!("{kernel}, {processor}"), TEXT_CHARS_MAX);
        format!("readyloop {readyloop}, {hardware}, {}", counted(*cores, "core"))
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect(BUG) + "\n"
    }
}
