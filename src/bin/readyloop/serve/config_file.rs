//! The TOML file: its values replace the defaults of the flags, so that one parser reads every value.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{ArgMatches, Args, Command};
use toml::{Spanned, Value};

use crate::cli_error::CliError;
use crate::input_file;
use crate::usage_error::{nearest_flag, usage_error};

use super::settings::Settings;

/// The longest file. A longer one is not a configuration file.
const MEBIBYTES_MAX: u64 = 1;

/// A key of the file, which is the name of a flag, with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    key: String,
    values: Vec<String>,
}

/// Reads the file that the flag or the variable names, and checks its entries. Without a file there are none.
///
/// # Errors
/// The file cannot be read, or a line is wrong.
pub(crate) fn read_file(serve: &ArgMatches) -> Result<Vec<Entry>, CliError> {
    match serve.get_one::<PathBuf>("config") {
        Some(path) => {
            let hint = "type --config with the path of a TOML file that can be read";
            entries(&path.display().to_string(), &input_file::read(path, MEBIBYTES_MAX, hint)?)
        }
        None => Ok(Vec::new()),
    }
}

/// Replaces the defaults of the flags by the values of the file.
pub(crate) fn with_file(serve: Command, entries: Vec<Entry>) -> Command {
    entries.into_iter().fold(serve, |serve, Entry { key, values }| {
        // The name of an argument is that of its field.
        serve.mut_arg(key.replace('-', "_"), |arg| arg.default_values(values))
    })
}

/// Parses and checks the text of the file called `name`.
pub(super) fn entries(name: &str, text: &str) -> Result<Vec<Entry>, CliError> {
    let place = |position: usize| {
        let above = text.as_bytes()[..position].iter().filter(|byte| **byte == b'\n').count();
        format!("{name}:{}", above + 1)
    };
    // A byte order mark is no part of the text. A space keeps the positions of errors.
    let table: BTreeMap<Spanned<String>, Value> =
        toml::from_str(&text.replacen('\u{feff}', "   ", usize::from(text.starts_with('\u{feff}'))))
            .map_err(|error| syntax_error(&error).at(&place(error.span().map_or(0, |span| span.start))))?;
    let mut keys: Vec<_> = table.into_iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    let serve = Settings::augment_args(Command::new("serve"));
    let entry = |(key, value): (Spanned<String>, Value)| {
        let place = place(key.span().start);
        checked(&serve, key.into_inner(), value).map_err(|error| error.at(&place))
    };
    keys.into_iter().map(entry).collect()
}

fn syntax_error(error: &toml::de::Error) -> CliError {
    let message = if error.message().contains("duplicate key") { "duplicate key" } else { "not a line of TOML" };
    CliError::usage(message, "write lines such as key = \"text\", key = 10 or key = true, and each key once")
}

/// Checks one entry as if its values were those of the flag.
fn checked(serve: &Command, key: String, value: Value) -> Result<Entry, CliError> {
    // A file cannot include another one.
    let mut flags = serve.get_arguments().filter_map(|arg| arg.get_long()).filter(|flag| *flag != "config");
    if !flags.any(|flag| flag == key) {
        return Err(unknown_key(serve, &key, &value));
    }
    let values = if let Value::Array(values) = value { values } else { vec![value] };
    let values: Option<Vec<String>> = values.into_iter().map(text).collect();
    let values = values.ok_or_else(|| {
        CliError::usage(format!("{key} cannot be a table, a date or a nested array"), format!("write {key} = \"…\""))
    })?;
    if values.is_empty() {
        return Err(CliError::usage(format!("{key} is empty"), "write at least one value, or remove the line"));
    }
    let arguments = values.iter().map(|value| format!("--{key}={value}"));
    let checked = serve.clone().try_get_matches_from(std::iter::once("serve".to_owned()).chain(arguments));
    checked.map_err(|error| usage_error(&error, Some("serve")))?;
    Ok(Entry { key, values })
}

/// A value as the text of a flag.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(switch) => Some(switch.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

fn unknown_key(serve: &Command, key: &str, value: &Value) -> CliError {
    let message = format!("unknown key `{key}`");
    if value.is_table() {
        return CliError::usage(message, "write all keys at the top of the file, in no [section]");
    }
    match nearest_flag(serve, key) {
        Some(flag) => CliError::usage(message, format!("a similar key exists: `{flag}`")),
        None => {
            CliError::usage(message, "keys have the names of the flags in `readyloop serve --help`, without dashes")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::FromArgMatches;

    use super::*;

    /// The settings of arguments and the text of a file.
    fn settings(arguments: &[&str], text: &str) -> Result<Settings, CliError> {
        let serve = with_file(Settings::augment_args(Command::new("serve")), entries("any.toml", text)?);
        let matches = serve.try_get_matches_from([&["serve"], arguments].concat()).unwrap();
        Ok(Settings::from_arg_matches(&matches).unwrap())
    }

    #[test]
    fn a_flag_overrides_the_file_and_the_file_the_default() {
        let idle = |arguments: &[&str], text: &str| settings(arguments, text).unwrap().peer.idle_timeout;
        assert_eq!(idle(&[], ""), Duration::from_secs(300));
        assert_eq!(idle(&[], "idle-timeout = '2s'"), Duration::from_secs(2));
        assert_eq!(idle(&["--idle-timeout", "4s"], "idle-timeout = '2s'"), Duration::from_secs(4));
        assert_eq!(idle(&[], "\u{feff}idle-timeout = '2s'"), Duration::from_secs(2));
    }

    #[test]
    fn a_list_replaces_the_list_of_the_file() {
        let listens = |arguments: &[&str], text: &str| {
            let listen = settings(arguments, text).unwrap().endpoints.listen;
            listen.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let file = "listen = ['127.0.0.1:1', 'unix:/a']";
        assert_eq!(listens(&[], file), ["tcp://127.0.0.1:1", "unix:/a"]);
        assert_eq!(listens(&["-l", "a:5"], file), ["tcp://a:5"]);
        assert_eq!(listens(&["-l", "a:5,b:6", "-l", "c:7"], file), ["tcp://a:5", "tcp://b:6", "tcp://c:7"]);
        assert_eq!(listens(&[], ""), ["tcp://127.0.0.1:7007"]);
    }

    #[test]
    fn a_flag_turns_a_switch_of_the_file_off() {
        let file = "reuse-port = true\nverbose = 2\nquiet = true\n";
        let from_file = settings(&[], file).unwrap();
        assert!(from_file.sockets.reuse_port && from_file.output.verbosity.quiet);
        assert_eq!(from_file.output.verbosity.verbose, [2]);
        assert!(!settings(&["--reuse-port=false"], file).unwrap().sockets.reuse_port);
    }

    #[track_caller]
    fn check(text: &str, message: &str, hint: &str) {
        assert_eq!(settings(&[], text), Err(CliError::usage(format!("any.toml:{message}"), hint)));
    }

    #[test]
    fn an_error_names_the_line() {
        let keys = "keys have the names of the flags in `readyloop serve --help`, without dashes";
        let similar = "a similar key exists: `idle-timeout`";
        check("# a\n\nidel-timeout = '5s'\n", "3: unknown key `idel-timeout`", similar);
        check("config = 'b.toml'", "1: unknown key `config`", keys);
        check("help = true", "1: unknown key `help`", keys);
        let top = "write all keys at the top of the file, in no [section]";
        check("[serve]\nservice = 'echo'", "1: unknown key `serve`", top);
        check(
            "service = 'echo'\nframe-len-max = 'big'",
            "2: invalid value `big` for `--frame-len-max <SIZE>`: not a size",
            "type a number of bytes such as 512, 64KiB, 1MiB or 64kB",
        );
        check(
            "idle-timeout = 5",
            "1: invalid value `5` for `--idle-timeout <DURATION>`: a duration needs a unit",
            "type 5s, 5ms or 5m",
        );
        let date = "1: prefix cannot be a table, a date or a nested array";
        check("prefix = 1979-05-27", date, "write prefix = \"…\"");
        check("listen = []", "1: listen is empty", "write at least one value, or remove the line");
        let lines = "write lines such as key = \"text\", key = 10 or key = true, and each key once";
        check("backlog = 1\nbacklog = 2", "2: duplicate key", lines);
        check("backlog = 1\nprefix = \n", "2: not a line of TOML", lines);
    }

    #[test]
    fn any_file_is_valid_or_its_error_names_a_line() {
        const WORDS: &str = "idle-timeout|listen|max-connections|quiet|framing|prefix| = |=|\"|5s|1KiB|true|10|-1|1.5|[|]|\n|\n|{|}|#|'|\
                             1979-05-27|nan|inf|99999999999999999999|\u{feff}|never";
        let words: Vec<&str> = WORDS.split('|').collect();
        bolero::check!().with_iterations(500).with_max_len(24).for_each(|bytes: &[u8]| {
            // Half of the byte values stand for a word, so that many inputs are nearly valid.
            let part = |byte: &u8| match *byte {
                byte if byte < 128 => char::from(byte).to_string(),
                byte => words[usize::from(byte) % words.len()].to_owned(),
            };
            let text: String = bytes.iter().map(part).collect();
            if let Err(error) = settings(&[], &text) {
                assert!(error.message.starts_with("any.toml:"), "{text:?}: {error:?}");
                assert!(!error.hint.is_empty(), "{text:?}: {error:?}");
            }
        });
    }
}
