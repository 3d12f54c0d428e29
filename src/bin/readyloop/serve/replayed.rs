//! `ReplayedServer`: the server of a recording, over its replay.

use std::collections::BTreeMap;
use std::io;

use clap::{Args as _, Command, FromArgMatches as _, ValueEnum as _};
use readyloop::datagram::DatagramService;
use readyloop::net::ControlEvent;
use readyloop::recording::{Replay, ReplayError};
use readyloop::run_log::{CallbackLog, Observed, RunLog, RunObserver};
use readyloop::trace::TraceLog;
use readyloop::{Address, Framing, Listen, ListenError, Server};

use crate::cli_error::{CliError, io_message};
use crate::usage_error::usage_error;

use super::check;
use super::launch::{EndpointTarget, add_endpoint};
use super::settings::Settings;
use super::tls;

/// The server of a recording. Its turns have the recorded results.
pub(crate) struct ReplayedServer {
    pub(crate) server: Server<Replay>,
    /// The number of endpoints so far.
    endpoints: usize,
    /// `None` if no log is kept.
    observed: Option<ObservedRun>,
}

/// The log of a replay that is observed.
struct ObservedRun {
    log: TraceLog,
    observer: RunObserver,
}

impl ReplayedServer {
    /// Builds the server with the recorded settings. With a title, a log of the run is kept.
    ///
    /// # Errors
    /// The recording is not that of `readyloop serve`, or differs already here.
    pub(crate) fn new(replay: Replay, title: Option<String>) -> Result<Self, CliError> {
        let settings = settings_of(&replay.text())?;
        let limits = settings.server_limits(settings.total.max_connections.ok_or_else(foreign)?);
        let words = service_words(&settings);
        let (replay, observed) = match title {
            None => (replay, None),
            Some(title) => {
                let log = TraceLog::new();
                let observer = RunObserver::new(title, log.clone());
                let observer = settings.endpoints.listen.iter().fold(observer, |it, _| it.with_service(words.as_str()));
                (replay.with_log(log.clone()), Some(ObservedRun { log, observer }))
            }
        };
        let server = Server::new(replay, limits).with_returned_control_events();
        let mut replayed = Self { server, endpoints: 0, observed };
        let tls = tls::server(&settings)?;
        for address in &settings.endpoints.listen {
            let added = add_endpoint(&mut replayed, &settings, tls.as_ref(), address);
            replayed.check_equal()?;
            added.map_err(|error| recorded_error(&error))?;
        }
        replayed.observe();
        Ok(replayed)
    }

    /// Replays one turn, and what the command did after it.
    ///
    /// # Errors
    /// The replay differs from the recording, or the recorded turn has failed.
    pub(crate) fn turn(&mut self) -> Result<(), CliError> {
        let turned = self.server.turn(None);
        self.observe();
        self.check_equal()?;
        turned.map_err(|error| recorded_error(&error))?;
        while let Some(control_event) = self.server.poll_control_event() {
            match control_event {
                // The note below has the new settings.
                ControlEvent::Reload => {}
                ControlEvent::Wake
                | ControlEvent::ShutDown
                | ControlEvent::LameDuck(_)
                | ControlEvent::Drain
                | ControlEvent::Stop
                | ControlEvent::Restart
                | ControlEvent::HandOver
                | ControlEvent::Totals => self.server.carry_out(control_event),
            }
        }
        for note in self.server.net().take_notes() {
            apply(&settings_of(&note)?, &mut self.server);
        }
        self.check_equal()
    }

    /// Checks that the server has made the recorded calls so far.
    fn check_equal(&self) -> Result<(), CliError> {
        let net = self.server.net();
        net.failure().map_or(Ok(()), |failure| Err(replay_error(&failure, net.has_content())))
    }

    fn observe(&mut self) {
        if let Some(ObservedRun { observer, .. }) = &mut self.observed {
            // The kernel buffers are not recorded.
            observer.after_turn(&self.server, &[]);
        }
    }

    /// Ends the replay and returns its log, if one is kept.
    pub(crate) fn into_log(self) -> Option<RunLog> {
        self.observed.map(|run| run.observer.into_log())
    }
}

/// The error of a recording that cannot be replayed, or of a replay that differs.
pub(crate) fn replay_error(error: &ReplayError, has_content: bool) -> CliError {
    let message = error
        .read_error()
        .map_or_else(|| error.to_string(), |system| format!("cannot read the recording: {}", io_message(&system)));
    CliError::failure(message, hint(error, has_content))
}

fn hint(error: &ReplayError, has_content: bool) -> &'static str {
    match error {
        ReplayError::Read { .. } | ReplayError::NotARecording => {
            "type the path of a file that `readyloop serve --record FILE` has written"
        }
        ReplayError::Empty => "record again, and end the server with SIGTERM, so that the whole recording is written",
        ReplayError::Damaged { .. } => "the turns before the damage can be read with --calls --story",
        ReplayError::NoBeginning { .. } => {
            "add --calls to read the calls that are left, or record with a larger --record-max"
        }
        ReplayError::NoMessage { .. } => "the calls can be read with --calls",
        ReplayError::Differs { .. } if !has_content => {
            "record with --record-bytes, or add --calls: without bytes, only --framing raw can be replayed"
        }
        // Another variant is one of a later version.
        ReplayError::Version(_) | ReplayError::Differs { .. } | _ => {
            "record and replay with the same version of readyloop"
        }
    }
}

/// The recorded server failed as the replay does.
fn recorded_error(error: &io::Error) -> CliError {
    let hint = "the replay is equal so far; add --calls --story to read all calls";
    CliError::system("the recorded server failed", error, hint)
}

fn foreign() -> CliError {
    let hint = "a program with a service of its own replays its recordings itself: see readyloop::recording";
    CliError::failure("the recording is not that of `readyloop serve`", hint)
}

/// The settings of a recorded server.
///
/// # Errors
/// The text is not that of a server, or this version refuses its settings.
fn settings_of(text: &str) -> Result<Settings, CliError> {
    let values: BTreeMap<String, Vec<String>> = serde_json::from_str(text).map_err(|_| foreign())?;
    let arguments =
        values.iter().flat_map(|(flag, values)| values.iter().map(move |value| format!("--{flag}={value}")));
    let arguments = std::iter::once("serve".to_owned()).chain(arguments);
    let matches = Settings::augment_args(Command::new("serve")).try_get_matches_from(arguments);
    let settings = matches.and_then(|matches| Settings::from_arg_matches(&matches));
    let settings = settings.map_err(|error| refused(&usage_error(&error, Some("serve"))))?;
    check::check(&settings).map_err(|error| refused(&error))?;
    Ok(settings)
}

/// The error of recorded settings that this version does not have.
fn refused(error: &CliError) -> CliError {
    let message = format!("the settings in the recording are refused: {}", error.message);
    CliError::failure(message, "record and replay with the same version of readyloop")
}

/// The service and its framing, in words.
fn service_words(settings: &Settings) -> String {
    let service = settings.endpoints.service.to_possible_value();
    let name = service.as_ref().map_or("a service", |service| service.get_name());
    format!("{name}, framing {}", settings.framing())
}

/// Applies settings that were changed by a reload.
fn apply(settings: &Settings, server: &mut Server<Replay>) {
    let connections_max = settings.total.max_connections.unwrap_or(usize::MAX);
    server.change_limits(settings.server_limits(connections_max));
    server.change_peer_limits(&settings.limits());
    server.change_datagram_limits(&settings.datagram_limits());
}

impl EndpointTarget for ReplayedServer {
    fn listen<S: readyloop::Service<Codec = Framing> + Clone + Send + 'static>(
        &mut self,
        listen: Listen,
        framing: Framing,
        service: S,
    ) -> Result<Address, ListenError> {
        let index = self.endpoints;
        self.endpoints += 1;
        let Some(ObservedRun { log, .. }) = &self.observed else {
            let endpoint = self.server.listen(listen, framing, service)?;
            return Ok(self.server.local_address(&endpoint).clone());
        };
        let callbacks = CallbackLog::new(index, log.clone());
        let endpoint = self.server.listen(listen, framing, Observed::new(service, callbacks))?;
        Ok(self.server.local_address(&endpoint).clone())
    }

    fn listen_datagrams(
        &mut self,
        address: &Address,
        settings: &Settings,
        service: impl DatagramService + 'static,
    ) -> io::Result<Address> {
        self.endpoints += 1;
        let (options, limits) = (settings.datagram_options(), settings.datagram_limits());
        Ok(self.server.listen_datagrams(address, &options, limits, service)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};
    use std::sync::{Arc, Mutex};

    use readyloop::instant::Instant;
    use readyloop::net::Net as _;
    use readyloop::recording::{Recording, RecordingOptions};
    use readyloop::sim::World;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The error of a recording that has a text and no call.
    #[track_caller]
    fn check(text: &str, message: &str, hint: &str) {
        let memory = Memory::default();
        let options = RecordingOptions { text: text.to_owned(), ..RecordingOptions::default() };
        let mut recording = Recording::to_writer(World::new(1).net(), memory.clone(), &options).unwrap();
        recording.poll(&mut Vec::new(), Some(Instant::ORIGIN)).unwrap();
        drop(recording);
        let replay = Replay::from_reader(Cursor::new(memory.0.lock().unwrap().clone())).unwrap();
        let error = ReplayedServer::new(replay, None).err().unwrap();
        assert!(error.message.contains(message) && error.hint.contains(hint), "{error:?}");
    }

    #[test]
    fn the_recording_of_another_program_is_refused() {
        check("", "not that of `readyloop serve`", "readyloop::recording");
    }

    #[test]
    fn the_recorded_settings_of_another_version_are_named() {
        check(r#"{"new-flag":["1"]}"#, "`--new-flag`", "the same version");
        check(r#"{"listen":["127.0.0.1:1", "127.0.0.1:1"]}"#, "127.0.0.1:1", "the same version");
    }

    #[test]
    fn a_difference_before_the_first_turn_is_reported() {
        let text = r#"{"listen":["127.0.0.1:1"],"max-connections":["10"]}"#;
        check(text, "the replay differs in turn 0: the loop asked for a listener", "the same version");
    }
}
