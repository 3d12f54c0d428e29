//! Reads saved runs from files. A file holds runs one after another, in arrays, or both.
//!
//! An error names the file, the line and the column. No content is skipped silently.

use std::collections::BTreeSet;
use std::path::Path;

use readyloop::load::record::RecordError;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::comparison::{Comparison, Trial};
use crate::cli_error::CliError;
use crate::input_file;

/// The longest file.
const FILE_MEBIBYTES_MAX: u64 = 256;

/// Bounds of a report. With more, no page could be read.
const TRIALS_MAX: usize = 20_000;
const SERVERS_MAX: usize = 100;
const LOADS_MAX: usize = 100;

/// Characters between runs: white space, and the byte order mark that some editors write.
const BLANK: &str = " \t\r\n\u{feff}";
/// The same, and the punctuation of arrays of runs.
const BLANK_OR_ARRAY: &str = " \t\r\n\u{feff}[],";

const PATH_HINT: &str = "type the path of a file that `bench --json` or `compare --json` wrote";

/// The programs that write such files.
const HINT: &str = "`bench --json` and `compare --json` write such files";

/// Reads all runs of the files in order. A run that occurs twice counts once.
///
/// # Errors
/// A file cannot be read, or holds something other than runs.
pub(crate) fn read<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Vec<Comparison>, CliError> {
    let mut all: Vec<Comparison> = Vec::new();
    for path in paths {
        let text = input_file::read(path, FILE_MEBIBYTES_MAX, PATH_HINT)?;
        for comparison in parse(&text).map_err(|error| error.at(&path.display().to_string()))? {
            // The same run twice would look like two rounds without noise.
            if !all.contains(&comparison) {
                all.push(comparison);
            }
            check_size(&all)?;
        }
    }
    Ok(all)
}

fn check_size(all: &[Comparison]) -> Result<(), CliError> {
    let trials = || all.iter().flat_map(|comparison| &comparison.trials);
    let servers = trials().map(|trial| &trial.server).collect::<BTreeSet<_>>().len();
    let loads = trials().map(|trial: &Trial| trial.load).collect::<BTreeSet<_>>().len();
    let counts =
        [("trials", trials().count(), TRIALS_MAX), ("servers", servers, SERVERS_MAX), ("loads", loads, LOADS_MAX)];
    match counts.into_iter().find(|(_, count, max)| count > max) {
        Some((what, count, max)) => Err(CliError::usage(
            format!("the files hold {count} {what}, and a report holds at most {max}"),
            "make one report for each group of files",
        )),
        None => Ok(()),
    }
}

fn parse(text: &str) -> Result<Vec<Comparison>, CliError> {
    // First the syntax of the whole file, so that the punctuation of arrays needs no further check.
    for_each_value(text, BLANK, |_, _| Ok(()))?;
    let mut comparisons = Vec::new();
    for_each_value(text, BLANK_OR_ARRAY, |begin, value| {
        comparisons.push(Comparison::from_json(value).map_err(|error| refused(&error, text, begin))?);
        Ok(())
    })?;
    if comparisons.is_empty() {
        return Err(CliError::usage("the file holds no run", HINT));
    }
    Ok(comparisons)
}

/// Calls `act` with the position and the text of each JSON value.
fn for_each_value<'a>(
    text: &'a str,
    between: &str,
    mut act: impl FnMut(usize, &'a str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut end = 0;
    loop {
        let rest = text[end..].trim_start_matches(|char| between.contains(char));
        let begin = text.len() - rest.len();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        match values.next() {
            None => return Ok(()),
            Some(Err(error)) => return Err(refused(&RecordError::Malformed(error), text, begin)),
            Some(Ok(_)) => {}
        }
        end = begin + values.byte_offset();
        act(begin, &text[begin..end])?;
    }
}

/// The error about the value at `begin`, with its position in the file.
fn refused(error: &RecordError, text: &str, begin: usize) -> CliError {
    let before = &text[..begin];
    let (lines, line_begin) = (before.matches('\n').count(), before.rfind('\n').map_or(0, |at| at + 1));
    let first = lines + 1;
    match error {
        RecordError::Malformed(json) => {
            let reason = match json.classify() {
                Category::Eof => "the file ends within a run",
                Category::Data => "a value of a run is missing or of another type",
                Category::Io | Category::Syntax => "this is not JSON",
            };
            let place = match json.line() {
                // The text is correct, and only a value is wrong.
                0 => format!("line {first}"),
                1 => format!("line {first}, column {}", begin - line_begin + json.column()),
                line => format!("line {}, column {}", lines + line, json.column()),
            };
            CliError::usage(format!("{place}: {reason}"), HINT)
        }
        RecordError::TooNew(_) => {
            let hint = "the file was written by a newer readyloop; use that version";
            CliError::usage(format!("line {first}: {error}"), hint)
        }
        RecordError::Foreign | RecordError::Inconsistent => CliError::usage(format!("line {first}: {error}"), HINT),
    }
}
