//! `ReplayedServer`: the server of a recording, over its replay.

use std::io;

use readyloop::datagram::DatagramService;
use readyloop::net::ControlEvent;
use readyloop::recording::Replay;
use readyloop::{Address, Framing, Listen, ListenError, Server};

use crate::cli_error::CliError;

use super::launch::{EndpointTarget, add_endpoint};
use super::recording;
use super::settings::Settings;
use super::tls;

/// The server of a recording. Its turns have the recorded results.
pub(crate) struct ReplayedServer {
    pub(crate) server: Server<Replay>,
}

impl ReplayedServer {
    /// Builds the server with the recorded settings.
    ///
    /// # Errors
    /// The recording is not that of `readyloop serve`, or differs already here.
    pub(crate) fn new(replay: Replay) -> Result<Self, CliError> {
        let foreign = || {
            let hint = "a program with a service of its own replays its recordings itself: see readyloop::recording";
            CliError::failure("the recording is not that of `readyloop serve`", hint)
        };
        let settings = recording::settings_of(&replay.text()).ok_or_else(foreign)?;
        let limits = settings.server_limits(settings.total.max_connections.ok_or_else(foreign)?);
        let mut replayed = Self { server: Server::new(replay, limits).with_returned_control_events() };
        let tls = tls::server(&settings)?;
        for address in &settings.endpoints.listen {
            add_endpoint(&mut replayed, &settings, tls.as_ref(), address).map_err(|_| foreign())?;
        }
        Ok(replayed)
    }

    /// Replays one turn, and what the command did after it.
    ///
    /// # Errors
    /// The replay differs from the recording.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        self.server.turn(None)?;
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
            if let Some(settings) = recording::settings_of(&note) {
                apply(&settings, &mut self.server);
            }
        }
        Ok(())
    }
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
        let endpoint = self.server.listen(listen, framing, service)?;
        Ok(self.server.local_address(&endpoint).clone())
    }

    fn listen_datagrams(
        &mut self,
        address: &Address,
        settings: &Settings,
        service: impl DatagramService + 'static,
    ) -> io::Result<Address> {
        let (options, limits) = (settings.datagram_options(), settings.datagram_limits());
        Ok(self.server.listen_datagrams(address, &options, limits, service)?)
    }
}
