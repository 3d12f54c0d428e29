//! The command of a server, and the running process: started, and waited for until it listens.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ChildStdout;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{io, thread};

use thiserror::Error;

use super::interrupt::Interrupt;
use super::lines::for_each_line;
use super::process::{Process, WaitError, wait_for};
use crate::cli_error::io_message;
use crate::units::print_duration;

/// Timeout until a server listens.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of the end of a server after its output was closed.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// Time between two attempts to connect to a port.
const PORT_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Start of the output line with the address of a server.
const LISTENING: &str = "listening on tcp://";

/// The same, for a server with TLS.
const LISTENING_TLS: &str = "listening on tls://";

/// Placeholder for the port in a command.
const PORT: &str = "{port}";

/// Placeholders for the files of a certificate and of its key.
const CERT: &str = "{cert}";
const KEY: &str = "{key}";

/// The command of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerCommand {
    pub(crate) text: String,
    program: Program,
}

/// The program that runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// This one, which is the first word. No word has a space.
    Readyloop,
    Shell,
}

/// How a server is started. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StartOptions<'a> {
    /// The cores that it is pinned to; if empty, it runs on any.
    pub(crate) cores: &'a [usize],
    /// Words of a program that runs the command, such as a tracer.
    pub(crate) wrapper: &'a [&'a str],
    /// The most descriptors that the server may have.
    pub(crate) descriptors: Option<u64>,
    /// The port that replaces {port}; without it, a free one.
    pub(crate) port: Option<u16>,
    /// The files that replace {cert} and {key}. With them, the server may print a tls:// address.
    pub(crate) certificate: Option<(&'a Path, &'a Path)>,
}

/// A server that listens; dropping it kills its process.
pub(crate) struct RunningServer {
    pub(crate) address: String,
    pub(crate) process: Process,
}

/// Why a server does not listen. It prints as a clause.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// This machine does not start the command.
    #[error("it cannot be started: {}", io_message(.0))]
    System(#[from] io::Error),
    /// The command does not do its part.
    #[error("{0}")]
    Server(String),
}

impl ServerCommand {
    /// A command of this program, such as `readyloop serve`.
    pub(crate) fn of_readyloop(text: String) -> Self {
        Self { text, program: Program::Readyloop }
    }

    /// A command that a shell runs.
    pub(crate) fn of_shell(text: &str) -> Self {
        Self { text: text.to_owned(), program: Program::Shell }
    }

    /// Whether a port replaces {port} in the command.
    pub(crate) fn has_port(&self) -> bool {
        self.text.contains(PORT)
    }

    /// Whether the files of a certificate or a key replace a placeholder in the command.
    pub(crate) fn has_certificate(&self) -> bool {
        self.text.contains(CERT) || self.text.contains(KEY)
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// The command cannot be started, or the server does not listen.
    pub(crate) fn start(&self, options: StartOptions<'_>, interrupt: &Interrupt) -> Result<RunningServer, StartError> {
        let port = self.has_port().then(|| options.port.map_or_else(free_port, Ok)).transpose()?;
        let words = options.wrapper.iter().map(OsString::from).chain(self.words(port, options.certificate)?);
        let (mut process, output) = Process::spawn(words, options.cores, options.descriptors)?;
        let addresses = addresses_in(output, options.certificate.is_some());
        let address = match port {
            Some(port) => wait_for_port(port, &mut process, &addresses, interrupt),
            None => wait_for(&addresses, START_TIMEOUT, interrupt),
        };
        let reason = match address {
            Ok(address) => return Ok(RunningServer { address, process }),
            Err(WaitError::Ended) => {
                let end = process.wait_for_end(END_TIMEOUT).map(|end| format!("it ended with {end}"));
                end.unwrap_or_else(|| "it closed its standard output".to_owned())
            }
            Err(WaitError::Interrupted) => "it was interrupted".to_owned(),
            Err(WaitError::TimedOut) => {
                let last = process.last_error_line();
                let last = last.map_or_else(String::new, |line| format!("; its last error line: {line}"));
                let timeout = print_duration(START_TIMEOUT);
                match port {
                    Some(port) => format!("it did not listen on 127.0.0.1:{port} within {timeout}{last}"),
                    None => format!("it did not print `{LISTENING}HOST:PORT` within {timeout}{last}"),
                }
            }
        };
        Err(StartError::Server(reason))
    }

    fn words(&self, port: Option<u16>, certificate: Option<(&Path, &Path)>) -> io::Result<Vec<OsString>> {
        let mut text = self.text.clone();
        if let Some((cert, key)) = certificate {
            text = text.replace(CERT, &cert.to_string_lossy()).replace(KEY, &key.to_string_lossy());
        }
        match self.program {
            Program::Readyloop => {
                let program = std::env::current_exe()?.into_os_string();
                Ok([program].into_iter().chain(text.split(' ').skip(1).map(OsString::from)).collect())
            }
            Program::Shell => {
                let port = port.map(|port| port.to_string()).unwrap_or_default();
                Ok(["sh", "-c", &text.replace(PORT, &port)].map(OsString::from).to_vec())
            }
        }
    }
}

/// Sends the first printed address, and reads to the end so that the server never blocks on a full pipe.
fn addresses_in(output: ChildStdout, has_tls: bool) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut sender = Some(sender);
        for_each_line(output, |line| {
            let tls = || line.strip_prefix(LISTENING_TLS).filter(|_| has_tls);
            if let Some(address) = line.strip_prefix(LISTENING).or_else(tls) {
                // Only the first address is sent. The receiver may be gone.
                let _ = sender.take().map(|sender| sender.send(address.to_owned()));
            }
        });
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
        if TcpStream::connect_timeout(&address, START_TIMEOUT).is_ok_and(|stream| is_to_a_server(&stream)) {
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

/// Whether the other end is another socket. A connect to a free port of this machine may have that port itself.
fn is_to_a_server(stream: &TcpStream) -> bool {
    stream.local_addr().ok() != stream.peer_addr().ok()
}

/// A port that is free at the moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
