//! Saved runs from files: each file may hold several, one behind the other.
//!
//! What cannot be read is told with its place; nothing is passed over in silence.

use std::fs;
use std::path::Path;

use readyloop::load::record::RecordError;
use serde::de::IgnoredAny;

use super::comparison::Comparison;
use crate::cli_error::{CliError, io_message};

/// Everything in these files, in their order; a run that is there twice counts once.
///
/// # Errors
/// A file cannot be read, or holds something else.
pub(crate) fn read<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Vec<Comparison>, CliError> {
    let mut all: Vec<Comparison> = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read {}: {}", path.display(), io_message(&error));
            CliError::usage(message, "type the path of what `bench --json` or `compare --json` has written")
        })?;
        for comparison in parse(&text).map_err(|problem| problem.at(&path.display().to_string()))? {
            // The same file twice would pass for two rounds without any noise.
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
        // Blank lines before it would count as its own.
        let begin_of_value = begin + text[begin..end].len() - text[begin..end].trim_start().len();
        let lines_before = text[..begin_of_value].matches('\n').count();
        let comparison =
            Comparison::from_json(&text[begin_of_value..end]).map_err(|error| refused(&error, lines_before))?;
        comparisons.push(comparison);
        begin = end;
    }
    if comparisons.is_empty() {
        return Err(CliError::usage("there is no run in it", "`bench --json` and `compare --json` write such files"));
    }
    Ok(comparisons)
}

fn refused(error: &RecordError, lines_before: usize) -> CliError {
    let hint = match error {
        RecordError::TooNew(_) => "a newer readyloop has written it: use that one",
        RecordError::Malformed(_) | RecordError::Foreign | RecordError::Inconsistent => {
            "`bench --json` and `compare --json` write such files"
        }
    };
    match error {
        RecordError::Malformed(json) => {
            // serde_json ends its message with its own place, within this value only.
            let message = error.to_string();
            let own_place = format!(" at line {} column {}", json.line(), json.column());
            let message = message.strip_suffix(&own_place).unwrap_or(&message);
            let place = format!("line {}, column {}", lines_before + json.line(), json.column());
            CliError::usage(format!("{place}: {message}"), hint)
        }
        RecordError::TooNew(_) | RecordError::Foreign | RecordError::Inconsistent => {
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
    fn what_is_broken_is_told_with_its_place() {
        let good = samples::record("a", 10).to_json();
        check_refused("", "there is no run in it");
        check_refused(
            "{\n \"schema\": 5}",
            "line 2, column 12: not a record of a run: invalid type: integer `5`, expected a string",
        );
        check_refused(
            &format!("{good}\n{{\"a\":"),
            "line 3, column 5: not a record of a run: EOF while parsing a value",
        );
        check_refused(
            &format!("{good}{{\"a\":1}}"),
            "line 2: not a record of a run: it has no \"schema\": \"readyloop.run\"",
        );
        let newer = samples::comparison().to_json().replace("\"version\":1", "\"version\":7");
        check_refused(&newer, "line 1: schema version 7 is too new: this program reads versions up to 1");
    }
}
