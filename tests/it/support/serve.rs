//! `readyloop serve` as a child process: how it is started, what it said, how it ended.
//!
//! A server that is dropped is killed, so that no test leaves one behind.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::lines::Lines;
use super::machine::{self, SharedMachine};
use super::{Process, Summary, TIMEOUT, wait_until};

/// How a server is to be started.
pub(crate) struct Serve {
    /// Shell words before the command.
    prelude: String,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    listeners: usize,
    stdout: Stdio,
}

impl Serve {
    /// `readyloop serve` with nothing else: it would listen on its default port.
    pub(crate) fn bare() -> Self {
        Self::command("serve")
    }

    /// `readyloop` with these words.
    pub(crate) fn command(words: &str) -> Self {
        let bare = Self {
            prelude: "exec".to_owned(),
            args: Vec::new(),
            environment: Vec::new(),
            listeners: 0,
            stdout: Stdio::piped(),
        };
        bare.with(words)
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

    /// It will listen on so many addresses that no flag names.
    pub(crate) fn expect_listeners(mut self, listeners: usize) -> Self {
        self.listeners = listeners;
        self
    }

    /// Adds words that hold no blanks.
    pub(crate) fn with(mut self, words: &str) -> Self {
        self.args.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds one word, with any blanks in it.
    pub(crate) fn arg(mut self, word: &str) -> Self {
        self.args.push(word.to_owned());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The most descriptors it may have: both limits.
    pub(crate) fn descriptors(mut self, count: usize) -> Self {
        self.prelude = format!("ulimit -n {count} && {}", self.prelude);
        self
    }

    /// The soft limit on descriptors, which it may raise.
    pub(crate) fn soft_descriptors(mut self, count: usize) -> Self {
        self.prelude = format!("ulimit -S -n {count} && {}", self.prelude);
        self
    }

    /// Runs it under another program, which must keep its process number.
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
        self.try_start().unwrap_or_else(|ended| panic!("it has ended with {:?}:\n{}", ended.code, ended.log_text()))
    }

    /// Starts it and waits until it listens or has ended.
    #[track_caller]
    pub(crate) fn try_start(self) -> Result<Server, Ended> {
        let listeners = self.listeners;
        let mut server = self.spawn();
        let out = server.out.clone().expect("its standard output is ours to read");
        if !out.wait_for(TIMEOUT, |lines| lines.len() >= listeners) {
            return Err(server.wait(TIMEOUT));
        }
        server.addresses = addresses(&out.all());
        assert_eq!(server.addresses.len(), listeners, "other lines than expected: {:?}", out.all());
        Ok(server)
    }

    /// Starts what should end by itself and waits for that.
    #[track_caller]
    pub(crate) fn run(self) -> Ended {
        self.run_within(TIMEOUT)
    }

    /// The same for what takes its time.
    #[track_caller]
    pub(crate) fn run_within(self, within: Duration) -> Ended {
        self.spawn().wait(within)
    }
}

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    pub(crate) process: Process,
    /// Where it says it listens, in order.
    pub(crate) addresses: Vec<String>,
    out: Option<Lines>,
    pub(crate) log: Lines,
    started: Instant,
    _share: SharedMachine,
}

/// Where those lines say it listens.
fn addresses(lines: &[String]) -> Vec<String> {
    lines.iter().filter_map(|line| line.strip_prefix("listening on ")).map(str::to_owned).collect()
}

impl Server {
    /// What that command starts.
    fn of(mut command: Command) -> Self {
        let share = machine::shared_machine();
        let started = Instant::now();
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the command starts");
        let out = child.stdout.take().map(Lines::of);
        let log = Lines::of(child.stderr.take().expect("stderr is a pipe"));
        let process = Process { pid: child.id() };
        Self { child, process, addresses: Vec::new(), out, log, started, _share: share }
    }

    /// A server of a test's own, in the process that such a command starts: see `own_process`.
    #[track_caller]
    pub(crate) fn in_own_process(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        let mut server = Self::of(command);
        let out = server.out.clone().expect("its standard output is ours to read");
        let listens = out.wait_for(TIMEOUT, |lines| !addresses(lines).is_empty());
        assert!(listens, "it does not listen: {:?}", out.all());
        server.addresses = addresses(&out.all());
        server
    }

    /// The socket address of its only or first TCP listener.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        let tcp = self.addresses.iter().find_map(|address| address.strip_prefix("tcp://"));
        tcp.and_then(|address| address.parse().ok()).expect("it listens on a TCP address")
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
        let said = self.log.wait_for(TIMEOUT, |lines| lines.iter().any(|line| line.contains(text)));
        assert!(said, "nothing of `{text}` in the log:\n{}", self.log.all().join("\n"));
    }

    /// Waits until it has no more descriptors than `base`.
    #[track_caller]
    pub(crate) fn descriptors_return_to(&self, base: usize) {
        wait_until(Duration::from_secs(2), "descriptors are back to base", || self.process.descriptors() <= base);
    }

    /// Waits until it ends.
    #[track_caller]
    pub(crate) fn wait(mut self, within: Duration) -> Ended {
        let asked = Instant::now();
        assert!(self.log.wait_for_the_end(within), "it has not ended within {within:?}");
        let status = self.child.wait().expect("the child is ours to wait for");
        let took = asked.elapsed();
        // A full end: what was printed last is read as well.
        let out = self.out.take().map_or_else(Vec::new, |out| {
            out.wait_for_the_end(TIMEOUT);
            out.all()
        });
        Ended { code: status.code(), out, log: self.log.all(), took, lived: self.started.elapsed() }
    }

    /// Asks it to finish and waits until it has, as it should.
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
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let lines = self.log.all();
            let mut text = String::new();
            for line in &lines[lines.len().saturating_sub(40)..] {
                let _ = writeln!(text, "    {line}");
            }
            eprintln!("the end of the server's log:\n{text}");
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Unset when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<String>,
    pub(crate) log: Vec<String>,
    /// From the wait for its end to its end.
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

    /// At most 10 lines a second, beside those of the start and the end.
    #[track_caller]
    pub(crate) fn check_log_rate(&self) {
        let allowed = 20 + self.lived.as_secs() as usize * 10;
        assert!(self.log.len() <= allowed, "{} lines in {:?}:\n{}", self.log.len(), self.lived, self.log_text());
    }
}
