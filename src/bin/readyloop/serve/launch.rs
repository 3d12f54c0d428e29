//! Builds the server from the settings and binds every listener.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use log::warn;
use readyloop::admission::EndpointPurpose;
use readyloop::blocking::{self, BlockingServer};
use readyloop::datagram::DatagramService;
use readyloop::event_loop::Restart;
use readyloop::net::inherited::PassedSocket;
use readyloop::net::tls::TlsServer;
use readyloop::net::{Address, ControlEvent, Reactor, SystemNet};
use readyloop::service::{Chargen, Chat, Discard, Echo};
use readyloop::{Framing, Listen, ListenError, Server, ServerLimits, Totals, admin};
use rustix::io::ioctl_fionbio;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::cli_error::{CliError, io_message};

use super::control::Control;
use super::settings::{Service, Settings};
use super::threads::Design;
use super::tls;

/// The hint of an error that most often has this cause.
const START_HINT: &str = "raise the descriptor limit, for example with `ulimit -n 1024`";

/// A server of any design.
pub(super) enum AnyServer<N: SystemNet> {
    Reactor(Box<Server<N>>),
    Blocking(Box<BlockingServer>),
}

impl AnyServer<Reactor> {
    /// A server of the design that the settings name.
    pub(super) fn new(settings: &Settings, reactor: Reactor, limits: ServerLimits) -> Result<Self, CliError> {
        let design = match settings.threads.design {
            Design::Reactor => return Ok(Self::over(reactor, limits)),
            Design::Iterative => blocking::Design::Iterative,
            Design::Threads => blocking::Design::Threads,
            Design::Pool => blocking::Design::Pool { workers: settings.workers() },
        };
        let server = BlockingServer::new(reactor, design, limits).map_err(|error| start_error(&error))?;
        Ok(Self::Blocking(Box::new(server)))
    }
}

impl<N: SystemNet + 'static> AnyServer<N> {
    /// An event loop over this network.
    pub(super) fn over(net: N, limits: ServerLimits) -> Self {
        Self::Reactor(Box::new(Server::new(net, limits).with_returned_control_events()))
    }

    /// The network of the reactor.
    pub(super) fn net(&self) -> Option<&N> {
        match self {
            Self::Reactor(server) => Some(server.net()),
            Self::Blocking(_) => None,
        }
    }

    /// Makes SIGUSR2 start this program again.
    pub(super) fn restart_with(&mut self, settings: &Settings) {
        let Self::Reactor(server) = self else { return };
        match Restart::of_this_program(settings.threads.ready_timeout) {
            Ok(restart) => server.restart_with(restart.with_argument("--successor")),
            // Linux without `/proc`.
            Err(error) => {
                warn!("SIGUSR2 has no effect, because the path of this program is unknown: {}", io_message(&error));
            }
        }
    }

    /// The sockets of all endpoints. Only the reactor passes them on.
    pub(super) fn sockets(&self) -> impl Iterator<Item = PassedSocket<'_>> {
        let server = match self {
            Self::Reactor(server) => Some(server),
            Self::Blocking(_) => None,
        };
        server.into_iter().flat_map(|server| server.sockets())
    }

    /// Makes the server drain when its supervisor has ended: standard input is a pipe from it.
    pub(super) fn drain_without_supervisor(&mut self) -> io::Result<()> {
        let Self::Reactor(server) = self else { return Ok(()) };
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        ioctl_fionbio(&input, true)?;
        server.watch(File::from(input), |input, server, _| match input.read(&mut [0; 64]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ControlFlow::Continue(()),
            Ok(1..) => ControlFlow::Continue(()),
            Ok(0) | Err(_) => {
                warn!("the supervisor has ended");
                // A second drain would be a stop.
                if server.stage().accepts() {
                    // The request passes the border of the loop, so a recording has it.
                    server.handle().drain();
                }
                ControlFlow::Break(())
            }
        })
    }

    /// Makes a successor remove the paths of its Unix sockets, which its predecessor has bound.
    pub(super) fn remove_paths_at_end(&mut self) {
        if let Self::Reactor(server) = self {
            server.remove_paths_at_end();
        }
    }

    /// Serves until the server is drained or stopped.
    ///
    /// Only the reactor reloads settings and notifies systemd.
    pub(super) fn run(&mut self, control: &mut Control) -> io::Result<Totals> {
        match self {
            Self::Reactor(server) => control.run(server),
            Self::Blocking(server) => server.run(),
        }
    }

    /// Adds the administration endpoint. Only the reactor has one.
    fn listen_admin(&mut self, address: &Address) -> Result<Address, ListenError> {
        match self {
            Self::Reactor(server) => admin::listen(server, address.clone()),
            Self::Blocking(_) => Err(ListenError::WrongKind(address.clone())),
        }
    }
}

impl<N: SystemNet + 'static> EndpointTarget for AnyServer<N> {
    fn listen<S: readyloop::Service<Codec = Framing> + Clone + Send + 'static>(
        &mut self,
        listen: Listen,
        framing: Framing,
        service: S,
    ) -> Result<Address, ListenError> {
        match self {
            Self::Reactor(server) => {
                let endpoint = server.listen(listen, framing, service)?;
                Ok(server.local_address(&endpoint).clone())
            }
            Self::Blocking(server) => server.listen(listen, framing, service),
        }
    }

    fn listen_datagrams(
        &mut self,
        address: &Address,
        settings: &Settings,
        service: impl DatagramService + 'static,
    ) -> io::Result<Address> {
        let Self::Reactor(server) = self else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "datagrams need the reactor"));
        };
        let (options, limits) = (settings.datagram_options(), settings.datagram_limits());
        Ok(server.listen_datagrams(address, &options, limits, service)?)
    }
}

/// A server to which endpoints are added.
pub(crate) trait EndpointTarget {
    /// Adds an endpoint for connections. Returns its address.
    fn listen<S: readyloop::Service<Codec = Framing> + Clone + Send + 'static>(
        &mut self,
        listen: Listen,
        framing: Framing,
        service: S,
    ) -> Result<Address, ListenError>;

    /// Adds an endpoint for datagrams. Returns its address.
    fn listen_datagrams(
        &mut self,
        address: &Address,
        settings: &Settings,
        service: impl DatagramService + 'static,
    ) -> io::Result<Address>;
}

/// A server with the addresses that it is bound to.
pub(super) struct Bound<N: SystemNet> {
    pub(super) server: AnyServer<N>,
    pub(super) addresses: Vec<Address>,
    pub(super) admin: Option<Address>,
}

/// Adds every listener of the settings to the server.
///
/// A listener uses the inherited socket of the reactor with its address, if there is one.
pub(super) fn bind<N: SystemNet + 'static>(
    settings: &Settings,
    mut server: AnyServer<N>,
) -> Result<Bound<N>, CliError> {
    let tls = tls::server(settings)?;
    let mut addresses = Vec::new();
    for address in &settings.endpoints.listen {
        check_path(address)?;
        addresses.push(
            add_endpoint(&mut server, settings, tls.as_ref(), address)
                .map_err(|error| listen_error("--listen", address, &error))?,
        );
    }
    let admin = settings.admin.as_ref().map(|address| listen_admin(address, |address| server.listen_admin(address)));
    let admin = admin.transpose()?;
    if let AnyServer::Reactor(server) = &mut server {
        for unused in server.take_inherited().iter() {
            warn!("closed the passed socket {} `{}`: no address of the configuration", unused.address(), unused.name());
        }
    }
    Ok(Bound { server, addresses, admin })
}

/// Opens the administration endpoint by `listen`.
pub(super) fn listen_admin(
    address: &Address,
    listen: impl FnOnce(&Address) -> Result<Address, ListenError>,
) -> Result<Address, CliError> {
    check_path(address)?;
    listen(address).map_err(|error| listen_error("--admin", address, &error.into()))
}

/// Refuses a Unix path where a file other than a socket exists.
///
/// Binding replaces a socket to which no connection succeeds. A connection to a regular file fails
/// too, so the file would be deleted.
fn check_path(address: &Address) -> Result<(), CliError> {
    let Address::Unix(path) = address else { return Ok(()) };
    let is_abstract = path.as_os_str().as_encoded_bytes().starts_with(b"@");
    match fs::symlink_metadata(path) {
        Ok(found) if !is_abstract && !found.file_type().is_socket() => Err(CliError::failure(
            format!("cannot listen on {address}: a file other than a socket exists there"),
            "type a path that does not exist",
        )),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A reactor that turns the signals of a server into control events. `restart` is that of SIGUSR2.
pub(super) fn reactor(restart: ControlEvent) -> Result<Reactor, CliError> {
    watching_reactor(restart).map_err(|error| start_error(&error))
}

fn start_error(error: &io::Error) -> CliError {
    CliError::system("cannot start the server", error, START_HINT)
}

fn watching_reactor(restart: ControlEvent) -> io::Result<Reactor> {
    let mut reactor = Reactor::new()?;
    reactor.watch_signal(SIGTERM, ControlEvent::ShutDown)?;
    reactor.watch_signal(SIGINT, ControlEvent::ShutDown)?;
    reactor.watch_signal(SIGHUP, ControlEvent::Reload)?;
    reactor.watch_signal(SIGUSR1, ControlEvent::Totals)?;
    reactor.watch_signal(SIGUSR2, restart)?;
    Ok(reactor)
}

/// Adds the endpoint for one address of the settings.
pub(crate) fn add_endpoint(
    server: &mut impl EndpointTarget,
    settings: &Settings,
    tls: Option<&TlsServer>,
    address: &Address,
) -> io::Result<Address> {
    if let Address::Udp(_) = address {
        return match settings.endpoints.service {
            Service::Echo => server.listen_datagrams(address, settings, Echo::new()),
            Service::Discard => server.listen_datagrams(address, settings, Discard::new()),
            Service::Chargen => server.listen_datagrams(address, settings, Chargen::new()),
            Service::Chat => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "chat needs connections, and UDP has none"))
            }
        };
    }
    let listen = Listen {
        address: address.clone(),
        socket: settings.listen_options(),
        limits: settings.limits(),
        purpose: EndpointPurpose::Service,
        proxy: settings.proxy.trusted(),
        tls: tls.cloned(),
        connect_tls: None,
    };
    let framing = settings.framing();
    let prefix = settings.prefix().unwrap_or_default();
    let bound = match (settings.endpoints.service, framing) {
        (Service::Echo, _) => server.listen(listen, framing, Echo::with_prefix(prefix)),
        (Service::Discard, _) => server.listen(listen, framing, Discard::new()),
        (Service::Chargen, Framing::Raw(_)) => server.listen(listen, framing, Chargen::new()),
        (Service::Chargen, Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_)) => {
            server.listen(listen, framing, Chargen::bare())
        }
        (Service::Chat, _) => server.listen(listen, framing, Chat::with_prefix(prefix)),
    };
    Ok(bound?)
}

/// The error of an address that was given with this flag.
fn listen_error(flag: &str, address: &Address, error: &io::Error) -> CliError {
    let (place, hint) = match address {
        Address::Tcp(host_port) | Address::Tls(host_port) => {
            (host_port.clone(), port_hint(flag, "", "-ltnp", host_port, error))
        }
        Address::Udp(host_port) => (address.to_string(), port_hint(flag, "udp://", "-lunp", host_port, error)),
        Address::Unix(path) => (address.to_string(), unix_hint(flag, path, error)),
    };
    CliError::system(format_args!("cannot listen on {place}"), error, hint)
}

fn port_hint(flag: &str, scheme: &str, ss_flags: &str, host_port: &str, error: &io::Error) -> String {
    let (host, port) = host_port.rsplit_once(':').unwrap_or((host_port, ""));
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        format!(
            "type {flag} {scheme}{host}:0 for a free port, or find the process on this port: ss {ss_flags} 'sport = :{port}'"
        )
    } else if kind == io::ErrorKind::PermissionDenied {
        format!("ports below 1024 need root: type a higher port, such as {flag} {scheme}{host}:7007")
    } else if kind == io::ErrorKind::AddrNotAvailable {
        format!("{host} is not an address of this machine: `ip -brief address` lists its addresses")
    } else if error.raw_os_error().is_none() {
        format!("type an IP address, such as {flag} {scheme}127.0.0.1:{port}")
    } else {
        any_hint(flag)
    }
}

fn unix_hint(flag: &str, path: &Path, error: &io::Error) -> String {
    let kind = error.kind();
    let directory = path.parent().unwrap_or(path).display();
    if kind == io::ErrorKind::AddrInUse {
        "another server listens on this path: type another path".to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        format!("type a path in a writable directory: {directory} is not writable")
    } else if kind == io::ErrorKind::NotFound && !path.parent().is_some_and(Path::is_dir) {
        format!("create the directory: mkdir -p {directory}")
    } else {
        any_hint(flag)
    }
}

fn any_hint(flag: &str) -> String {
    format!("type another {flag} address, or check the descriptor limit with `ulimit -n`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_the_flag_of_its_address() {
        let taken = io::Error::from_raw_os_error(libc::EADDRINUSE);
        let hint = |flag| listen_error(flag, &"127.0.0.1:9007".parse().unwrap(), &taken).hint;
        assert!(hint("--admin").starts_with("type --admin 127.0.0.1:0 for a free port"), "{}", hint("--admin"));
        assert!(hint("--listen").starts_with("type --listen 127.0.0.1:0 for a free port"));
    }

    #[test]
    fn a_regular_file_is_not_replaced_by_a_socket() {
        let path = std::env::temp_dir().join(format!("readyloop-{}-file.sock", std::process::id()));
        let address = Address::Unix(path.clone());
        assert_eq!(check_path(&address), Ok(()));
        fs::write(&path, "precious").unwrap();
        assert!(check_path(&address).is_err());
        fs::remove_file(&path).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(check_path(&address), Ok(()));
        drop(listener);
        fs::remove_file(&path).unwrap();
    }
}
