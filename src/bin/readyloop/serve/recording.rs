//! `--record`: the start of a recording, and the settings of the server inside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use readyloop::Address;
use readyloop::net::Net;
use readyloop::recording::{Recording, RecordingOptions, old_path};

use crate::cli_error::CliError;
use crate::output_file;

use super::settings::{Settings, Tls};
use super::threads::Design;

/// The flags that have no effect on what the recorded loop did, or that a replay must not repeat.
const LEFT_OUT: [&str; 20] = [
    "admin",
    "alpn",
    "cert",
    "client-ca",
    "config",
    "design",
    "faults",
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

/// Checks the flags against the others.
pub(super) fn check(settings: &Settings) -> Result<(), CliError> {
    let flags = &settings.recording;
    if flags.record_bytes && flags.record.is_none() {
        return Err(CliError::usage("--record-bytes needs --record FILE", "add --record FILE"));
    }
    if flags.record.is_some() && settings.threads.design != Design::Reactor {
        return Err(CliError::usage("--record needs --design reactor", "remove --record or --design"));
    }
    let Some(record) = &flags.record else { return Ok(()) };
    let files = [record.clone(), old_path(record)];
    let Tls { cert, key, client_ca, .. } = &settings.tls;
    let inputs = [("--cert", cert), ("--key", key), ("--client-ca", client_ca), ("--config", &settings.config)];
    for (flag, input) in inputs {
        if input.iter().any(|input| files.iter().any(|file| output_file::is_same(file, input))) {
            return Err(CliError::usage(
                format!("--record would replace the file of {flag}"),
                "type another path for the recording",
            ));
        }
    }
    let ready_file = settings.output.ready_file.as_deref().map(|path| ("--ready-file", path));
    output_file::check(files.iter().map(|path| ("--record", path.as_path())).chain(ready_file))
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
