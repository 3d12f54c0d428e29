//! `readyloop client` as a child process with pipes for its standard streams.
//!
//! Dropping it kills the process, so that no test leaves one behind.

use std::fmt::Display;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::support::{Lines, Process, TIMEOUT};

/// The exit status after a failure.
pub(super) const FAILURE: i32 = 1;

/// A listener on a free port, for a peer with special behavior.
pub(super) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Accepts a connection and sets its timeouts.
#[track_caller]
pub(super) fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("the client connects");
    stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    stream.set_write_timeout(Some(TIMEOUT)).expect("not zero");
    stream
}

/// An input without an end.
pub(super) fn zeros() -> Stdio {
    File::open("/dev/zero").expect("every Linux has it").into()
}

/// Closes a connection with a reset.
pub(super) fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("the connection is open");
}

/// The command line of a client.
pub(super) struct Client {
    command: Command,
}

impl Client {
    /// A client for this address.
    pub(super) fn to(address: impl Display) -> Self {
        Self::with_arguments(&format!("client {address}"))
    }

    /// `readyloop` with these arguments.
    pub(super) fn with_arguments(arguments: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
        command.args(arguments.split_whitespace()).env_remove("RUST_LOG").env_remove("READYLOOP_HISTORY");
        Self { command }
    }

    /// Adds arguments, separated by spaces.
    pub(super) fn with(mut self, arguments: &str) -> Self {
        self.command.args(arguments.split_whitespace());
        self
    }

    pub(super) fn stdout(self, stdout: impl Into<Stdio>) -> Running {
        self.spawn(Stdio::piped(), stdout.into())
    }

    /// Starts it with pipes at both ends.
    pub(super) fn start(self) -> Running {
        self.spawn(Stdio::piped(), Stdio::piped())
    }

    /// Runs it with this input until it exits.
    #[track_caller]
    pub(super) fn fed(self, input: &[u8]) -> Ran {
        let mut running = self.start();
        let mut stdin = running.input.take().expect("it is a pipe");
        let input = input.to_vec();
        // Fails if the client exits early, which the test judges.
        thread::spawn(move || stdin.write_all(&input));
        running.wait()
    }

    /// Runs it with this standard input until it exits.
    #[track_caller]
    pub(super) fn reading(self, stdin: impl Into<Stdio>) -> Ran {
        self.spawn(stdin.into(), Stdio::piped()).wait()
    }

    /// Starts it on other streams, such as those of a terminal.
    pub(super) fn spawn(mut self, stdin: Stdio, stdout: Stdio) -> Running {
        let started = Instant::now();
        let mut child =
            self.command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().expect("the command starts");
        let process = Process { pid: child.id() };
        let log = Lines::of(child.stderr.take().expect("standard error is a pipe"));
        let (input, out) = (child.stdin.take(), child.stdout.take());
        Running { child, process, input, out, log, started }
    }
}

/// A client that runs.
pub(super) struct Running {
    child: Child,
    pub(super) process: Process,
    pub(super) input: Option<ChildStdin>,
    pub(super) out: Option<ChildStdout>,
    pub(super) log: Lines,
    started: Instant,
}

impl Running {
    #[track_caller]
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.as_mut().expect("its input is a pipe").write_all(bytes).expect("it reads");
    }

    /// Checks the next bytes that it prints.
    #[track_caller]
    pub(super) fn prints(&mut self, expected: &[u8]) {
        let mut bytes = vec![0; expected.len()];
        self.out.as_mut().expect("its output is a pipe").read_exact(&mut bytes).expect("it prints as many bytes");
        assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    /// Closes its input and waits for its output and its exit.
    #[track_caller]
    pub(super) fn wait(mut self) -> Ran {
        self.input = None;
        let reader = self.out.take().map(|mut out| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                out.read_to_end(&mut bytes).map(|_| bytes)
            })
        });
        assert!(self.log.wait_for_the_end(TIMEOUT), "it has not exited:\n{}", self.log.all().join("\n"));
        let status = self.child.wait().expect("the child is ours to wait for");
        let out = reader.map_or_else(Vec::new, |reader| reader.join().expect("no panic").expect("a pipe can be read"));
        Ran { code: status.code(), out, log: self.log.all(), took: self.started.elapsed() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if the process has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that has exited.
#[derive(Debug)]
pub(super) struct Ran {
    /// `None` if a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) out: Vec<u8>,
    pub(super) log: Vec<String>,
    pub(super) took: Duration,
}

impl Ran {
    /// Checks for success, this output and an empty standard error.
    #[track_caller]
    pub(super) fn printed(&self, expected: &[u8]) {
        assert_eq!((self.code, self.log.join("\n")), (Some(0), String::new()));
        assert_eq!(self.out.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    /// Checks for exit status `code`, one error line with all `parts`, one hint, and nothing else.
    #[track_caller]
    pub(super) fn failed(&self, code: i32, parts: &[&str]) {
        let text = self.log.join("\n");
        assert_eq!(self.code, Some(code), "{text}");
        let [error, hint] = &self.log[..] else { panic!("not two lines:\n{text}") };
        assert!(error.starts_with("readyloop: error: ") && hint.starts_with("hint: "), "{text}");
        for part in parts {
            assert!(error.contains(part), "no `{part}` in: {error}");
        }
    }
}
