//! Usage errors: converts an error of clap to one line and a hint.

use std::error::Error as _;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli_error::CliError;
use crate::units::{ParseError, address};

/// Turns an error of clap about the arguments of `subcommand` into a message and a hint.
pub(crate) fn usage_error(error: &clap::Error, subcommand: Option<&str>) -> CliError {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    CliError::usage(message.replace('\'', "`"), hint(error, paragraphs, subcommand).replace('\'', "`"))
}

/// The most specific hint that fits the error.
fn hint(error: &clap::Error, mut paragraphs: impl Iterator<Item = String>, subcommand: Option<&str>) -> String {
    if let Some(parse_error) = error.source().and_then(|source| source.downcast_ref::<ParseError>()) {
        return parse_error.hint.clone();
    }
    if let (Some("serve"), Some(ContextValue::String(argument))) = (subcommand, error.get(ContextKind::InvalidArg))
        && error.kind() == ErrorKind::UnknownArgument
        && address(argument).is_ok()
    {
        return format!("type --listen {argument}");
    }
    let needs_usage = error.kind() == ErrorKind::MissingRequiredArgument;
    let start = if needs_usage { "Usage: " } else { "tip: " };
    let found = paragraphs.find_map(|paragraph| paragraph.strip_prefix(start).map(ToOwned::to_owned));
    match (found, subcommand) {
        (Some(usage), _) if needs_usage => format!("type {usage}"),
        (Some(tip), _) => tip,
        (None, Some(subcommand)) => format!("`readyloop {subcommand} --help` explains every flag"),
        (None, None) => "`readyloop --help` lists the subcommands".to_owned(),
    }
}

/// The flag of a command with the most similar name, without dashes.
pub(crate) fn nearest_flag(command: &Command, name: &str) -> Option<String> {
    let program = command.get_name().to_owned();
    let error = command.clone().try_get_matches_from([program, format!("--{name}=")]).err()?;
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_owned()),
        _ => None,
    }
}
