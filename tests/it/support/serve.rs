//! `readyloop serve` as a child process: its start, its output and its exit.
//!
//! A server is killed on drop, so that no test leaves one behind.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::lines::Lines;
use super::machine::{self, SharedMachine};
use super::process::wait_for_exit;
use super::{Process, Summary, TIMEOUT, wait_until};

/// The command that starts a server.
pub(crate) struct Serve {
    /// Shell words before the command.
    prelude: String,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    listeners: usize,
    stdout: Stdio,
}

impl Serve {
    /// `readyloop serve` without arguments, which listens on the default port.
    pub(crate) fn bare() -> Self {
        Self::command("serve")
    }

    /// `readyloop` with these arguments, separated by spaces.
    pub(crate) fn command(words: &str) -> Self {
        let (prelude, stdout) = ("exec".to_owned(), Stdio::piped());
        Self { prelude, args: Vec::new(), environment: Vec::new(), listeners: 0, stdout }.with(words)
    }

    /// A server on a free port of 127.0.0.1.
    pub(crate) fn new() -> Self {
        Self::bare().listen("tcp://127.0.0.1:0")
    }

    pub(crate) fn listen(self, address: &str) -> Self {
        let mut more = self.arg("--listen").arg(address);
        more.listeners += 1;
        more
    }

    /// Expects this number of listeners from other sources than `--listen`.
    pub(crate) fn expect_listeners(mut self, listeners: usize) -> Self {
        self.listeners = listeners;
        self
    }

    /// Adds arguments, separated by spaces.
    pub(crate) fn with(mut self, words: &str) -> Self {
        self.args.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds one argument, which may contain spaces.
    pub(crate) fn arg(mut self, word: &str) -> Self {
        self.args.push(word.to_owned());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the soft and the hard limit on descriptors.
    pub(crate) fn descriptors(mut self, count: usize) -> Self {
        self.prelude = format!("ulimit -n {count} && {}", self.prelude);
        self
    }

    /// Sets the soft limit on descriptors.
    pub(crate) fn soft_descriptors(mut self, count: usize) -> Self {
        self.prelude = format!("ulimit -S -n {count} && {}", self.prelude);
        self
    }

    /// Sets the limit on the length of files, in blocks of 512 bytes.
    pub(crate) fn file_blocks(mut self, count: usize) -> Self {
        self.prelude = format!("ulimit -f {count} && {}", self.prelude);
        self
    }

    /// Runs it under another program, which must not change its process number.
    pub(crate) fn under(mut self, program: &str) -> Self {
        self.prelude = format!("{} {program}", self.prelude);
        self
    }

    pub(crate) fn stdout(mut self, stdout: Stdio) -> Self {
        self.stdout = stdout;
        self
    }

    /// Starts it without waiting until it listens.
    pub(crate) fn spawn(self) -> Server {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{} \"$0\" \"$@\"", self.prelude));
        command.arg(env!("CARGO_BIN_EXE_readyloop")).args(&self.args);
        for (name, _) in std::env::vars_os() {
            if name == "RUST_LOG" || name.to_string_lossy().starts_with("READYLOOP_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment).stdin(Stdio::null()).stdout(self.stdout);
        Server::of(command)
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(self) -> Server {
        self.try_start()
            .unwrap_or_else(|ended| panic!("the server has exited with {:?}:\n{}", ended.code, ended.log_text()))
    }

    /// Starts it and waits until it listens or has exited.
    #[track_caller]
    pub(crate) fn try_start(self) -> Result<Server, Ended> {
        let listeners = self.listeners;
        let mut server = self.spawn();
        let out = server.out.clone().expect("stdout is a pipe");
        if !out.wait_for(TIMEOUT, |lines| lines.len() >= listeners) {
            return Err(server.wait(TIMEOUT));
        }
        server.addresses = addresses(&out.all());
        assert_eq!(server.addresses.len(), listeners, "unexpected lines: {:?}", out.all());
        Ok(server)
    }

    /// Starts a command that exits by itself, and waits for its exit.
    #[track_caller]
    pub(crate) fn run(self) -> Ended {
        self.run_within(TIMEOUT)
    }

    /// Like [`run`](Self::run), with another deadline.
    #[track_caller]
    pub(crate) fn run_within(self, within: Duration) -> Ended {
        self.spawn().wait(within)
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) process: Process,
    /// The addresses that it has printed, in order.
    pub(crate) addresses: Vec<String>,
    out: Option<Lines>,
    pub(crate) log: Lines,
    started: Instant,
    _share: SharedMachine,
}

/// The addresses in the lines of the standard output.
fn addresses(lines: &[String]) -> Vec<String> {
    lines.iter().filter_map(|line| line.strip_prefix("listening on ")).map(str::to_owned).collect()
}

impl Server {
    fn of(mut command: Command) -> Self {
        let share = machine::shared_machine();
        let started = Instant::now();
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the command starts");
        let out = child.stdout.take().map(Lines::of);
        let log = Lines::of(child.stderr.take().expect("stderr is a pipe"));
        let process = Process { pid: child.id() };
        Self { child, process, addresses: Vec::new(), out, log, started, _share: share }
    }

    /// Starts a server that a test implements itself, by a command of [`own_process`](super::own_process).
    #[track_caller]
    pub(crate) fn in_own_process(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        let mut server = Self::of(command);
        let out = server.out.clone().expect("stdout is a pipe");
        let listens = out.wait_for(TIMEOUT, |lines| !addresses(lines).is_empty());
        assert!(listens, "the server does not listen: {:?}", out.all());
        server.addresses = addresses(&out.all());
        server
    }

    /// The socket address of its first TCP listener.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        let tcp = self.addresses.iter().find_map(|address| address.strip_prefix("tcp://"));
        tcp.and_then(|address| address.parse().ok()).expect("the server listens on a TCP address")
    }

    /// The address of its administration endpoint, without `tcp://`.
    #[track_caller]
    pub(crate) fn administration(&self) -> String {
        let out = self.out.as_ref().expect("stdout is a pipe");
        let find =
            |lines: &[String]| lines.iter().find_map(|line| line.strip_prefix("administration on ")).map(str::to_owned);
        assert!(out.wait_for(TIMEOUT, |lines| find(lines).is_some()), "no endpoint: {:?}", out.all());
        find(&out.all()).map(|address| address.trim_start_matches("tcp://").to_owned()).expect("it was just found")
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> TcpStream {
        super::connect(self.address())
    }

    pub(crate) fn signal(&self, name: &str) {
        super::signal(self.process.pid, name);
    }

    /// Waits until a line of its log contains `text`.
    #[track_caller]
    pub(crate) fn logs(&self, text: &str) {
        let logged = self.log.wait_for(TIMEOUT, |lines| lines.iter().any(|line| line.contains(text)));
        assert!(logged, "no `{text}` in the log:\n{}", self.log.all().join("\n"));
    }

    /// Waits until it has no more descriptors than `base`.
    #[track_caller]
    pub(crate) fn descriptors_return_to(&self, base: usize) {
        wait_until(Duration::from_secs(2), "descriptors are back at their base", || self.process.descriptors() <= base);
    }

    /// Waits until it exits.
    #[track_caller]
    pub(crate) fn wait(mut self, within: Duration) -> Ended {
        let waiting = Instant::now();
        assert!(self.log.wait_for_the_end(within), "the server has not exited within {within:?}");
        let status = wait_for_exit(&mut self.child, TIMEOUT);
        let took = waiting.elapsed();
        let out = self.out.take().map_or_else(Vec::new, |out| {
            out.wait_for_the_end(TIMEOUT);
            out.all()
        });
        Ended { code: status.code(), out, log: self.log.all(), took, lived: self.started.elapsed() }
    }

    /// Drains it by SIGTERM and waits until it exits with status 0.
    #[track_caller]
    pub(crate) fn drain(self) -> Ended {
        self.signal("TERM");
        let ended = self.wait(TIMEOUT);
        assert_eq!(ended.code, Some(0), "after SIGTERM:\n{}", ended.log_text());
        ended.check_log_rate();
        ended
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Has no effect if it has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let lines = self.log.all();
            let end = &lines[lines.len().saturating_sub(40)..];
            eprintln!("the end of the server's log:\n    {}", end.join("\n    "));
        }
    }
}

/// A command that has exited.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<String>,
    pub(crate) log: Vec<String>,
    /// The time from the call of [`Server::wait`] to the exit.
    pub(crate) took: Duration,
    lived: Duration,
}

impl Ended {
    pub(crate) fn log_text(&self) -> String {
        self.log.join("\n")
    }

    #[track_caller]
    pub(crate) fn summary(&self) -> Summary {
        Summary::among(&self.log)
    }

    /// Checks that the log has at most 10 lines a second, plus 20 for start and exit.
    #[track_caller]
    pub(crate) fn check_log_rate(&self) {
        let allowed = 20 + self.lived.as_secs() as usize * 10;
        assert!(self.log.len() <= allowed, "{} lines in {:?}:\n{}", self.log.len(), self.lived, self.log_text());
    }
}
