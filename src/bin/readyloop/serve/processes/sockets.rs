//! `Sockets`: the listening sockets of all places, which outlive the processes in them.

use readyloop::net::inherited::{InheritedSockets, PassedSocket};
use readyloop::{Address, Reactor, ServerLimits};

use crate::cli_error::{BUG, CliError};
use crate::serve::launch::{self, AnyServer, Bound};
use crate::serve::settings::Settings;

/// A server for each place, which has bound its sockets and never runs.
///
/// Sockets of TCP and UDP have `SO_REUSEPORT`: each place has its own, and the kernel spreads connections over them.
/// Unix sockets do not have it, and sockets of systemd are bound already. So the first place has
/// these, and the processes of all places accept from them.
pub(super) struct Sockets {
    places: Vec<AnyServer<Reactor>>,
    /// The addresses with their real ports.
    pub(super) addresses: Vec<Address>,
    /// For each address, whether all places use the socket of the first one.
    are_shared: Vec<bool>,
}

impl Sockets {
    /// Binds every address of the settings for each of `count` places.
    pub(super) fn bind(settings: &Settings, inherited: InheritedSockets, count: usize) -> Result<Self, CliError> {
        let mut settings = settings.clone();
        settings.admin = None;
        settings.sockets.reuse_port = true;
        let is_inherited = !inherited.is_empty();
        let Bound { server, addresses, .. } = launch::bind(&settings, new_server(inherited)?)?;
        let is_shared = |address: &Address| is_inherited || matches!(address, Address::Unix(_));
        let are_shared: Vec<bool> = addresses.iter().map(is_shared).collect();
        let mut places = vec![server];
        settings.endpoints.listen = addresses.iter().filter(|address| !is_shared(address)).cloned().collect();
        for _ in 1..count {
            places.push(launch::bind(&settings, new_server(InheritedSockets::default())?)?.server);
        }
        Ok(Self { places, addresses, are_shared })
    }

    /// The sockets of a place.
    pub(super) fn of(&self, place: usize) -> impl Iterator<Item = PassedSocket<'_>> {
        let shared = self.places[0].sockets().zip(&self.are_shared);
        let shared = shared.filter(move |(_, is_shared)| place > 0 && **is_shared).map(|(socket, _)| socket);
        self.places[place].sockets().chain(shared)
    }
}

/// A server that only binds sockets.
fn new_server(inherited: InheritedSockets) -> Result<AnyServer<Reactor>, CliError> {
    let mut reactor = Reactor::new().map_err(|error| CliError::system("cannot start the server", &error, BUG))?;
    reactor.inherit(inherited);
    Ok(AnyServer::over(reactor, ServerLimits::default()))
}
