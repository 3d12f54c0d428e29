//! [`Record::errors`](super::Record::errors) as two members of the JSON, `errors` and `error_examples`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::load::error_kind::{ErrorCount, ErrorKind};

#[derive(Serialize, Deserialize)]
struct Errors {
    errors: BTreeMap<ErrorKind, u64>,
    error_examples: BTreeMap<ErrorKind, String>,
}

pub(super) fn serialize<S: Serializer>(errors: &[ErrorCount], serializer: S) -> Result<S::Ok, S::Error> {
    let mut by_kind = Errors { errors: ErrorKind::ALL.map(|kind| (kind, 0)).into(), error_examples: BTreeMap::new() };
    for ErrorCount { kind, count, example } in errors {
        by_kind.errors.insert(*kind, *count);
        by_kind.error_examples.insert(*kind, example.clone());
    }
    by_kind.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ErrorCount>, D::Error> {
    let Errors { errors, mut error_examples } = Errors::deserialize(deserializer)?;
    let occurred = errors.into_iter().filter(|(_, count)| *count > 0);
    let mut errors: Vec<ErrorCount> = occurred
        .map(|(kind, count)| ErrorCount { kind, count, example: error_examples.remove(&kind).unwrap_or_default() })
        .collect();
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    Ok(errors)
}
