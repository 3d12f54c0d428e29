//! `Notifier`: reports the state of the server to a service manager such as systemd (sd_notify(3)).
//!
//! Each message is one datagram to the Unix socket that the variable `NOTIFY_SOCKET` names. A send never waits: the
//! server goes on even if nothing reads the socket.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

use log::{debug, warn};
use readyloop::Server;
use readyloop::event_loop::Stage;
use readyloop::instant::Instant;
use readyloop::net::Net;
use rustix::time::{ClockId, clock_gettime};

use crate::cli_error::io_message;

/// The variable that names the socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The variable with the time after which the manager ends a silent process, in microseconds.
///
/// `WATCHDOG_PID` is not compared, because a successor of the process that the manager has started inherits it.
const WATCHDOG: &str = "WATCHDOG_USEC";

/// The shortest time between two keep-alive messages.
const KEEP_ALIVE_MIN: Duration = Duration::from_millis(1);

/// The time between two status messages.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// The connection to a service manager, and the times of the next messages.
#[derive(Debug)]
pub(super) struct Notifier {
    socket: UnixDatagram,
    /// The time between two keep-alive messages; `None` without a watchdog.
    keep_alive_interval: Option<Duration>,
    keep_alive_at: Instant,
    /// When the status is sent; [`Instant::NEVER`] until something may have changed.
    status_at: Instant,
    status_checked_at: Instant,
    status: String,
}

impl Notifier {
    /// A notifier, if a service manager waits for notifications.
    pub(super) fn from_environment() -> Option<Self> {
        let name = env::var_os(SOCKET).filter(|name| !name.is_empty())?;
        let socket = connect(name.as_encoded_bytes())
            .map_err(|error| warn!("cannot notify the service manager at {}: {}", name.display(), io_message(&error)));
        let watchdog = env::var(WATCHDOG).ok().and_then(|text| text.parse().ok()).filter(|micros| *micros > 0);
        Some(Self::new(socket.ok()?, watchdog.map(Duration::from_micros)))
    }

    fn new(socket: UnixDatagram, watchdog: Option<Duration>) -> Self {
        Self {
            socket,
            keep_alive_interval: watchdog.map(|timeout| (timeout / 2).max(KEEP_ALIVE_MIN)),
            keep_alive_at: if watchdog.is_some() { Instant::ORIGIN } else { Instant::NEVER },
            status_at: Instant::NEVER,
            status_checked_at: Instant::ORIGIN,
            status: String::new(),
        }
    }

    /// The server serves. This process is the main one, also if it succeeds another one.
    pub(super) fn ready(&mut self) {
        self.send_or_warn(&format!("READY=1\nMAINPID={}\n", process::id()));
    }

    /// The server reads its settings again. [`Self::ready`] must follow.
    pub(super) fn reloading(&mut self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send_or_warn(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// The server begins to end.
    pub(super) fn stopping(&mut self) {
        self.send_or_warn("STOPPING=1\nSTATUS=draining\n");
    }

    /// When [`Self::handle_turn`] has to be called even if nothing happens.
    pub(super) fn next_at(&self) -> Option<Instant> {
        Some(self.keep_alive_at.min(self.status_at)).filter(|at| *at != Instant::NEVER)
    }

    /// Sends what is due after a turn. An event loop that does not turn any more sends nothing, so the manager ends it.
    pub(super) fn handle_turn<N: Net + 'static>(&mut self, server: &Server<N>) {
        let is_running = server.stage() == Stage::Running;
        self.handle_time(server.now(), || {
            let totals = server.totals();
            is_running.then(|| format!("{} connections open, {} opened in total", totals.open, totals.peers.opened))
        });
    }

    /// Sends what is due. `status` returns the status if it is to be sent.
    pub(super) fn handle_time(&mut self, now: Instant, status: impl FnOnce() -> Option<String>) {
        if let Some(interval) = self.keep_alive_interval
            && self.keep_alive_at <= now
        {
            // After a failure, it is tried again long before the time is over.
            let is_sent = self.send("WATCHDOG=1\n").is_ok();
            self.keep_alive_at = now + if is_sent { interval } else { (interval / 4).max(KEEP_ALIVE_MIN) };
        }
        if self.status_at == Instant::NEVER {
            // Something may have happened in this turn.
            self.status_at = now.max(self.status_checked_at + STATUS_INTERVAL);
        } else if self.status_at <= now {
            (self.status_at, self.status_checked_at) = (Instant::NEVER, now);
            self.send_status(status());
        }
    }

    fn send_status(&mut self, status: Option<String>) {
        if let Some(status) = status.filter(|status| *status != self.status)
            && self.send(&format!("STATUS={status}\n")).is_ok()
        {
            self.status = status;
        }
    }

    fn send_or_warn(&self, message: &str) {
        if let Err(error) = self.send(message) {
            warn!("cannot notify the service manager: {}", io_message(&error));
        }
    }

    fn send(&self, message: &str) -> io::Result<()> {
        let sent = self.socket.send(message.as_bytes());
        sent.map(|_| ()).inspect_err(|error| debug!("cannot notify the service manager: {}", io_message(error)))
    }
}

/// A socket that is connected to the one with this name: a path, or `@` and a name in the abstract namespace of Linux.
fn connect(name: &[u8]) -> io::Result<UnixDatagram> {
    let address = match name {
        [b'/', ..] => SocketAddr::from_pathname(OsStr::from_bytes(name))?,
        [b'@', rest @ ..] => abstract_address(rest)?,
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has abstract names"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A notifier, and the socket of its service manager.
    fn new(watchdog: Option<Duration>) -> (Notifier, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (Notifier::new(ours, watchdog), theirs)
    }

    /// The messages since the last call, without their line feeds.
    fn take(supervisor: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 1024];
        let receive =
            || supervisor.recv(&mut buffer).ok().map(|len| String::from_utf8_lossy(&buffer[..len]).trim().to_owned());
        std::iter::from_fn(receive).collect()
    }

    fn at(seconds: u32) -> Instant {
        Instant::ORIGIN + seconds * SECOND
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time() {
        let (mut notifier, supervisor) = new(Some(10 * SECOND));
        let mut sent = Vec::new();
        for second in 0..=15 {
            notifier.handle_time(at(second), || None);
            sent.extend(take(&supervisor).into_iter().map(|message| (second, message)));
            assert!(notifier.next_at().is_some_and(|next| next <= at(second + 5)));
        }
        assert_eq!(sent, [0, 5, 10, 15].map(|second| (second, "WATCHDOG=1".to_owned())));
    }

    #[test]
    fn the_status_is_sent_once_in_ten_seconds_and_an_idle_server_sleeps() {
        let (mut notifier, supervisor) = new(None);
        assert_eq!(notifier.next_at(), None);
        let status = |text: &str| Some(text.to_owned());
        notifier.handle_time(at(20), || status("one"));
        assert_eq!(notifier.next_at(), Some(at(20)));
        notifier.handle_time(at(20), || status("one"));
        assert_eq!((take(&supervisor), notifier.next_at()), (vec!["STATUS=one".to_owned()], None));
        (21..30).for_each(|second| notifier.handle_time(at(second), || status("busy")));
        assert_eq!((take(&supervisor), notifier.next_at()), (Vec::new(), Some(at(30))));
        notifier.handle_time(at(30), || status("two"));
        assert_eq!((take(&supervisor), notifier.next_at()), (vec!["STATUS=two".to_owned()], None));
        notifier.handle_time(at(50), || status("two"));
        notifier.handle_time(at(50), || status("two"));
        assert_eq!((take(&supervisor), notifier.next_at()), (Vec::new(), None), "the same status is not sent again");
    }

    #[test]
    fn a_supervisor_that_reads_nothing_holds_nothing_up() {
        let (mut notifier, supervisor) = new(Some(10 * SECOND));
        while notifier.send("STATUS=full").is_ok() {}
        notifier.ready();
        notifier.handle_time(at(100), || None);
        assert_eq!(notifier.keep_alive_at, at(100) + 5 * SECOND / 4, "it is tried again soon");
        take(&supervisor);
        notifier.handle_time(at(102), || None);
        assert_eq!(take(&supervisor), ["WATCHDOG=1"]);
    }

    #[test]
    fn a_socket_has_a_path_or_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let supervisor = UnixDatagram::bind(&path).unwrap();
        connect(path.as_os_str().as_bytes()).unwrap().send(b"x").unwrap();
        assert_eq!(supervisor.recv(&mut [0; 9]).unwrap(), 1);
        for name in ["relative", "vsock:2:1", "/nonexistent", "@", "@readyloop-nonexistent", &"/long".repeat(100)] {
            assert!(connect(name.as_bytes()).is_err(), "{name}");
        }
    }
}
