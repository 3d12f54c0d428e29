//! Reads the keys and values of a TOML file, each with its line.
//!
//! It does not know which keys exist.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::cli_error::{CliError, io_message};

/// A key of a file with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// File and line, such as `server.toml:3`.
    pub(super) place: String,
    pub(super) key: String,
    pub(super) value: Value,
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    /// An integer, in decimal.
    Integer(String),
    Text(String),
    Texts(Vec<String>),
    /// A type that no key accepts, by its name in an error message.
    Other(&'static str),
}

impl Value {
    /// The values that a flag would get, one for each time the flag is given.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        match self {
            Self::Bool(value) => vec![value.to_string().into()],
            Self::Integer(text) | Self::Text(text) => vec![text.into()],
            Self::Texts(texts) => texts.iter().map(OsString::from).collect(),
            Self::Other(_) => Vec::new(),
        }
    }

    /// The name of the type in an error message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Text(_) => "a string",
            Self::Texts(_) => "an array of strings",
            Self::Other(kind) => kind,
        }
    }
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(
            format!("cannot read {}: {}", path.display(), io_message(&error)),
            "type --config with the path of a TOML file that can be read",
        )
    })?;
    entries(&path.display().to_string(), &text)
}

/// Parses the text of a file. The entries keep their order.
pub(super) fn entries(name: &str, text: &str) -> Result<Vec<Entry>, CliError> {
    let place = |span: Range<usize>| {
        let above = text.as_bytes()[..span.start].iter().filter(|byte| **byte == b'\n').count();
        format!("{name}:{}", above + 1)
    };
    let table = DeTable::parse(text).map_err(|error| {
        let what = error.message().replace('\n', ", ");
        CliError::usage(what, "write lines such as key = \"text\", key = 10 or key = true")
            .at(&place(error.span().unwrap_or(0..0)))
    })?;
    let mut spanned: Vec<_> = table.get_ref().iter().collect();
    spanned.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| Entry {
        place: place(key.span()),
        key: key.get_ref().to_string(),
        value: value_of(value.get_ref()),
    };
    Ok(spanned.into_iter().map(entry).collect())
}

fn value_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Integer(number.to_string()),
            Err(_) => Value::Integer(integer.as_str().to_owned()),
        },
        DeValue::Array(values) => {
            let text = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str().map(ToOwned::to_owned);
            match values.iter().map(text).collect() {
                Some(texts) => Value::Texts(texts),
                None => Value::Other("an array with a value that is not a string"),
            }
        }
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}
