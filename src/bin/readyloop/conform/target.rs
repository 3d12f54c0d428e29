//! The server under test: at an address of the user, or started by a command.

use std::net::{SocketAddr, ToSocketAddrs as _};

use readyloop::Address;

use super::connection::{begin_connect, finish_connect};
use super::rows::Subject;
use super::server::StartedServer;
use super::settings::Settings;
use super::verdict::{Checked, Stop};
use super::wait::Wait;
use crate::child::{Interrupt, ServerCommand, StartError, StartOptions};
use crate::cli_error::{BUG, CliError};

/// The server under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A server that runs already.
    Address(SocketAddr, Transport),
    /// A command that starts it.
    Command(ServerCommand, Transport),
}

/// How the server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
    Both,
}

impl Target {
    /// Finds the server and reaches it once, so that a wrong address or command fails early.
    ///
    /// # Errors
    /// The server does not start or cannot be reached.
    pub(super) fn open(settings: &Settings, interrupt: &Interrupt) -> Result<Self, CliError> {
        let transport = if settings.udp { Transport::Both } else { Transport::Tcp };
        if let Some(command) = &settings.server {
            StartedServer::start(command, StartOptions::default(), interrupt).map_err(|error| not_started(&error))?;
            return Ok(Self::Command(command.clone(), transport));
        }
        match &settings.address {
            Some(Address::Udp(host_port)) => Ok(Self::Address(reach(host_port, |_| Ok(()))?, Transport::Udp)),
            Some(Address::Tcp(host_port)) => {
                let wait = Wait::new(settings.timeout, interrupt);
                let connect = |address| finish_connect(&begin_connect(address, None)?, &wait);
                Ok(Self::Address(reach(host_port, connect)?, transport))
            }
            Some(Address::Tls(_) | Address::Unix(_)) | None => Err(CliError::failure("there is no server", BUG)),
        }
    }

    /// The name of the server in the report.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Address(address, Transport::Udp) => format!("udp://{address}"),
            Self::Address(address, Transport::Tcp | Transport::Both) => format!("tcp://{address}"),
            Self::Command(command, _) => command.text.clone(),
        }
    }

    /// Why a row about this subject cannot run.
    pub(super) fn refuses(&self, subject: Subject) -> Option<&'static str> {
        let (Self::Address(_, transport) | Self::Command(_, transport)) = self;
        match (subject, transport) {
            (Subject::Connections | Subject::Process | Subject::End, Transport::Udp) => {
                Some("the server is reached over UDP")
            }
            (Subject::Process | Subject::End, _) if matches!(self, Self::Address(..)) => {
                Some("the process is known only with --server")
            }
            (Subject::Datagrams, Transport::Tcp) => Some("datagrams are sent only with --udp"),
            (Subject::Connections | Subject::Process | Subject::End | Subject::Datagrams, _) => None,
        }
    }
}

fn not_started(error: &StartError) -> CliError {
    CliError::failure(
        format!("the server does not start: {error}"),
        "run its command alone: it must print `listening on tcp://HOST:PORT`, or listen on the port {port}",
    )
}

/// The first address of a name that can be reached.
fn reach(host_port: &str, connect: impl Fn(SocketAddr) -> Checked) -> Result<SocketAddr, CliError> {
    let addresses = host_port.to_socket_addrs();
    let addresses = addresses.map_err(|error| {
        CliError::system(format_args!("cannot look up {host_port}"), &error, "check the name, or type an IP address")
    })?;
    let mut reason = "the name has no address".to_owned();
    for address in addresses {
        match connect(address) {
            Ok(()) => return Ok(address),
            Err(Stop::Failed(text) | Stop::Skipped(text)) => reason = text,
            Err(Stop::Interrupted) => {
                return Err(CliError::failure("interrupted", "let it run until the server is reached"));
            }
        }
    }
    let hint = "start the server, or check host and port; --server COMMAND starts it for each row";
    Err(CliError::failure(reason, hint).at(host_port))
}
