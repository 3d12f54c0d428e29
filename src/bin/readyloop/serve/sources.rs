//! Reads settings from flags, variables, a file and defaults, in this order of precedence.
//!
//! A variable and a key of a file are turned into the flag of the same name, so that one parser
//! reads every value.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::cli_error::CliError;
use crate::usage_error::usage_error;

use super::settings::{NAME, Settings};
use super::toml_file::{self, Entry, Value};

/// The flag for the file. It is no setting, so a file cannot include another file.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Configuration")]
pub(super) struct ConfigFile {
    /// Read settings from this TOML file; flags and variables override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Reads the settings from all sources. `variable` looks up a variable of the environment.
///
/// Sources are applied from the weakest to the strongest. Each overwrites the settings it names.
pub(super) fn read_settings(
    matches: &ArgMatches,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Settings, CliError> {
    // An empty variable counts as unset.
    let variable = |flag: &str| variable(&variable_name(flag)).filter(|value| !value.is_empty());
    let mut settings = Settings::default();
    let path = ConfigFile::from_arg_matches(matches).ok().and_then(|file| file.config);
    if let Some(path) = path.or_else(|| variable("config").map(PathBuf::from)) {
        for entry in toml_file::read(&path)? {
            apply_entry(&mut settings, &entry).map_err(|error| error.at(&entry.place))?;
        }
    }
    for arg in flags().get_arguments() {
        if let Some(value) = variable(flag_of(arg)) {
            apply_variable(&mut settings, arg, &value)?;
        }
    }
    settings.update_from_arg_matches(matches).map_err(|error| usage_error(&error, NAME, None))?;
    Ok(settings)
}

/// The flags of all settings, without `--help` and `--config`.
fn flags() -> Command {
    Settings::augment_args_for_update(Command::new(NAME)).disable_help_flag(true)
}

fn flag_of(arg: &Arg) -> &str {
    arg.get_long().expect("every setting has a long flag")
}

/// The variable for a flag: `READYLOOP_IDLE_TIMEOUT` for `idle-timeout`.
fn variable_name(flag: &str) -> String {
    format!("READYLOOP_{}", flag.replace('-', "_").to_uppercase())
}

fn apply_variable(settings: &mut Settings, arg: &Arg, value: &OsStr) -> Result<(), CliError> {
    let flag = flag_of(arg);
    let name = variable_name(flag);
    match (arg.get_action(), value.to_str()) {
        (ArgAction::Append, Some(text)) => apply(settings, flag, text.split(',').map(str::trim), &name),
        (_, _) => apply(settings, flag, [value], &name),
    }
}

fn apply_entry(settings: &mut Settings, entry: &Entry) -> Result<(), CliError> {
    let Entry { key, value, .. } = entry;
    let flags = flags();
    let Some(arg) = flags.get_arguments().find(|arg| flag_of(arg) == key) else {
        return Err(unknown_key(entry));
    };
    if !accepts(arg, value) {
        return Err(CliError::usage(
            format!("{key} cannot be {}", value.kind()),
            format!("write {key} = {}", example(arg)),
        ));
    }
    apply(settings, key, value.arguments(), key)
}

/// Applies a flag, given once with each of `values`. Errors call it `name`.
fn apply(
    settings: &mut Settings,
    flag: &str,
    values: impl IntoIterator<Item = impl AsRef<OsStr>>,
    name: &str,
) -> Result<(), CliError> {
    let argument = |value: &OsStr| {
        let mut argument = OsString::from(format!("--{flag}="));
        argument.push(value);
        argument
    };
    let arguments = values.into_iter().map(|value| argument(value.as_ref()));
    let arguments = std::iter::once(OsString::from(NAME)).chain(arguments);
    let matches = flags().try_get_matches_from(arguments).map_err(|error| usage_error(&error, NAME, Some(name)))?;
    settings.update_from_arg_matches(&matches).map_err(|error| usage_error(&error, NAME, Some(name)))
}

/// Whether a flag accepts the type of a TOML value.
///
/// A switch is a boolean. A number may also be a string, such as `64KiB`.
fn accepts(arg: &Arg, value: &Value) -> bool {
    match value {
        Value::Bool(_) => is_switch(arg),
        Value::Integer(_) => is_number(arg),
        Value::Text(_) => !is_switch(arg),
        Value::Texts(_) => matches!(arg.get_action(), ArgAction::Append) && !is_number(arg),
        Value::Other(_) => false,
    }
}

fn is_switch(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<bool>()
}

fn is_number(arg: &Arg) -> bool {
    let numbers = [TypeId::of::<u8>(), TypeId::of::<u32>(), TypeId::of::<usize>()];
    numbers.iter().any(|number| arg.get_value_parser().type_id() == *number)
}

fn is_duration(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<Duration>()
}

/// An example of a value in a file.
fn example(arg: &Arg) -> String {
    if is_switch(arg) {
        "true or false".to_owned()
    } else if is_number(arg) {
        "a number, or a string with a unit".to_owned()
    } else if is_duration(arg) {
        "\"30s\", a string with a unit".to_owned()
    } else {
        "\"…\", a string in the syntax of the flag".to_owned()
    }
}

fn unknown_key(Entry { key, value, .. }: &Entry) -> CliError {
    let message = format!("unknown key `{key}`");
    if let Value::Other("a table") = value {
        return CliError::usage(message, "write all keys at the top of the file, in no [section]");
    }
    // clap finds the flag with the most similar name.
    let unknown = flags().try_get_matches_from(["serve".to_owned(), format!("--{key}=")]).err();
    let suggestion = unknown.as_ref().and_then(|error| error.get(ContextKind::SuggestedArg));
    match suggestion {
        Some(ContextValue::String(flag)) => {
            CliError::usage(message, format!("did you mean `{}`?", flag.trim_start_matches('-')))
        }
        _ => CliError::usage(message, "keys have the names of the flags in `readyloop serve --help`, without dashes"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file that is removed on drop.
    struct File(PathBuf);

    impl File {
        fn new(test: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("readyloop-{}-{test}.toml", std::process::id()));
            fs::write(&path, text).unwrap();
            Self(path)
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn gathered(arguments: &[&str], variables: &[(&str, &str)], file: Option<&File>) -> Result<Settings, CliError> {
        let command = ConfigFile::augment_args(flags());
        let matches = command.try_get_matches_from([&["serve"], arguments].concat()).unwrap();
        read_settings(&matches, |name| match name {
            "READYLOOP_CONFIG" => file.map(|file| file.0.clone().into()),
            name => variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into()),
        })
    }

    #[track_caller]
    fn check_idle(arguments: &[&str], variables: &[(&str, &str)], file: Option<&File>, seconds: u64) {
        let settings = gathered(arguments, variables, file).unwrap();
        assert_eq!(settings.peer.idle_timeout, Duration::from_secs(seconds));
    }

    #[test]
    fn flag_wins_over_variable_over_file_over_default() {
        let file = File::new("precedence", "idle-timeout = '2s'\n");
        let variables = [("READYLOOP_IDLE_TIMEOUT", "3s")];
        let arguments = ["--idle-timeout", "4s"];
        check_idle(&arguments, &variables, Some(&file), 4);
        check_idle(&[], &variables, Some(&file), 3);
        check_idle(&[], &[], Some(&file), 2);
        check_idle(&[], &[], None, 300);
        check_idle(&arguments, &[], Some(&file), 4);
        check_idle(&arguments, &variables, None, 4);
        check_idle(&[], &[("READYLOOP_IDLE_TIMEOUT", "")], Some(&file), 2);
    }

    #[test]
    fn the_config_flag_overrides_the_config_variable() {
        let (weak, strong) = (File::new("weak", "idle-timeout = '1s'"), File::new("strong", "idle-timeout = '2s'"));
        check_idle(&["--config", strong.0.to_str().unwrap()], &[], Some(&weak), 2);
    }

    #[test]
    fn a_list_replaces_the_list_of_a_weaker_source() {
        let listens =
            |settings: Settings| settings.endpoints.listen.iter().map(ToString::to_string).collect::<Vec<_>>();
        let file = File::new("list", "listen = ['127.0.0.1:1', 'unix:/a']");
        let variables = [("READYLOOP_LISTEN", "127.0.0.1:3, [::1]:4")];
        assert_eq!(listens(gathered(&[], &[], Some(&file)).unwrap()), ["tcp://127.0.0.1:1", "unix:/a"]);
        assert_eq!(listens(gathered(&[], &variables, Some(&file)).unwrap()), ["tcp://127.0.0.1:3", "tcp://[::1]:4"]);
        assert_eq!(listens(gathered(&["-l", "a:5"], &variables, Some(&file)).unwrap()), ["tcp://a:5"]);
        assert_eq!(listens(gathered(&[], &[], None).unwrap()), ["tcp://127.0.0.1:7007"]);
    }

    #[test]
    fn a_stronger_source_turns_a_switch_off() {
        let file = File::new("switch", "reuse-port = true\nverbose = 2\nquiet = true\n");
        let settings = gathered(&[], &[], Some(&file)).unwrap();
        assert!(settings.sockets.reuse_port && settings.output.verbosity.quiet);
        assert_eq!(settings.output.verbosity.verbose, [2]);
        assert!(!gathered(&["--reuse-port=false"], &[], Some(&file)).unwrap().sockets.reuse_port);
        assert!(!gathered(&[], &[("READYLOOP_REUSE_PORT", "0")], Some(&file)).unwrap().sockets.reuse_port);
        assert!(gathered(&[], &[("READYLOOP_QUIET", "true")], None).unwrap().output.verbosity.quiet);
    }

    #[test]
    fn every_setting_has_a_variable_and_a_key() {
        for arg in flags().get_arguments() {
            let flag = flag_of(arg);
            let wrong = gathered(&[], &[(&variable_name(flag), "\u{1f41f}")], None);
            let takes_any_text = matches!(flag, "prefix" | "ready-file" | "cert" | "key" | "client-ca" | "alpn");
            match wrong {
                Ok(_) => assert!(takes_any_text, "{flag}"),
                Err(error) => assert!(error.message.contains(&variable_name(flag)), "{}", error.message),
            }
            let file = File::new(flag, &format!("\n{flag} = 1979-05-27\n"));
            let error = gathered(&[], &[], Some(&file)).unwrap_err();
            assert!(error.message.ends_with(&format!(".toml:2: {flag} cannot be a date")), "{}", error.message);
        }
    }

    #[track_caller]
    fn check_variable(name: &str, value: &str, message: &str, hint: &str) {
        assert_eq!(gathered(&[], &[(name, value)], None), Err(CliError::usage(message, hint)));
    }

    #[test]
    fn an_error_names_the_variable() {
        check_variable(
            "READYLOOP_IDLE_TIMEOUT",
            "5",
            "invalid value `5` for READYLOOP_IDLE_TIMEOUT: a duration needs a unit",
            "type 5s, 5ms or 5m",
        );
        check_variable(
            "READYLOOP_SERVICE",
            "tea",
            "invalid value `tea` for READYLOOP_SERVICE",
            "type one of echo, discard, chargen, chat",
        );
    }

    #[track_caller]
    fn check_file(test: &str, text: &str, message: &str, hint: &str) {
        let file = File::new(test, text);
        let error = gathered(&[], &[], Some(&file)).unwrap_err();
        assert_eq!(error, CliError::usage(format!("{}:{message}", file.0.display()), hint));
    }

    #[test]
    fn an_error_names_the_line_of_the_file() {
        let keys = "keys have the names of the flags in `readyloop serve --help`, without dashes";
        check_file(
            "unknown",
            "# a\n\nidel-timeout = '5s'\n",
            "3: unknown key `idel-timeout`",
            "did you mean `idle-timeout`?",
        );
        check_file("config", "config = 'b.toml'", "1: unknown key `config`", keys);
        check_file("help", "help = true", "1: unknown key `help`", keys);
        check_file(
            "section",
            "[serve]\nservice = 'echo'",
            "1: unknown key `serve`",
            "write all keys at the top of the file, in no [section]",
        );
        check_file(
            "value",
            "service = 'echo'\nframe-len-max = 'big'",
            "2: invalid value `big` for frame-len-max: not a size",
            "type a number of bytes such as 512, 64KiB, 1MiB or 64kB",
        );
        check_file(
            "type",
            "reuse-port = 'yes'",
            "1: reuse-port cannot be a string",
            "write reuse-port = true or false",
        );
        check_file(
            "number",
            "prefix = 5",
            "1: prefix cannot be an integer",
            "write prefix = \"…\", a string in the syntax of the flag",
        );
        check_file(
            "duration",
            "idle-timeout = 5",
            "1: idle-timeout cannot be an integer",
            "write idle-timeout = \"30s\", a string with a unit",
        );
        check_file(
            "fraction",
            "backlog = 1.5",
            "1: backlog cannot be a number with a fraction",
            "write backlog = a number, or a string with a unit",
        );
        check_file(
            "twice",
            "backlog = 1\nbacklog = 2",
            "2: duplicate key",
            "write lines such as key = \"text\", key = 10 or key = true",
        );
    }

    #[test]
    fn any_file_is_valid_or_its_error_names_a_line() {
        const WORDS: &str = "idle-timeout|listen|max-connections|quiet|framing|prefix| = |=|\"|5s|1KiB|true|10|-1|1.5|[|]|\n|\n|{|}|#|'|\
                             1979-05-27";
        let words: Vec<&str> = WORDS.split('|').collect();
        bolero::check!().with_iterations(500).with_max_len(24).for_each(|bytes: &[u8]| {
            // Half of the byte values stand for a word, so that many inputs are nearly valid.
            let part = |byte: &u8| match *byte {
                byte if byte < 128 => char::from(byte).to_string(),
                byte => words[usize::from(byte) % words.len()].to_owned(),
            };
            let text: String = bytes.iter().map(part).collect();
            let mut settings = Settings::default();
            let outcome = toml_file::entries("any.toml", &text).and_then(|entries| {
                let mut apply =
                    |entry: &Entry| apply_entry(&mut settings, entry).map_err(|error| error.at(&entry.place));
                entries.iter().try_for_each(&mut apply)
            });
            if let Err(error) = outcome {
                assert!(error.message.starts_with("any.toml:"), "{text:?}: {error:?}");
                assert!(!error.hint.is_empty(), "{text:?}: {error:?}");
            }
        });
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        let file = File(PathBuf::from("/nonexistent/server.toml"));
        let error = gathered(&[], &[], Some(&file)).unwrap_err();
        assert!(error.message.starts_with("cannot read /nonexistent/server.toml: "), "{}", error.message);
    }
}
