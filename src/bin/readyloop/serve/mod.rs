//! `readyloop serve`: the steps from the arguments to a drained server.
//!
//! Each step is a file of its own. This file has their order and the help.

mod activation;
mod admin;
mod announce;
mod check;
mod config_file;
mod control;
mod descriptors;
mod faults;
mod flag_values;
mod launch;
mod notify;
mod options;
mod output_flags;
mod processes;
mod proxy;
mod recording;
mod recording_flags;
mod reload;
mod replayed;
mod settings;
mod threads;
mod tls;
mod variables;
mod warnings;

use log::{info, warn};
use readyloop::admission::ADMINISTRATION_MAX;
use readyloop::faulty::Faulty;
use readyloop::net::{ControlEvent, SystemNet};

use crate::cli_error::{BUG, CliError};
use crate::logging;
use crate::standard_output::OutputState;

pub(crate) use config_file::{read_file, with_file};
pub(crate) use descriptors::RESERVE as DESCRIPTORS_RESERVE;
pub(crate) use flag_values::FlagValues;
pub(crate) use replayed::{ReplayedServer, replay_error};
pub(crate) use settings::Settings;
pub(crate) use variables::{check_variables, with_variables};

use announce::ReadyFile;
use control::Control;
use launch::{AnyServer, Bound};
use notify::Notifier;
use reload::{ReadSettings, Reload};

/// Serves until a signal ends the server.
///
/// `read` reads the settings again when the server is to reload them.
pub(crate) fn run(settings: &Settings, read: ReadSettings) -> Result<(), CliError> {
    let settings = &mut settings.clone();
    let inherited = activation::take_sockets(settings)?;
    check::check(settings)?;
    let process = settings.threads.worker.as_ref().map(|worker| worker.number);
    logging::start_as(settings.output.log_format, &settings.output.verbosity, process);

    let notifier = Notifier::from_environment();
    let ready_path = settings.output.ready_file.as_deref();
    if !settings.threads.successor {
        ready_path.map_or(Ok(()), ReadyFile::remove_leftover)?;
    }
    if settings.threads.processes > 1 && settings.threads.worker.is_none() {
        return processes::run(settings, inherited, notifier);
    }
    let limit = descriptors::raise_limit();
    let listeners = settings.endpoints.listen.len() + settings.admin.as_ref().map_or(0, |_| 1 + ADMINISTRATION_MAX);
    let connections_max = descriptors::connections_max(limit, listeners, settings.total.max_connections);
    let restart = if process.is_some() { ControlEvent::HandOver } else { ControlEvent::Restart };
    let mut reactor = launch::reactor(restart)?;
    reactor.inherit(inherited);
    let control = Control::new(Reload::new(settings, read, limit, listeners), notifier);
    let limits = settings.server_limits(connections_max);
    match (&settings.faults.plan, recording::path(settings)) {
        (None, None) => serve(settings, AnyServer::new(settings, reactor, limits)?, control).map(drop),
        (None, Some(path)) => {
            let net = recording::begin(settings, &path, reactor, connections_max)?;
            serve(settings, AnyServer::over(net, limits), control).map(drop)
        }
        (Some(plan), path) => {
            warn!("injecting faults: --faults {plan}");
            let faulty = Faulty::new(reactor, plan.clone());
            let injected = match path {
                None => serve(settings, AnyServer::over(faulty, limits), control)?.net().map(Faulty::injected),
                Some(path) => {
                    let net = recording::begin(settings, &path, faulty, connections_max)?;
                    serve(settings, AnyServer::over(net, limits), control)?.net().map(|net| net.inner().injected())
                }
            };
            injected.iter().for_each(|injected| info!("injected faults: {injected}"));
            Ok(())
        }
    }
}

/// Binds the addresses, announces them, serves, and returns the server at its end.
fn serve<N: SystemNet + 'static>(
    settings: &Settings,
    server: AnyServer<N>,
    mut control: Control,
) -> Result<AnyServer<N>, CliError> {
    let Bound { mut server, addresses, admin } = launch::bind(settings, server)?;
    // Before the lines, because the file of this program may be replaced as soon as they are read.
    if settings.threads.worker.is_some() {
        let watched = server.drain_without_supervisor();
        watched.map_err(|error| {
            CliError::system("cannot watch standard input", &error, "type --processes, which sets --worker")
        })?;
    } else {
        server.restart_with(settings);
    }
    // Before the lines, because a predecessor that reads them ends, and this process must be the main one by then.
    control.ready();
    let announced = announce::announce(settings, &addresses, admin.as_ref())?;
    if announced.output == OutputState::Closed {
        // Like any command in a pipe, the server ends when the reader has closed it.
        return Ok(server);
    }

    // Paths that the service manager has bound stay.
    if settings.threads.successor && !settings.endpoints.are_passed {
        server.remove_paths_at_end();
    }
    let totals = server.run(&mut control).map_err(|error| CliError::system("the event loop failed", &error, BUG))?;
    info!("{totals}");
    Ok(server)
}

pub(crate) const UNITS: &str = "Counts are 1000, 10k or 1M; sizes 64B, 4KiB or 1MiB; durations 500ms, 2s, 1m or never.";

pub(crate) const HELP: &str = "\
UNITS
  COUNT     1000, 10k, 1M
  SIZE      64B, 4KiB, 1MiB; 64kB is 64,000 bytes, a number without a unit is bytes
  DURATION  500ms, 2s, 1m 30s, 1h; `never` turns a timeout off

EXAMPLES
  readyloop serve
      Run an echo server on tcp://127.0.0.1:7007. Connect with: readyloop client 127.0.0.1:7007
  readyloop serve --listen 127.0.0.1:0 --listen unix:/tmp/echo.sock
      Listen on a free port and on a Unix socket; the port is printed on standard output.
  readyloop serve --prefix 'echo: '
      Echo line by line with a prefix; the line `exit` ends the connection.
  readyloop serve --listen tls://127.0.0.1:7443 --cert cert.pem --key cert-key.pem
      Serve TLS; `readyloop cert` makes these files for development.
  readyloop serve --service chat --idle-timeout never
      Send each line to all other peers.
  readyloop serve --admin 127.0.0.1:9007
      Report metrics and connections over HTTP; open http://127.0.0.1:9007/ in a browser.
  readyloop serve --listen 0.0.0.0:7007 --proxy-protocol --proxy-from 10.1.0.5,10.1.0.6
      Serve behind two proxies that announce the address of each client.
  readyloop serve --record run.rec --record-bytes
      Record all that happens, for `readyloop replay run.rec`.
  readyloop serve --processes 4
      Serve with four processes on the same address; SIGUSR2 restarts them one after another.
  readyloop serve --faults short-read=0.3,reset=0.001,seed=7
      Inject faults into the calls of the server; the same seed and the same calls repeat them.
  READYLOOP_MAX_CONNECTIONS=1k readyloop serve --config server.toml
      Combine a flag, a variable and a file.

CONFIGURATION
  Every flag except --config is also a variable and a key of the file. A flag overrides the
  variable, and the variable overrides the file. Keys have the names of the flags:

      listen = [\"127.0.0.1:7007\", \"unix:/run/echo.sock\"]
      idle-timeout = \"2m\"
      max-connections = 10000
      reuse-port = true

ENVIRONMENT
  READYLOOP_…   the flag of the same name: READYLOOP_IDLE_TIMEOUT is --idle-timeout.
                READYLOOP_LISTEN is one address or several, separated by commas.
                READYLOOP_CONFIG is the path of the file. An empty variable is ignored, and an
                unknown one is an error.
  RUST_LOG      log filter in the syntax of env_logger; overrides -v and -q
  NOTIFY_SOCKET, WATCHDOG_USEC, JOURNAL_STREAM
                set by systemd: the server notifies it and feeds its watchdog, and lines of the log
                have a priority and no time.

SIGNALS
  SIGTERM, SIGINT   drain: stop accepting, answer received requests, then close each connection.
                    A second signal closes all connections at once. With --shutdown-delay or
                    --lame-duck-timeout, the drain comes after these, or at the second signal.
  SIGHUP            reload certificate, key and the file of --config: limits, timeouts, rates and
                    the log level. If a value is wrong, nothing changes. The log names what has
                    changed and what needs a restart.
  SIGUSR1           log the totals
  SIGUSR2           restart in place: start the program at the same path again with the same
                    sockets, and drain when it is ready; if it fails, go on

EXIT STATUS
  0  drained or stopped by a signal, or standard output is a closed pipe
  1  a failure at run time, such as an address in use, no permission or no free descriptors
  2  wrong usage or configuration; nothing was started";

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;
    use crate::usage_error::usage_error;

    /// What a flag, a variable or a key of a file may hold.
    const VALUES: &str = "| |0|1|-1|+1|NaN|inf|1e9|1.5|0x10|18446744073709551615|18446744073709551616\
        |9223372036854775808|18446744073709551615s|18446744073709551615s 1000000000ns|18446744073709551615GiB\
        |never|true|\u{feff}1|\u{661}|\u{1f41f}|\u{1b}[2J|a\0b|unix:|[::1]:99999|fixed:18446744073709551615\
        |length:u64|60s,10s,18446744073709551615|239.1.1.1@";

    /// Reads the arguments as the command does, up to the limits and options of the library.
    fn read(serve: Command, arguments: &[String]) -> Result<(), CliError> {
        let arguments = std::iter::once("serve".to_owned()).chain(arguments.iter().cloned());
        let usage = |error| usage_error(&error, Some("serve"));
        let settings =
            Settings::from_arg_matches(&serve.try_get_matches_from(arguments).map_err(usage)?).map_err(usage)?;
        check::check(&settings)?;
        let limits = settings.limits();
        assert!(limits.queue.low() < limits.queue.high() && limits.input_len_max() > 0);
        settings.server_limits(descriptors::connections_max(20_000, 1, settings.total.max_connections));
        settings.listen_options();
        settings.datagram_limits();
        settings.datagram_options();
        Ok(())
    }

    #[test]
    fn any_value_of_any_flag_or_key_is_read_or_refused_with_a_hint() {
        let serve = Settings::augment_args(Command::new("serve"));
        let flags: Vec<String> = serve.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
        assert!(flags.len() > 30, "{flags:?}");
        let long = "a".repeat(70_000);
        let values: Vec<&str> = VALUES.split('|').chain([long.as_str()]).collect();
        for (flag, value) in flags.iter().flat_map(|flag| values.iter().map(move |value| (flag, value))) {
            let check = |result: Result<(), CliError>| {
                if let Err(error) = result {
                    assert!(!error.message.is_empty() && !error.hint.is_empty(), "{flag} {value:?}: {error:?}");
                }
            };
            check(read(serve.clone(), &[format!("--{flag}={value}")]));
            check(read(serve.clone(), &[format!("--{flag}={value}"), format!("--{flag}={value}")]));
            for text in [format!("{flag} = {value:?}"), format!("{flag} = {value}"), format!("{flag} = [{value:?}]")] {
                let entries = config_file::entries("any.toml", &text);
                check(entries.and_then(|entries| read(with_file(serve.clone(), entries), &[])));
            }
        }
    }
}
