//! `FlagValues`: the values of all flags as text, to compare two configurations.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{ArgMatches, Command};

/// The values of each flag that has any, from the command line, a variable, the file or the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlagValues(BTreeMap<String, Vec<OsString>>);

impl FlagValues {
    /// The values in `matches`, which are those of the subcommand `serve`.
    pub(crate) fn of(serve: &Command, matches: &ArgMatches) -> Self {
        let values = |arg: &clap::Arg| {
            let values = matches.try_get_raw(arg.get_id().as_str()).ok()??;
            Some((arg.get_long()?.to_owned(), values.map(ToOwned::to_owned).collect()))
        };
        Self(serve.get_arguments().filter_map(values).collect())
    }

    /// Each flag with its values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        let text = |value: &OsString| value.to_string_lossy().into_owned();
        self.0.iter().map(move |(flag, values)| (flag.as_str(), values.iter().map(text).collect()))
    }

    /// The flags with other values than in `old`, in alphabetical order.
    pub(super) fn changed_from(&self, old: &Self) -> Vec<String> {
        let mut flags: Vec<&String> = self.0.keys().chain(old.0.keys()).collect();
        flags.sort();
        flags.dedup();
        flags.into_iter().filter(|flag| self.0.get(*flag) != old.0.get(*flag)).cloned().collect()
    }

    /// Takes over the values of these flags.
    pub(super) fn take_over(&mut self, flags: &[String], new: &Self) {
        for flag in flags {
            match new.0.get(flag) {
                Some(values) => self.0.insert(flag.clone(), values.clone()),
                None => self.0.remove(flag),
            };
        }
    }
}
