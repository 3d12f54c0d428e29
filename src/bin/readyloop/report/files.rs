//! Reads saved runs from files. A file may hold several runs, one after another.
//!
//! An error names the file, the line and the column. No content is skipped silently.

use std::fs;
use std::path::Path;

use readyloop::load::record::RecordError;
use serde::de::IgnoredAny;

use super::comparison::Comparison;
use crate::cli_error::{CliError, io_message};

/// Reads all runs of the files in order. A run that occurs twice counts once.
///
/// # Errors
/// A file cannot be read, or holds something other than runs.
pub(crate) fn read<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Vec<Comparison>, CliError> {
    let mut all: Vec<Comparison> = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read {}: {}", path.display(), io_message(&error));
            CliError::usage(message, "type the path of a file that `bench --json` or `compare --json` wrote")
        })?;
        for comparison in parse(&text).map_err(|problem| problem.at(&path.display().to_string()))? {
            // The same run twice would look like two rounds without noise.
            if !all.contains(&comparison) {
                all.push(comparison);
            }
        }
    }
    Ok(all)
}

fn parse(text: &str) -> Result<Vec<Comparison>, CliError> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut comparisons = Vec::new();
    let mut begin = 0;
    while let Some(value) = values.next() {
        value.map_err(|error| refused(&RecordError::Malformed(error), 0))?;
        let end = values.byte_offset();
        // Blank lines before a run would shift the column of an error.
        let begin_of_value = begin + text[begin..end].len() - text[begin..end].trim_start().len();
        let lines_before = text[..begin_of_value].matches('\n').count();
        let comparison =
            Comparison::from_json(&text[begin_of_value..end]).map_err(|error| refused(&error, lines_before))?;
        comparisons.push(comparison);
        begin = end;
    }
    if comparisons.is_empty() {
        return Err(CliError::usage("the file holds no run", "`bench --json` and `compare --json` write such files"));
    }
    Ok(comparisons)
}

fn refused(error: &RecordError, lines_before: usize) -> CliError {
    let hint = match error {
        RecordError::TooNew(_) => "the file was written by a newer readyloop; use that version",
        RecordError::Malformed(_) | RecordError::Foreign | RecordError::Inconsistent => {
            "`bench --json` and `compare --json` write such files"
        }
    };
    match error {
        // The position is one within this value; it is 0 if only the meaning is wrong.
        RecordError::Malformed(json) if json.line() > 0 => {
            let place = format!("line {}, column {}", lines_before + json.line(), json.column());
            CliError::usage(format!("{place}: {error}"), hint)
        }
        RecordError::Malformed(_) | RecordError::TooNew(_) | RecordError::Foreign | RecordError::Inconsistent => {
            CliError::usage(format!("line {}: {error}", lines_before + 1), hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        let problem = parse(text).unwrap_err();
        assert_eq!(problem.message, message);
    }

    #[test]
    fn runs_one_behind_the_other_are_all_read() {
        let (first, second) = (samples::record("a", 10), samples::record("b", 20));
        let text = format!("{}\n{}", first.to_json(), second.to_json());
        assert_eq!(parse(&text).unwrap(), [Comparison::from(first), Comparison::from(second)]);
        let comparison = samples::comparison();
        assert_eq!(parse(&comparison.to_json()).unwrap(), [comparison]);
    }

    #[test]
    fn an_error_in_a_file_is_reported_with_its_position() {
        let good = samples::record("a", 10).to_json();
        check_refused("", "the file holds no run");
        check_refused(
            "{\n \"schema\": 5}",
            "line 2, column 12: not a record of a run: a field is missing, or has another type",
        );
        check_refused(&format!("{good}\n{{\"a\":"), "line 3, column 5: not a record of a run: the text ends too early");
        check_refused(
            &format!("{good}{{\"a\":1}}"),
            "line 2: not a record of a run: it has no \"schema\": \"readyloop.run\"",
        );
        let newer = samples::comparison().to_json().replace("\"version\":1", "\"version\":7");
        check_refused(&newer, "line 1: schema version 7 is too new: this program reads versions up to 1");
    }
}
