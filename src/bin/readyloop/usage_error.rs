//! Usage errors: converts an error of clap to the message and the hint of this command.

use std::error::Error;
use std::num::ParseIntError;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use readyloop::Address;
use readyloop::codec::UnknownFraming;
use readyloop::net::AddressError;

use crate::cli_error::CliError;
use crate::units::ParseError;

/// Turns an error of clap about the arguments of `subcommand` into a message and a hint.
///
/// `name` replaces the name of the flag when the value came from a variable or a file.
pub(crate) fn usage_error(error: &clap::Error, subcommand: &str, name: Option<&str>) -> CliError {
    let argument = text(error, ContextKind::InvalidArg);
    let flag = name.unwrap_or_else(|| flag_of(argument));
    let value = text(error, ContextKind::InvalidValue);
    let message = match (error.kind(), error.source()) {
        (ErrorKind::ValueValidation, Some(source)) if source.is::<ParseIntError>() => {
            format!("invalid value `{value}` for {flag}: not a whole number")
        }
        (ErrorKind::ValueValidation, Some(source)) => format!("invalid value `{value}` for {flag}: {source}"),
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, _) if value.is_empty() => {
            format!("{flag} needs a value")
        }
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, _) => format!("invalid value `{value}` for {flag}"),
        (ErrorKind::MissingRequiredArgument, _) if is_missing(error, FILE) => format!("`{subcommand}` needs a file"),
        (ErrorKind::MissingRequiredArgument, _) if is_missing(error, ADDRESS) => {
            format!("`{subcommand}` needs an address")
        }
        (ErrorKind::MissingRequiredArgument, _) => format!("{} is missing", missing(error).join(" and ")),
        (ErrorKind::UnknownArgument, _) => format!("unknown argument `{flag}`"),
        (ErrorKind::InvalidSubcommand, _) => {
            format!("unknown subcommand `{}`", text(error, ContextKind::InvalidSubcommand))
        }
        (_, _) => first_line(error),
    };
    CliError::usage(message, hint(error, subcommand))
}

/// The positional arguments that a subcommand may require.
const FILE: &str = "<FILE>";
const ADDRESS: &str = "<ADDRESS>";

/// The most specific hint that fits the error.
fn hint(error: &clap::Error, subcommand: &str) -> String {
    if let Some(parse_error) = error.source().and_then(|source| source.downcast_ref::<ParseError>()) {
        return parse_error.hint.clone();
    }
    if is_missing(error, FILE) {
        return "type the path of a file that `bench --json` or `compare --json` wrote".to_owned();
    }
    if is_missing(error, ADDRESS) || error.source().is_some_and(|source| source.is::<AddressError>()) {
        return "type an address such as 127.0.0.1:7007, [::1]:7007 or unix:/tmp/echo.sock".to_owned();
    }
    if !missing(error).is_empty() {
        return format!("add {}", missing(error).join(" "));
    }
    if error.source().is_some_and(|source| source.is::<UnknownFraming>()) {
        return "type raw for a stream of bytes, lines for text".to_owned();
    }
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
        && !values.is_empty()
    {
        return format!("type one of {}", values.join(", "));
    }
    let argument = text(error, ContextKind::InvalidArg);
    if matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return format!("`readyloop {subcommand} --help` explains {}", flag_of(argument));
    }
    if argument.parse::<Address>().is_ok() && subcommand == "serve" {
        return format!("type --listen {argument}");
    }
    let suggestion = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    match suggestion.into_iter().find_map(|kind| error.get(kind)) {
        Some(ContextValue::String(name)) => format!("did you mean `{name}`?"),
        Some(ContextValue::Strings(names)) if !names.is_empty() => format!("did you mean `{}`?", names.join("` or `")),
        _ if error.kind() == ErrorKind::ArgumentConflict => "remove one of them".to_owned(),
        _ if error.kind() == ErrorKind::InvalidSubcommand => "`readyloop --help` lists the subcommands".to_owned(),
        _ => format!("`readyloop {subcommand} --help` lists every flag"),
    }
}

/// The flag without its value, which clap shows as `--listen <ADDRESS>` or `--quiet[=<BOOL>]`.
fn flag_of(argument: &str) -> &str {
    argument.split([' ', '[']).next().unwrap_or(argument)
}

/// A text that clap attached to the error, or the empty text.
fn text(error: &clap::Error, kind: ContextKind) -> &str {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text,
        _ => "",
    }
}

/// The required arguments that are missing, such as `<ADDRESS>` or `--key <FILE>`.
fn missing(error: &clap::Error) -> &[String] {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) if error.kind() == ErrorKind::MissingRequiredArgument => missing,
        _ => &[],
    }
}

fn is_missing(error: &clap::Error, positional: &str) -> bool {
    missing(error).iter().any(|missing| missing.starts_with(positional))
}

/// The message of clap, without its usage and tips.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).replace('\'', "`")
}
