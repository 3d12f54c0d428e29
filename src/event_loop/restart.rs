//! [`Restart`]: replaces the process of a loop by a new one on the same sockets, without a refused connection.
//!
//! ```text
//! restart ── start the successor with the sockets ──▶ waiting ── it is ready ──▶ hand over: drain and end
//!                         │                              │
//!                         └── it cannot be started       └── it ends, or takes too long: go on serving
//!
//! a shutdown while waiting ── end the successor, then go on with the shutdown
//! ```

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use log::{error, info, warn};

use crate::admission::EndpointPurpose;
use crate::net::inherited::{InheritedSockets, PassedSocket, pass_sockets};
use crate::net::{Address, Handle, Net, SystemNet};

use super::EventLoop;
use super::any_endpoint::{AnyEndpoint, EndpointSocket};
use super::shutdown::Stage;

/// The name of a passed socket of an administration endpoint.
pub const ADMIN: &str = "admin";

/// The name of a passed socket for TLS.
pub const TLS: &str = "tls";

/// The name of any other passed socket.
const PLAIN: &str = "plain";

/// A program that succeeds the running one.
///
/// It inherits the sockets in the form of socket activation
/// ([`InheritedSockets::from_environment`](crate::net::inherited::InheritedSockets::from_environment)). It is ready
/// when it writes to its standard output for the first time. Its standard input is empty.
///
/// ```no_run
/// use std::time::Duration;
///
/// use readyloop::event_loop::Restart;
/// use readyloop::net::inherited::InheritedSockets;
/// use readyloop::service::Echo;
/// use readyloop::{Raw, Reactor, Server, ServerLimits};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut reactor = Reactor::new()?;
/// reactor.inherit(InheritedSockets::from_environment()?);
/// let mut server = Server::new(reactor, ServerLimits::default());
/// server.listen("127.0.0.1:7007", Raw, Echo::new())?;
/// server.restart_with(Restart::of_this_program(Duration::from_secs(30))?);
/// println!("ready");
/// // `server.handle().restart()` starts the successor. A signal does the same with
/// // `Reactor::watch_signal` and `ControlEvent::Restart`.
/// server.run()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Restart {
    program: PathBuf,
    arguments: Vec<OsString>,
    ready_timeout: Duration,
    successor: Arc<Mutex<Successor>>,
}

/// How far a restart has come.
#[derive(Debug)]
enum Successor {
    /// None is wanted, or the last one has failed.
    None,
    /// A thread is about to start it.
    Wanted,
    /// It was started and is not ready yet.
    Starting(Child),
    /// It is ready.
    Serving,
}

impl Restart {
    /// The program of this process, at its path at this moment, with the same arguments.
    ///
    /// A successor that is not ready within `ready_timeout` is ended.
    ///
    /// # Errors
    /// The system does not report the path.
    pub fn of_this_program(ready_timeout: Duration) -> io::Result<Self> {
        let (program, arguments) = (env::current_exe()?, env::args_os().skip(1).collect());
        Ok(Self { program, arguments, ready_timeout, successor: Arc::new(Mutex::new(Successor::None)) })
    }

    /// Adds an argument, so that the program knows that it is a successor.
    #[must_use]
    pub fn with_argument(mut self, argument: impl Into<OsString>) -> Self {
        let argument = argument.into();
        // The successor of a successor has it already.
        if !self.arguments.contains(&argument) {
            self.arguments.push(argument);
        }
        self
    }

    fn successor(&self) -> MutexGuard<'_, Successor> {
        self.successor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the successor on a thread of its own, which waits until it is ready.
    fn start<'a>(&self, sockets: impl Iterator<Item = PassedSocket<'a>>, handle: Handle) -> io::Result<()> {
        let mut successor = self.successor();
        if !matches!(*successor, Successor::None) {
            warn!("a restart is under way already");
            return Ok(());
        }
        let (command, output) = self.command(sockets)?;
        let this = self.clone();
        thread::Builder::new().name("restart".to_owned()).spawn(move || this.run(command, output, &handle))?;
        *successor = Successor::Wanted;
        Ok(())
    }

    /// The command with the sockets, and our end of its standard output.
    fn command<'a>(&self, sockets: impl Iterator<Item = PassedSocket<'a>>) -> io::Result<(Command, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(OwnedFd::from(theirs));
        pass_sockets(&mut command, sockets)?;
        Ok((command, ours))
    }

    /// Starts the successor, and hands over when it is ready. After a failure, the loop goes on.
    fn run(&self, command: Command, output: UnixStream, handle: &Handle) {
        match self.start_child(command).and_then(|pid| self.wait_until_ready(pid, output)) {
            Ok(()) => handle.hand_over(),
            Err(RestartFailure::Canceled) => {}
            Err(RestartFailure::Failed(why)) => error!("restart failed, this process goes on: {why}"),
        }
    }

    /// Starts the process, unless it was canceled. Returns its number.
    fn start_child(&self, mut command: Command) -> Result<u32, RestartFailure> {
        let mut successor = self.successor();
        if !matches!(*successor, Successor::Wanted) {
            return Err(RestartFailure::Canceled);
        }
        *successor = Successor::None;
        let failed = |error| RestartFailure::Failed(format!("cannot start {}: {error}", self.program.display()));
        let child = command.spawn().map_err(failed)?;
        let pid = child.id();
        info!("restart: started process {pid}");
        *successor = Successor::Starting(child);
        // Dropping the command closes the other end of the pair, which would keep the pair open.
        Ok(pid)
    }

    /// Waits for the first bytes of the successor. Ends one that is not ready in time, and returns why.
    fn wait_until_ready(&self, pid: u32, mut output: UnixStream) -> Result<(), RestartFailure> {
        let timeout = Some(self.ready_timeout).filter(|timeout| !timeout.is_zero());
        let read = output.set_read_timeout(timeout).and_then(|()| output.read(&mut [0]));
        let mut successor = self.successor();
        let Successor::Starting(child) = &mut *successor else { return Err(RestartFailure::Canceled) };
        match read {
            Ok(1..) => {
                info!("restart: process {pid} is ready");
                *successor = Successor::Serving;
                return Ok(());
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                warn!("restart: process {pid} is not ready after {:?}", self.ready_timeout);
            }
            // It has ended. A process that leaves unread input at its end causes an error.
            Ok(0) | Err(_) => {}
        }
        let ended = end(child).map(|status| format!("process {pid} ended with {status}"));
        *successor = Successor::None;
        Err(RestartFailure::Failed(ended.unwrap_or_else(|error| error.to_string())))
    }

    /// Ends a successor that is not ready. It would hold the sockets of a server that has shut down.
    fn cancel(&self) {
        let mut successor = self.successor();
        match &mut *successor {
            Successor::None | Successor::Serving => return,
            Successor::Wanted => {}
            Successor::Starting(child) => {
                warn!("restart: ending process {}, because this process shuts down", child.id());
                // It may have ended already.
                let _ = end(child);
            }
        }
        *successor = Successor::None;
    }
}

/// Why a successor does not serve.
enum RestartFailure {
    /// This process shuts down.
    Canceled,
    Failed(String),
}

/// Ends a process and waits for it.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    // It may have ended already.
    let _ = child.kill();
    child.wait()
}

/// How long peers may go on after a successor serves. Most requests take less.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);

/// A successor, and what starts it with the sockets of the loop.
pub(super) struct Succession<N: Net> {
    restart: Restart,
    start: fn(&EventLoop<N>, &Restart) -> io::Result<()>,
}

impl<N: Net + 'static> EventLoop<N> {
    /// Starts the successor, if one was defined. The loop goes on until the successor is ready.
    pub fn restart(&mut self) {
        match &self.succession {
            None => warn!("a restart was requested, and this program has no successor"),
            Some(_) if self.shutdown.stage() != Stage::Running => warn!("no restart, because a shutdown is under way"),
            Some(Succession { restart, start }) => {
                if let Err(error) = start(self, restart) {
                    error!("restart failed, this process goes on: {error}");
                }
            }
        }
    }

    /// Ends a successor that is not ready, because this loop shuts down.
    pub(super) fn cancel_restart(&self) {
        if let Some(Succession { restart, .. }) = &self.succession {
            restart.cancel();
        }
    }

    /// Leaves the sockets to a successor that serves. The peers have a second to leave, and then a drain begins.
    ///
    /// A peer that was accepted just before has not sent its request yet. A drain would finish it at once.
    pub fn hand_over(&mut self) {
        for cell in &mut self.endpoints {
            cell.endpoint_mut().hand_over(&mut self.state);
        }
        self.lame_duck(HAND_OVER_TIMEOUT);
    }
}

impl<N: SystemNet + 'static> EventLoop<N> {
    /// Defines the successor that [`ControlEvent::Restart`](crate::net::ControlEvent) starts. When it is ready, this
    /// loop drains and ends. A shutdown ends a successor that is not ready.
    pub fn restart_with(&mut self, restart: Restart) {
        let start = |event_loop: &Self, restart: &Restart| restart.start(event_loop.sockets(), event_loop.handle());
        self.succession = Some(Succession { restart, start });
    }

    /// Takes the inherited sockets that no endpoint has used. Connections would wait at them without end.
    pub fn take_inherited(&mut self) -> InheritedSockets {
        self.state.net.reactor_mut().take_inherited()
    }

    /// Removes the paths of inherited Unix sockets at the end of this loop, unless a successor takes them over.
    ///
    /// A successor calls it when it is ready. Before, its predecessor still serves at these paths. A path that
    /// systemd has bound must stay.
    pub fn remove_paths_at_end(&mut self) {
        for cell in &mut self.endpoints {
            if let Some(listener) = cell.endpoint_mut().listener_mut() {
                self.state.net.remove_path_at_end(listener);
            }
        }
    }

    /// The sockets of all endpoints, in the order in which the endpoints were added.
    ///
    /// Their names are [`ADMIN`] for administration, [`TLS`] for TLS, or `plain`.
    pub fn sockets(&self) -> impl Iterator<Item = PassedSocket<'_>> {
        self.all_endpoints().filter_map(|endpoint| {
            let socket = match endpoint.socket()? {
                EndpointSocket::Listener(listener) => listener.as_fd(),
                EndpointSocket::Datagrams(datagrams) => datagrams.as_fd(),
            };
            Some(PassedSocket { name: name(endpoint), socket })
        })
    }
}

fn name<N: Net>(endpoint: &dyn AnyEndpoint<N>) -> &'static str {
    match (endpoint.purpose(), endpoint.local_address()) {
        (EndpointPurpose::Administration, _) => ADMIN,
        (EndpointPurpose::Service, Some(Address::Tls(_))) => TLS,
        (EndpointPurpose::Service, _) => PLAIN,
    }
}
