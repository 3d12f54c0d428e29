//! `--record`: the flags, and the settings of the server inside the recording.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, Command, FromArgMatches};
use readyloop::Address;
use readyloop::net::Net;
use readyloop::recording::{Recording, RecordingOptions};

use crate::cli_error::CliError;
use crate::units::{above_zero, size, switch};

use super::settings::Settings;
use super::threads::Design;

/// The flags that have no effect on what the recorded loop did, or that a replay must not repeat.
const LEFT_OUT: [&str; 19] = [
    "admin",
    "alpn",
    "cert",
    "client-ca",
    "config",
    "design",
    "key",
    "log-format",
    "processes",
    "quiet",
    "ready-file",
    "ready-timeout",
    "record",
    "record-bytes",
    "record-max",
    "successor",
    "verbose",
    "worker",
    "workers",
];

/// The recording.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Recording")]
pub(super) struct RecordingFlags {
    /// Record all events, calls and results to this file, for `readyloop replay`
    ///
    /// An existing file is renamed to FILE.old. With --processes, each process has a file of its own: FILE.1, FILE.2.
    /// The administration endpoint is left out.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,

    /// Also record the bytes that clients send, which may be secret
    ///
    /// Without them, --framing raw can be replayed, and other framings cannot. The bytes of tls:// addresses are
    /// recorded in plain. Only the owner of the process can read the file.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, value_parser = switch, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(super) record_bytes: bool,

    /// Most bytes of the recording on the disk
    ///
    /// At half of it, the file is renamed to FILE.old, which replaces the older one. A recording that has lost its
    /// first turns cannot be replayed.
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<u64>), default_value = "1GiB")]
    pub(super) record_max: u64,
}

/// Checks the flags against the others.
pub(super) fn check(settings: &Settings) -> Result<(), CliError> {
    let flags = &settings.recording;
    if flags.record_bytes && flags.record.is_none() {
        return Err(CliError::usage("--record-bytes needs --record FILE", "add --record FILE"));
    }
    if flags.record.is_some() && settings.threads.design != Design::Reactor {
        return Err(CliError::usage("--record needs --design reactor", "remove --record or --design"));
    }
    Ok(())
}

/// The file of this process, if there is a recording.
pub(super) fn path(settings: &Settings) -> Option<PathBuf> {
    let mut path = settings.recording.record.clone()?.into_os_string();
    if let Some(worker) = &settings.threads.worker {
        path.push(format!(".{}", worker.number));
    }
    Some(path.into())
}

/// Begins the recording of a network.
pub(super) fn begin<N: Net>(
    settings: &Settings,
    path: &Path,
    net: N,
    connections_max: usize,
) -> Result<Recording<N>, CliError> {
    let options = RecordingOptions {
        content: settings.recording.record_bytes,
        len_max: settings.recording.record_max,
        text: text(settings, connections_max),
    };
    Recording::create(net, path, options).map_err(|error| {
        let hint = "type --record with a path in a writable directory";
        CliError::system(format_args!("cannot record to {}", path.display()), &error, hint)
    })
}

/// The values of all flags as JSON, with the addresses and the number of connections that are in force.
pub(super) fn text(settings: &Settings, connections_max: usize) -> String {
    let mut values: BTreeMap<&str, Vec<String>> =
        settings.flags.iter().filter(|(flag, _)| !LEFT_OUT.contains(flag)).collect();
    values.insert("listen", settings.endpoints.listen.iter().map(Address::to_string).collect());
    values.insert("max-connections", vec![connections_max.to_string()]);
    if settings.tls.cert.is_some() {
        // No key is needed, because the replay contains the results of all handshakes.
        values.insert("self-signed", vec!["true".to_owned()]);
    }
    serde_json::to_string(&values).expect("texts are JSON")
}

/// The settings of a recorded server. `None` if the text is not that of a server.
pub(super) fn settings_of(text: &str) -> Option<Settings> {
    let values: BTreeMap<String, Vec<String>> = serde_json::from_str(text).ok()?;
    let arguments =
        values.iter().flat_map(|(flag, values)| values.iter().map(move |value| format!("--{flag}={value}")));
    let arguments = std::iter::once("serve".to_owned()).chain(arguments);
    let matches = Settings::augment_args(Command::new("serve")).try_get_matches_from(arguments).ok()?;
    let settings = Settings::from_arg_matches(&matches).ok()?;
    super::check::check(&settings).is_ok().then_some(settings)
}
