//! Variables of the environment: each flag of `serve` is also one, with the prefix `READYLOOP_`.

use std::ffi::OsString;

use clap::{Args, Command};

use crate::cli_error::CliError;
use crate::usage_error::nearest_flag;

use super::settings::Settings;

const PREFIX: &str = "READYLOOP_";

/// The only variable that is no flag of `serve`. `client` reads it.
const HISTORY: &str = "READYLOOP_HISTORY";

/// Adds the variable of each flag. An empty variable counts as unset.
pub(crate) fn with_variables(command: Command) -> Command {
    command.mut_args(|arg| match arg.get_long().map(variable_name) {
        Some(name) if std::env::var_os(&name).is_some_and(|value| !value.is_empty()) => arg.env(name).hide_env(true),
        _ => arg,
    })
}

/// The variable for a flag: `READYLOOP_IDLE_TIMEOUT` for `idle-timeout`.
fn variable_name(flag: &str) -> String {
    format!("{PREFIX}{}", flag.replace('-', "_").to_uppercase())
}

/// Checks that every variable with the prefix is one of a flag.
///
/// # Errors
/// The first unknown variable, with the nearest known name.
pub(crate) fn check_variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), CliError> {
    let serve = Settings::augment_args(Command::new("serve"));
    let is_known = |name: &str| {
        name == HISTORY
            || serve.get_arguments().filter_map(|arg| arg.get_long()).any(|flag| variable_name(flag) == name)
    };
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if value.is_empty() || is_known(&name) {
            continue;
        }
        let hint = match nearest_flag(&serve, &rest.to_lowercase().replace('_', "-")) {
            Some(flag) => format!("a similar variable exists: `{}`", variable_name(&flag)),
            None => "variables have the names of the flags in `readyloop serve --help`".to_owned(),
        };
        return Err(CliError::usage(format!("unknown variable `{name}`"), hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, value: &str, expected: Result<(), CliError>) {
        assert_eq!(check_variables([(name.into(), value.into())]), expected, "{name}");
    }

    #[test]
    fn an_unknown_variable_is_reported_with_the_nearest_name() {
        check("READYLOOP_IDLE_TIMEOUT", "5s", Ok(()));
        check("READYLOOP_CONFIG", "a.toml", Ok(()));
        check("READYLOOP_HISTORY", "h", Ok(()));
        check("HOME", "/root", Ok(()));
        check("READYLOOP_IDEL_TIMEOUT", "", Ok(()));
        let unknown = |name: &str, hint: &str| Err(CliError::usage(format!("unknown variable `{name}`"), hint));
        check(
            "READYLOOP_IDEL_TIMEOUT",
            "5s",
            unknown("READYLOOP_IDEL_TIMEOUT", "a similar variable exists: `READYLOOP_IDLE_TIMEOUT`"),
        );
        let lists = "variables have the names of the flags in `readyloop serve --help`";
        check("READYLOOP_", "5s", unknown("READYLOOP_", lists));
        check("READYLOOP_ÄÖÜ", "5s", unknown("READYLOOP_ÄÖÜ", lists));
    }
}
