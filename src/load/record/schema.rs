//! Name and version of the schema, and why a text does not have it.

use serde_json::error::Category;
use thiserror::Error;

/// Value of [`Record::schema`](super::Record::schema) in every record.
pub const SCHEMA: &str = "readyloop.run";

/// Version of the schema that is written, and the newest that can be read.
pub const VERSION: u32 = 2;

/// Error of [`Record::from_json`](super::Record::from_json).
#[derive(Debug, Error)]
pub enum RecordError {
    /// The text is not valid JSON, or a field is missing.
    #[error("not a record of a run: {}", reason(.0.classify()))]
    Malformed(#[from] serde_json::Error),
    /// The JSON has another schema.
    #[error("not a record of a run: it has no \"schema\": \"{SCHEMA}\"")]
    Foreign,
    /// A newer program wrote it.
    #[error("schema version {0} is too new: this program reads versions up to {VERSION}")]
    TooNew(u32),
    /// The numbers of a histogram contradict each other.
    #[error("the latency histograms are inconsistent")]
    Inconsistent,
}

fn reason(category: Category) -> &'static str {
    match category {
        Category::Io => "the text cannot be read",
        Category::Syntax => "the text is not valid JSON",
        Category::Data => "a field is missing, or has another type",
        Category::Eof => "the text ends too early",
    }
}
