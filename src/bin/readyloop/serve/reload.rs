//! `Reload`: applies the settings of a configuration file that has changed, while the server runs.
//!
//! Arguments and variables cannot change, so only the file is read again. If anything in it is wrong, nothing changes.

use std::path::Path;

use log::{error, info, warn};
use readyloop::Server;
use readyloop::net::{ControlEvent, Net};

use crate::cli_error::CliError;
use crate::escape::one_line;
use crate::logging;

use super::output_flags::Output;
use super::settings::{Datagrams, Settings, Tls};
use super::{check, descriptors, recording};

/// Reads all settings again, as at the start.
pub(crate) type ReadSettings = fn() -> Result<Settings, CliError>;

/// The flags that change at run time. All others need a restart. [`with_changes`] has the same fields.
const CHANGEABLE: [&str; 22] = [
    "drain-timeout",
    "frame-len-max",
    "frame-timeout",
    "handshake-timeout",
    "idle-timeout",
    "lame-duck-timeout",
    "linger-timeout",
    "max-connections",
    "max-connections-per-ip",
    "max-handshakes",
    "max-lifetime",
    "min-rate",
    "queue-high",
    "queue-low",
    "queue-total-max",
    "quiet",
    "shutdown-delay",
    "udp-source-rate",
    "udp-total-rate",
    "verbose",
    "when-full",
    "write-timeout",
];

/// The settings in force, and how to read new ones.
pub(super) struct Reload {
    settings: Settings,
    read: ReadSettings,
    /// The descriptor limit, and the number of descriptors for listeners.
    descriptors: (usize, usize),
}

/// What a reload has changed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    changed: Vec<String>,
    need_restart: Vec<String>,
}

impl Reload {
    pub(super) fn new(settings: &Settings, read: ReadSettings, limit: usize, listeners: usize) -> Self {
        Self { settings: settings.clone(), read, descriptors: (limit, listeners) }
    }

    /// Reads the configuration file and the certificates again, and logs what has changed.
    pub(super) fn carry_out<N: Net + 'static>(&mut self, server: &mut Server<N>) {
        match self.next_settings() {
            Err(CliError { message, hint, .. }) => {
                let (message, hint) = (one_line(&message), one_line(&hint));
                error!("reload failed, and all settings stay as they are: {message} ({hint})");
                return server.mark_failed_reload();
            }
            Ok((settings, changes)) => {
                self.apply(settings, &changes, server);
                self.log(&changes);
            }
        }
        server.carry_out(ControlEvent::Reload);
    }

    /// The settings in force with the changes of the file.
    fn next_settings(&self) -> Result<(Settings, Changes), CliError> {
        let Some(path) = &self.settings.config else { return Ok((self.settings.clone(), Changes::default())) };
        check_is_file(path)?;
        next(&self.settings, &(self.read)()?)
    }

    fn apply<N: Net + 'static>(&mut self, settings: Settings, changes: &Changes, server: &mut Server<N>) {
        self.settings = settings;
        if changes.changed.is_empty() {
            return;
        }
        let (limit, listeners) = self.descriptors;
        let connections_max = descriptors::connections_max(limit, listeners, self.settings.total.max_connections);
        server.net().note(&recording::text(&self.settings, connections_max));
        server.change_limits(self.settings.server_limits(connections_max));
        server.change_peer_limits(&self.settings.limits());
        server.change_datagram_limits(&self.settings.datagram_limits());
        logging::change_level(&self.settings.output.verbosity);
    }

    fn log(&self, changes: &Changes) {
        let Changes { changed, need_restart } = changes;
        if !need_restart.is_empty() {
            let verb = if need_restart.len() == 1 { "needs" } else { "need" };
            warn!("reload: {} {verb} a restart to change", need_restart.join(", "));
        }
        match (&self.settings.config, changed.is_empty()) {
            (Some(_), false) => info!("reload: changed {}", changed.join(", ")),
            (Some(path), true) if need_restart.is_empty() => info!("reload: no change in {}", path.display()),
            (None, true) if self.settings.tls.cert.is_none() => info!("nothing to reload: no --config and no --cert"),
            (_, _) => {}
        }
    }
}

/// Refuses a pipe or a device, because a read of it may wait forever.
fn check_is_file(path: &Path) -> Result<(), CliError> {
    let is_other = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    if is_other {
        let message = format!("cannot read {} again: it is not a regular file", path.display());
        return Err(CliError::usage(message, "restart the server with --config and the path of a regular file"));
    }
    Ok(())
}

/// The settings in force with the changes from `new` that are possible at run time.
fn next(old: &Settings, new: &Settings) -> Result<(Settings, Changes), CliError> {
    let mut whole = new.clone();
    let (changed, need_restart): (Vec<_>, Vec<_>) =
        new.flags.changed_from(&old.flags).into_iter().partition(|flag| CHANGEABLE.contains(&flag.as_str()));
    if !need_restart.iter().any(|flag| flag == "listen") {
        // Sockets that were passed to this process are among the addresses in force.
        whole.endpoints.listen.clone_from(&old.endpoints.listen);
    }
    if !need_restart.iter().any(|flag| flag == "admin") {
        // The same holds for the administration endpoint. A process of several has one of its own.
        whole.admin.clone_from(&old.admin);
    }
    check::check(&whole)?;
    let mut next = with_changes(old, new);
    check::check(&next)?;
    next.flags.take_over(&changed, &new.flags);
    Ok((next, Changes { changed, need_restart }))
}

/// The old settings with the values of `new` for each flag of [`CHANGEABLE`].
fn with_changes(old: &Settings, new: &Settings) -> Settings {
    let old = old.clone();
    let Datagrams { udp_source_rate, udp_total_rate, .. } = new.datagrams;
    let Tls { handshake_timeout, max_handshakes, .. } = new.tls;
    Settings {
        peer: new.peer.clone(),
        total: new.total.clone(),
        tls: Tls { handshake_timeout, max_handshakes, ..old.tls },
        datagrams: Datagrams { udp_source_rate, udp_total_rate, ..old.datagrams },
        output: Output { verbosity: new.output.verbosity.clone(), ..old.output },
        ..old
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::super::config_file::entries;
    use super::super::flag_values::FlagValues;
    use super::super::with_file;
    use super::*;

    /// The settings of a server that was started with this text in its file.
    fn settings(text: &str) -> Settings {
        let serve = with_file(Settings::augment_args(Command::new("serve")), entries("any.toml", text).unwrap());
        let matches = serve.clone().try_get_matches_from(["serve"]).unwrap();
        let settings = Settings::from_arg_matches(&matches).unwrap();
        Settings { flags: FlagValues::of(&serve, &matches), ..settings }
    }

    fn changes(changed: &[&str], need_restart: &[&str]) -> Changes {
        let owned = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect();
        Changes { changed: owned(changed), need_restart: owned(need_restart) }
    }

    #[test]
    fn every_flag_is_changed_or_named_as_one_that_needs_a_restart() {
        let old = settings("");
        let serve = Settings::augment_args(Command::new("serve"));
        let mut changed = Vec::new();
        for flag in serve.get_arguments().filter_map(clap::Arg::get_long).filter(|flag| *flag != "config") {
            let values =
                ["\"7s\"", "7", "9000", "true", "\"127.0.0.1:7\"", "\"239.1.1.1\"", "\"60s,10s,6\"", "\"pool\""];
            let others = ["\"reset=0.1,seed=1\"", "\"1:/a\"", "\"json\"", "\"refuse\"", "\"discard\"", "\"lines\""];
            let mut texts = values.iter().chain(&others).map(|value| format!("{flag} = {value}"));
            let text = texts.find(|text| entries("any.toml", text).is_ok_and(|_| settings(text) != old));
            let text = text.unwrap_or_else(|| panic!("no value for {flag}"));
            let new = settings(&text);
            let is_same = Settings { flags: new.flags.clone(), ..with_changes(&old, &new) } == new;
            assert_eq!(is_same, CHANGEABLE.contains(&flag), "{text}");
            changed.extend(is_same.then_some(flag));
        }
        changed.sort_unstable();
        assert_eq!(changed, CHANGEABLE);
    }

    #[test]
    fn what_needs_a_restart_is_named_until_it_is_in_force() {
        let start = settings("backlog = 7");
        let edited = settings("backlog = 9\nidle-timeout = '7s'\nlisten = '127.0.0.1:9'\n");
        let (first, found) = next(&start, &edited).unwrap();
        assert_eq!(found, changes(&["idle-timeout"], &["backlog", "listen"]));
        assert_eq!((first.peer.idle_timeout.as_secs(), first.sockets.backlog), (7, 7));
        let (second, found) = next(&first, &edited).unwrap();
        assert_eq!((&second, found), (&first, changes(&[], &["backlog", "listen"])));
        let (third, found) = next(&second, &start).unwrap();
        assert_eq!((third, found), (start, changes(&["idle-timeout"], &[])));
    }

    #[test]
    fn settings_that_contradict_each_other_change_nothing() {
        let start = settings("framing = 'fixed:100'");
        let error = |text| next(&start, &settings(text)).unwrap_err().message;
        assert!(error("framing = 'fixed:100'\nqueue-low = '1MiB'").starts_with("--queue-low 1MiB"));
        // The file alone would be valid, but the framing needs a restart.
        assert_eq!(error("framing = 'raw'\nframe-len-max = 10"), "--framing fixed:100 exceeds --frame-len-max 10B");
    }

    #[test]
    fn a_configuration_from_a_pipe_is_not_read_again() {
        assert!(check_is_file(Path::new("/dev/null")).unwrap_err().message.ends_with("it is not a regular file"));
        assert_eq!(check_is_file(Path::new("/nonexistent")), Ok(()), "reading it reports the error");
    }
}
