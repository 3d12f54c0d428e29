//! Runs every example and compares its output with the header comment of its source.
//!
//! An example is of one of three kinds:
//!
//! - A server prints `listening on …`. It is started on a free port, gets requests, and is interrupted.
//!   The rows `request  →  reply` of the `text` block in its header are the requests. Without such rows
//!   it must be an echo server.
//! - A client has a command with `-- serve` in its header. This server is started, and the example gets
//!   its address as an argument and must exit.
//! - All other examples are started without arguments and must exit.
//!
//! Clients and others must exit with status 0. They must print the lines of the `text` block in their
//! header, in this order, possibly with other lines between. `…` matches any text.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Program, ScratchPath, Serve, TIMEOUT, connect};

/// The deadline of an example. Some compute for seconds.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// The placeholder for any text.
const ANYTHING: char = '…';

/// Arguments after the address, where the default is too large for small machines.
const EXTRA_ARGUMENTS: [(&str, &str); 1] = [("11_many_clients", "500")];

pub(crate) struct Example {
    name: String,
    path: PathBuf,
    source: String,
}

impl Example {
    /// All examples of the folder, in the order of their names.
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let entries = fs::read_dir(folder).expect("the folder exists");
        let paths = entries.map(|entry| entry.expect("the folder can be read").path());
        // A folder without a program has files for other programs.
        let programs = paths.filter(|path| path.is_file() || path.join("main.rs").exists());
        let mut all: Vec<Self> = programs.map(Self::of).collect();
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all
    }

    pub(crate) fn of(path: PathBuf) -> Self {
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        // An example of several files is a folder.
        let path = if path.is_dir() { path.join("main.rs") } else { path };
        let source = fs::read_to_string(&path).expect("an example is a text file");
        Self { name, path, source }
    }

    /// The lines of the header comment.
    fn header(&self) -> Vec<&str> {
        let header = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        header.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect()
    }

    /// The non-empty lines of the `text` block in the header.
    fn text(&self) -> Vec<String> {
        let header = self.header();
        let block = header.iter().skip_while(|line| **line != "```text").skip(1);
        let text = block.take_while(|line| **line != "```").filter(|line| !line.trim().is_empty());
        text.map(|line| (*line).to_owned()).collect()
    }

    /// The requests to a server and its replies.
    fn requests(&self) -> Vec<(String, String)> {
        let rows = self.text();
        let rows = rows.iter().filter_map(|row| row.split_once(" →  "));
        let mut rows: Vec<_> = rows.map(|(request, reply)| (request.trim().to_owned(), reply.to_owned())).collect();
        if rows.is_empty() {
            rows.push(("hello".to_owned(), "hello".to_owned()));
        }
        rows
    }

    fn is_server(&self) -> bool {
        self.source.contains("\"listening on ")
    }

    /// The flags of the `serve` command that a client needs.
    fn serve_flags(&self) -> Option<String> {
        let header = self.header().join(" ");
        let (_, rest) = header.split_once("-- serve")?;
        rest.split_once('`').map(|(flags, _)| flags.to_owned())
    }

    /// The path of its program, which must not be older than its source.
    #[track_caller]
    pub(crate) fn program(&self) -> String {
        let own = std::env::current_exe().expect("the test binary has a path");
        // The test binary is in `deps`. The examples have a folder next to it.
        let path = own.ancestors().nth(2).expect("the path has two parents").join("examples").join(&self.name);
        let time_of = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let is_new = time_of(&path).is_some_and(|built| time_of(&self.path).is_some_and(|written| built >= written));
        assert!(is_new, "it is not built: run `cargo test` or `cargo build --examples`");
        path.to_string_lossy().into_owned()
    }

    #[track_caller]
    fn run(&self) {
        let header = self.header();
        assert!(!header.is_empty() && header.iter().any(|line| line.contains(&format!("--example {}", self.name))));
        let more = EXTRA_ARGUMENTS.iter().filter(|(name, _)| *name == self.name).map(|(_, argument)| *argument);
        if self.is_server() {
            self.run_server();
        } else if let Some(flags) = self.serve_flags() {
            let server = Serve::new().with(&flags).start();
            let mut arguments = vec![server.address().to_string()];
            arguments.extend(more.map(str::to_owned));
            self.run_until_exit(&arguments);
            server.drain();
        } else {
            self.run_until_exit(&[]);
        }
    }

    #[track_caller]
    fn run_until_exit(&self, arguments: &[String]) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut running = Program::start(&self.program(), &arguments);
        let code = running.wait(LONG);
        let (out, errors) = (running.out.all(), running.errors.all().join("\n"));
        assert_eq!(code, Some(0), "{}\n{errors}", out.join("\n"));
        assert!(!out.is_empty(), "it prints nothing");
        let mut rest = out.iter();
        for line in self.text() {
            let is_there = rest.any(|printed| matches(&line, printed));
            assert!(is_there, "no `{line}`, or not in this order, in:\n{}", out.join("\n"));
        }
    }

    /// Starts it on a free port, with further arguments.
    #[track_caller]
    fn start_server(&self, arguments: &[&str]) -> (Program, SocketAddr) {
        let running = Program::start(&self.program(), &[&["127.0.0.1:0"], arguments].concat());
        running.prints("listening on ");
        let out = running.out.all();
        let (_, address) = out[0].split_once("listening on ").expect("it is the first line");
        let address = address.trim_start_matches("tcp://").parse().expect("an address follows");
        (running, address)
    }

    #[track_caller]
    fn run_server(&self) {
        let (mut running, address) = self.start_server(&[]);
        let mut peer = connect(address);
        let mut replies = BufReader::new(peer.try_clone().expect("a descriptor is free")).lines();
        for (request, expected) in self.requests() {
            if !request.is_empty() {
                writeln!(peer, "{request}").expect("the server reads");
            }
            let reply = replies.next().expect("the connection is open").expect("the server replies in time");
            assert!(matches(&expected, &reply), "the reply to `{request}` is `{reply}`, not `{expected}`");
        }
        drop((peer, replies));
        // A shell without job control starts background jobs with SIGINT ignored (POSIX, sh).
        running.signal(if self.source.contains("SIGINT") { "INT" } else { "TERM" });
        let code = running.wait(TIMEOUT);
        // Without a handler, the signal ends the process.
        assert!(matches!(code, Some(0) | None), "{code:?}: {}", running.errors.all().join("\n"));
    }
}

/// Whether `line` matches `pattern`, in which [`ANYTHING`] matches any text.
pub(crate) fn matches(pattern: &str, line: &str) -> bool {
    let (pattern, line) = (pattern.trim_end(), line.trim_end());
    let mut parts = pattern.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[test]
fn every_example_does_what_its_header_says() {
    let all = Example::all();
    assert!(all.len() > 10);
    let fails = |example: &&Example| {
        eprintln!("{}", example.name);
        // A failure does not stop the others, so that one run reports all failures.
        catch_unwind(AssertUnwindSafe(|| example.run())).is_err()
    };
    let failed: Vec<&str> = all.iter().filter(fails).map(|example| example.name.as_str()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn the_keys_of_a_drained_server_are_there_after_a_restart() {
    let snapshot = ScratchPath::new("snapshot");
    let example = Example::of(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/24_kv"));
    let exchange = |requests: &str, expected: &[&str]| {
        let (mut running, address) = example.start_server(&[snapshot.text()]);
        let mut peer = connect(address);
        peer.write_all(requests.as_bytes()).expect("the server reads");
        let replies = BufReader::new(peer).lines().take(expected.len());
        let received: Vec<String> = replies.map(|line| line.expect("the server replies in time")).collect();
        assert_eq!(received, expected);
        running.signal("TERM");
        assert_eq!(running.wait(TIMEOUT), Some(0), "{}", running.errors.all().join("\n"));
    };
    exchange("SET color green\nSET count 7\nEXPIRE count 600\nDEL color\n", &["+OK", "+OK", ":1", ":1"]);
    exchange("GET color\nGET count\n", &["$-1", "$1", "7"]);
}

#[test]
fn a_server_with_the_protocol_of_redis_can_be_measured() {
    let (request, answer) =
        (ScratchPath::with_text("request", "PING\r\n"), ScratchPath::with_text("answer", "+PONG\r\n"));
    let example = Example::of(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/24_kv"));
    let (mut running, address) = example.start_server(&[]);
    let file = format!("file:{}", answer.text());
    for expect in [r"until:\r\n", "length:7", &file] {
        let bench = format!("bench {address} -n 2000 -c 5 -p 4 --request {} --expect {expect}", request.text());
        let ended = Serve::command(&bench).run();
        assert_eq!(ended.code, Some(0), "{expect}: {}", ended.log_text());
        assert!(ended.out[0].contains("`PING\\r\\n`, answer "), "{}", ended.out[0]);
    }
    let bench = format!("bench {address} -n 10 -c 1 --request {}", request.text());
    let ended = Serve::command(&bench).run();
    assert_eq!(ended.code, Some(1), "it is no echo server: {}", ended.log_text());
    running.signal("TERM");
    assert_eq!(running.wait(TIMEOUT), Some(0), "{}", running.errors.all().join("\n"));
}

#[test]
fn the_kind_of_each_example_is_recognized() {
    let all = Example::all();
    for (name, is_server, is_client) in [
        ("01_by_hand", false, false),
        ("04_echo", true, false),
        ("11_many_clients", false, true),
        ("15_tls_chat", false, false),
    ] {
        let example = all.iter().find(|example| example.name == name).expect("the example exists");
        assert_eq!((example.is_server(), example.serve_flags().is_some()), (is_server, is_client), "{name}");
    }
}

#[test]
fn lines_are_compared_with_patterns() {
    let equal = [("a", "a"), ("a…", "abc"), ("…c", "abc"), ("a…c…e", "abcde"), ("…", ""), ("a … c ", "a b c")];
    for (pattern, line) in equal {
        assert!(matches(pattern, line), "{pattern}: {line}");
    }
    for (pattern, line) in [("a", "ab"), ("a…", "ba"), ("…c", "cb"), ("a…x…e", "abcde"), ("ab…ba", "aba")] {
        assert!(!matches(pattern, line), "{pattern}: {line}");
    }
}
