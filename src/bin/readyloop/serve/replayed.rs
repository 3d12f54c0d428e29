//! `ReplayedServer`: the server of a recording, over its replay.

use std::collections::BTreeMap;
use std::io;

use clap::{Args as _, Command, FromArgMatches as _, ValueEnum as _};
use readyloop::datagram::DatagramService;
use readyloop::net::ControlEvent;
use readyloop::recording::Replay;
use readyloop::run_log::{CallbackLog, Observed, RunLog, RunObserver};
use readyloop::trace::TraceLog;
use readyloop::{Address, Framing, Listen, ListenError, Server};

use crate::cli_error::CliError;

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
        let foreign = || {
            let hint = "a program with a service of its own replays its recordings itself: see readyloop::recording";
            CliError::failure("the recording is not that of `readyloop serve`", hint)
        };
        let settings = settings_of(&replay.text()).ok_or_else(foreign)?;
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
            add_endpoint(&mut replayed, &settings, tls.as_ref(), address).map_err(|_| foreign())?;
        }
        replayed.observe();
        Ok(replayed)
    }

    /// Replays one turn, and what the command did after it.
    ///
    /// # Errors
    /// The replay differs from the recording.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        let turned = self.server.turn(None);
        self.observe();
        turned?;
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
            if let Some(settings) = settings_of(&note) {
                apply(&settings, &mut self.server);
            }
        }
        Ok(())
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

/// The settings of a recorded server. `None` if the text is not that of a server.
fn settings_of(text: &str) -> Option<Settings> {
    let values: BTreeMap<String, Vec<String>> = serde_json::from_str(text).ok()?;
    let arguments =
        values.iter().flat_map(|(flag, values)| values.iter().map(move |value| format!("--{flag}={value}")));
    let arguments = std::iter::once("serve".to_owned()).chain(arguments);
    let matches = Settings::augment_args(Command::new("serve")).try_get_matches_from(arguments).ok()?;
    let settings = Settings::from_arg_matches(&matches).ok()?;
    check::check(&settings).is_ok().then_some(settings)
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
