//! The servers to compare: the command of each, and the running process.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ChildStdout;
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{io, thread};

use readyloop::Framing;

use super::interrupt::Interrupt;
use super::process::{Process, WaitError, wait_for};
use super::tracer::Tracer;
use crate::cli_error::io_message;
use crate::report::comparison::Server;
use crate::units::ParseError;

/// Timeout until a server listens.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of the end of a server after its output was closed.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// Time between two attempts to connect to a port.
const PORT_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Start of the output line with the address of a server.
const LISTENING: &str = "listening on tcp://";

/// Placeholder for the port in a command.
const PORT: &str = "{port}";

/// A server to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) name: String,
    command: String,
    program: Program,
}

/// The program that runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// This one, which is the first word. No word has a space.
    Readyloop,
    Shell,
}

/// A server that listens; dropping it kills its process.
pub(super) struct RunningServer {
    pub(super) address: String,
    pub(super) process: Process,
}

impl Contender {
    /// `readyloop serve` with this design and this framing.
    pub(super) fn design(design: &str, workers: Option<usize>, framing: Framing) -> Self {
        let workers = workers.filter(|_| design == "pool").map(|workers| format!(" --workers {workers}"));
        let workers = workers.unwrap_or_default();
        let framing = match framing {
            Framing::Raw(_) => String::new(),
            Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_) => format!(" --framing {framing}"),
        };
        let command = format!("readyloop serve --listen 127.0.0.1:0 --quiet --design {design}{workers}{framing}");
        Self { name: design.to_owned(), command, program: Program::Readyloop }
    }

    /// The server as part of a `Comparison`.
    pub(super) fn to_server(&self) -> Server {
        Server { name: self.name.clone(), command: self.command.clone() }
    }

    /// Starts the server on `core`, under `tracer` if there is one, and waits until it listens.
    ///
    /// # Errors
    /// The reason as a clause, such as `it cannot be started: …`.
    pub(super) fn start(
        &self,
        core: Option<usize>,
        tracer: Option<&Tracer>,
        interrupt: &Interrupt,
    ) -> Result<RunningServer, String> {
        let port = self.command.contains(PORT).then(free_port).transpose().map_err(|error| io_message(&error))?;
        let words = self.words(port).map_err(|error| io_message(&error))?;
        let tracer = tracer.map_or(&[][..], Tracer::words).iter().map(OsString::from);
        let spawned = Process::spawn(tracer.chain(words), core);
        let (mut process, output) = spawned.map_err(|error| format!("it cannot be started: {}", io_message(&error)))?;
        let addresses = addresses_in(output);
        let address = match port {
            Some(port) => wait_for_port(port, &mut process, &addresses, interrupt),
            None => wait_for(&addresses, START_TIMEOUT, interrupt),
        };
        match address {
            Ok(address) => Ok(RunningServer { address, process }),
            Err(WaitError::Ended) => {
                let end = process.wait_for_end(END_TIMEOUT).map(|end| format!("it ended with {end}"));
                Err(end.unwrap_or_else(|| "it closed its standard output".to_owned()))
            }
            Err(WaitError::Interrupted) => Err("it was interrupted".to_owned()),
            Err(WaitError::TimedOut) => {
                let last = process.last_error_line();
                let last = last.map_or_else(String::new, |line| format!("; its last error line: {line}"));
                Err(match port {
                    Some(port) => format!("it did not listen on 127.0.0.1:{port} within {START_TIMEOUT:?}{last}"),
                    None => format!("it did not print `{LISTENING}HOST:PORT` within {START_TIMEOUT:?}{last}"),
                })
            }
        }
    }

    fn words(&self, port: Option<u16>) -> io::Result<Vec<OsString>> {
        match self.program {
            Program::Readyloop => {
                let program = std::env::current_exe()?.into_os_string();
                Ok([program].into_iter().chain(self.command.split(' ').skip(1).map(OsString::from)).collect())
            }
            Program::Shell => {
                let port = port.map(|port| port.to_string()).unwrap_or_default();
                Ok(["sh", "-c", &self.command.replace(PORT, &port)].map(OsString::from).to_vec())
            }
        }
    }
}

/// Parses `NAME=COMMAND`.
impl FromStr for Contender {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once('=') {
            Some((name, command)) if !name.trim().is_empty() && !command.trim().is_empty() => {
                let (name, command) = (name.trim().to_owned(), command.trim().to_owned());
                Ok(Self { name, command, program: Program::Shell })
            }
            Some(_) | None => Err(ParseError::new(
                "not of the form NAME=COMMAND",
                "use a name, `=` and a command, such as 'other=./other-server --port {port}'",
            )),
        }
    }
}

/// Sends the first printed address, and reads to the end so that the server never blocks on a full pipe.
fn addresses_in(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        let mut sender = Some(sender);
        while let Ok(1..) = output.by_ref().take(64 * 1024).read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line);
            if let Some(address) = text.trim_end().strip_prefix(LISTENING) {
                // Only the first address is sent. The receiver may be gone.
                let _ = sender.take().map(|sender| sender.send(address.to_owned()));
            }
            line.clear();
        }
    });
    receiver
}

/// Waits until a connect to `port` succeeds, or the server prints an address or ends.
///
/// The server may close its output.
fn wait_for_port(
    port: u16,
    process: &mut Process,
    addresses: &Receiver<String>,
    interrupt: &Interrupt,
) -> Result<String, WaitError> {
    let deadline = Instant::now() + START_TIMEOUT;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    loop {
        match wait_for(addresses, PORT_CHECK_INTERVAL, interrupt) {
            Ok(address) => return Ok(address),
            Err(WaitError::Ended) => thread::park_timeout(PORT_CHECK_INTERVAL),
            Err(WaitError::TimedOut | WaitError::Interrupted) => {}
        }
        if TcpStream::connect_timeout(&address, START_TIMEOUT).is_ok() {
            return Ok(address.to_string());
        }
        if process.end().is_some() {
            return Err(WaitError::Ended);
        }
        if interrupt.is_set() {
            return Err(WaitError::Interrupted);
        }
        if deadline < Instant::now() {
            return Err(WaitError::TimedOut);
        }
    }
}

/// A port that is free at the moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
