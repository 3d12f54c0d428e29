//! Restart in place, and sockets that another process has passed on.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use readyloop::net::inherited::{PassedSocket, pass_sockets};
use serde_json::Value;

use crate::support::tls::Secure;
use crate::support::{Program, ScratchPath, Serve, Server, TIMEOUT, connect, signal, wait_until};

/// A server and its successors. The last one is killed on drop.
pub(crate) struct Restarted {
    server: Server,
    /// How many successors have been started.
    starts: usize,
}

impl Restarted {
    pub(crate) fn new(server: Server) -> Self {
        Self { server, starts: 0 }
    }

    /// The numbers of the successors so far.
    fn successors(&self) -> Vec<u32> {
        let lines = self.server.log.all();
        let started = lines.iter().filter_map(|line| line.split_once("restart: started process "));
        started.map(|(_, pid)| pid.trim().parse().expect("it is a number")).collect()
    }

    /// The number of the process that serves.
    fn pid(&self) -> u32 {
        let lines = self.server.log.all();
        let is_ready = |pid: &u32| lines.iter().any(|line| line.contains(&format!("process {pid} is ready")));
        self.successors().into_iter().rfind(is_ready).unwrap_or(self.server.process.pid)
    }

    /// Requests a restart, and waits until its successor is started.
    #[track_caller]
    fn request(&mut self) {
        signal(self.pid(), "USR2");
        self.starts += 1;
        wait_until(TIMEOUT, "a successor is started", || self.successors().len() == self.starts);
    }

    /// Restarts it, and waits until the predecessor has ended.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        let old = self.pid();
        self.request();
        wait_until(TIMEOUT, "the successor is ready", || self.pid() != old);
        let is_gone = || fs::read_to_string(format!("/proc/{old}/stat")).map_or(true, |stat| stat.contains(") Z "));
        wait_until(TIMEOUT, "the predecessor has ended", is_gone);
    }

    fn log(&self) -> String {
        self.server.log.all().join("\n")
    }

    /// Drains the process that serves, and waits until all processes have ended.
    #[track_caller]
    pub(crate) fn drain(self) {
        signal(self.pid(), "TERM");
        assert!(self.server.log.wait_for_the_end(TIMEOUT), "processes are left:\n{}", self.log());
    }
}

impl Drop for Restarted {
    fn drop(&mut self) {
        for pid in self.successors() {
            // It may have ended. Its number cannot be used again so soon.
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

/// Restarts a server `count` times while `bench` sends to each of its addresses. No request may fail.
///
/// `flags` are those of the loads over TCP, TLS and the Unix socket.
pub(crate) fn restarts_lose_nothing(count: usize, flags: &str) {
    let socket = ScratchPath::new("sock");
    let secure = Secure::start_with(|files, _| {
        files.serve().listen("tcp://127.0.0.1:0").listen("udp://127.0.0.1:0").listen(&format!("unix:{}", socket.text()))
    });
    let Secure { server, files, authority: _authority } = secure;
    let ca = files.text("ca.pem");
    let mut restarted = Restarted::new(server);
    let start = |address: &String| {
        let form = if address.starts_with("udp:") { "-c 4 -r 400" } else { flags };
        let trust = if address.starts_with("tls:") { format!(" --ca {ca}") } else { String::new() };
        let address = address.replace("tls://127.0.0.1", "tls://localhost");
        let arguments = format!("bench {address} {form}{trust} -d 1h -w 0s --json");
        Program::start(env!("CARGO_BIN_EXE_readyloop"), &arguments.split(' ').collect::<Vec<_>>())
    };
    let mut loads: Vec<Program> = restarted.server.addresses.iter().map(start).collect();
    for _ in 0..count {
        restarted.restart();
    }
    for load in &mut loads {
        load.signal("INT");
        let code = load.wait(TIMEOUT);
        let text = load.out.all().join("\n");
        let record: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let [answered, sent] = ["answered", "sent"].map(|name| record["requests"][name].as_u64());
        let errors = load.errors.all().join("\n");
        assert!(answered.is_some_and(|answered| answered > 20), "{text}\n{errors}");
        assert_eq!((code, answered), (Some(0), sent), "{text}\n{errors}\n{}", restarted.log());
    }
    restarted.drain();
    assert!(!Path::new(socket.text()).exists(), "the last process removes the path");
}

// The loads have a rate, because each closed connection keeps a port for a minute.
#[test]
fn restarts_under_load_lose_no_request() {
    restarts_lose_nothing(4, "-c 4 --churn -r 500");
}

#[test]
fn a_successor_with_a_wrong_configuration_changes_nothing() {
    let (socket, ready) = (ScratchPath::new("sock"), ScratchPath::new("ready"));
    let config = ScratchPath::with_text("toml", "idle-timeout = \"1m\"\n");
    let url = format!("unix:{}", socket.text());
    let serve = Serve::new().listen(&url).arg("--config").arg(config.text()).arg("--ready-file").arg(ready.text());
    let mut restarted = Restarted::new(serve.start());
    let announced = fs::read_to_string(ready.text()).expect("the server is ready");
    fs::write(config.text(), "idle-timeout = 7\n").expect("it is writable");
    restarted.request();
    restarted.server.logs("restart failed, this process goes on");
    restarted.server.logs("idle-timeout");
    assert_eq!(restarted.pid(), restarted.server.process.pid);
    assert_eq!(fs::read_to_string(ready.text()).expect("it is still there"), announced);
    assert_eq!(echoed(&mut UnixStream::connect(socket.text()).expect("the path is still there")), b"hello");
    fs::write(config.text(), "").expect("it is writable");
    restarted.restart();
    assert_eq!(fs::read_to_string(ready.text()).expect("it was replaced"), announced);
    assert_eq!(echoed(&mut UnixStream::connect(socket.text()).expect("the path is still there")), b"hello");
    restarted.drain();
    assert!(!Path::new(ready.text()).exists() && !Path::new(socket.text()).exists());
}

/// A copy of the program in a folder of its own, so that a test can replace it.
struct Copy {
    path: String,
    _folder: ScratchPath,
}

impl Copy {
    fn new() -> Self {
        let folder = ScratchPath::directory("program");
        let path = format!("{}/readyloop", folder.text());
        shell(&format!("cp '{}' '{path}'", env!("CARGO_BIN_EXE_readyloop")));
        Self { path, _folder: folder }
    }

    /// Starts a server on a free port. Returns it with its address.
    fn serve(&self, flags: &[&str]) -> (Program, String) {
        let program = Program::start(&self.path, &[&["serve", "-l", "127.0.0.1:0"], flags].concat());
        program.prints("listening on");
        let address = program.out.all()[0].trim_start_matches("listening on tcp://").to_owned();
        (program, address)
    }

    /// Replaces the program by a script that never becomes ready.
    fn replace_by_a_script(&self) {
        let path = &self.path;
        shell(&format!("rm '{path}' && printf '#!/bin/sh\\nexec sleep 1000\\n' > '{path}' && chmod +x '{path}'"));
    }
}

#[track_caller]
fn logs(program: &Program, text: &str) {
    let is_logged = program.errors.wait_for(TIMEOUT, |lines| lines.iter().any(|line| line.contains(text)));
    assert!(is_logged, "no `{text}` in:\n{}", program.errors.all().join("\n"));
}

#[test]
fn a_new_program_at_the_same_path_is_used_and_one_that_hangs_is_ended() {
    let copy = Copy::new();
    let (program, _) = copy.serve(&["--ready-timeout", "300ms"]);
    copy.replace_by_a_script();
    program.signal("USR2");
    logs(&program, "restart: started process");
    program.signal("USR2");
    logs(&program, "a restart is under way already");
    logs(&program, "is not ready after 300ms");
    logs(&program, "this process goes on");
    fs::remove_file(&copy.path).expect("it is ours");
    program.signal("USR2");
    logs(&program, &format!("restart failed, this process goes on: cannot start {}", copy.path));
    program.signal("TERM");
    assert_eq!(program.ends(), Some(0));
}

#[test]
fn a_shutdown_during_a_restart_ends_the_successor() {
    let copy = Copy::new();
    let (mut program, address) = copy.serve(&[]);
    copy.replace_by_a_script();
    program.signal("USR2");
    logs(&program, "restart: started process");
    program.signal("TERM");
    // The successor has the same standard error, so this waits for it too.
    assert_eq!(program.wait(TIMEOUT), Some(0));
    logs(&program, "because this process shuts down");
    assert!(TcpStream::connect(address).is_err(), "no process holds the socket");
}

/// Runs a command of the shell. A program that this process itself has written cannot be started while a child
/// of another test has its descriptor (`ETXTBSY`).
fn shell(command: &str) {
    assert!(Command::new("sh").args(["-c", command]).status().expect("there is a shell").success());
}

/// Sends `hello` and reads its echo.
fn echoed(stream: &mut (impl Read + Write)) -> Vec<u8> {
    stream.write_all(b"hello").expect("the server reads");
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).expect("the server echoes");
    echo.to_vec()
}

/// `readyloop serve` with these sockets, as systemd would start it.
fn activated(sockets: &[(&str, BorrowedFd<'_>)], arguments: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
    command.arg("serve").args(arguments);
    let passed = sockets.iter().map(|&(name, socket)| PassedSocket { name, socket });
    pass_sockets(&mut command, passed).expect("descriptors are free");
    Program::run(command)
}

#[test]
fn sockets_of_systemd_are_served_by_their_names() {
    let path = ScratchPath::new("sock");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let admin = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let unix = UnixListener::bind(path.text()).expect("a free path");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let [at, admin_at] = [&tcp, &admin].map(|listener| listener.local_addr().expect("it is bound"));
    let udp_at = udp.local_addr().expect("it is bound");
    let sockets = [("web", tcp.as_fd()), ("admin", admin.as_fd()), ("web", unix.as_fd()), ("dns", udp.as_fd())];
    let mut server = activated(&sockets, &[]);
    server.prints(&format!("administration on tcp://{admin_at}"));
    let expected = [
        format!("listening on tcp://{at}"),
        format!("listening on unix:{}", path.text()),
        format!("listening on udp://{udp_at}"),
    ];
    assert_eq!(server.out.all()[..3], expected);
    drop((tcp, admin, unix, udp));
    assert_eq!(echoed(&mut connect(at)), b"hello");
    assert_eq!(echoed(&mut UnixStream::connect(path.text()).expect("it listens")), b"hello");
    server.signal("TERM");
    assert_eq!(server.wait(TIMEOUT), Some(0));
    assert!(Path::new(path.text()).exists(), "the path belongs to systemd");
}

#[test]
fn several_processes_serve_at_the_sockets_of_systemd() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = tcp.local_addr().expect("it is bound");
    let mut server = activated(&[("web", tcp.as_fd())], &["--processes", "2"]);
    server.prints(&format!("listening on tcp://{at}"));
    drop(tcp);
    for _ in 0..4 {
        assert_eq!(echoed(&mut connect(at)), b"hello");
    }
    server.signal("TERM");
    assert_eq!(server.wait(TIMEOUT), Some(0));
}

#[test]
fn a_successor_serves_at_the_sockets_of_systemd() {
    let path = ScratchPath::new("sock");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let unix = UnixListener::bind(path.text()).expect("a free path");
    let at = tcp.local_addr().expect("it is bound");
    let server = activated(&[("web", tcp.as_fd()), ("web", unix.as_fd())], &[]);
    server.prints(&format!("listening on unix:{}", path.text()));
    drop((tcp, unix));
    server.signal("USR2");
    logs(&server, &format!("listening on tcp://{at}"));
    assert!(server.out.wait_for_the_end(TIMEOUT), "the predecessor ends");
    assert_eq!(echoed(&mut connect(at)), b"hello");
    assert_eq!(echoed(&mut UnixStream::connect(path.text()).expect("it listens")), b"hello");
    let lines = server.errors.all();
    let pid = lines.iter().find_map(|line| line.split_once("restart: started process ")).expect("it is logged").1;
    signal(pid.parse().expect("it is a number"), "TERM");
    assert!(server.errors.wait_for_the_end(TIMEOUT), "the successor drains:\n{}", server.errors.all().join("\n"));
    assert!(Path::new(path.text()).exists(), "the path belongs to systemd");
}

#[test]
fn a_passed_socket_without_an_address_in_the_configuration_is_closed_with_a_warning() {
    let (used, unused) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
    let (used, unused) = (used.expect("a free port"), unused.expect("a free port"));
    let [at, unused_at] = [&used, &unused].map(|listener| listener.local_addr().expect("it is bound"));
    let server = activated(&[("one", unused.as_fd()), ("two", used.as_fd())], &["-l", &at.to_string()]);
    server.prints(&format!("listening on tcp://{at}"));
    drop((used, unused));
    assert!(TcpStream::connect(unused_at).is_err(), "no process listens");
    assert_eq!(echoed(&mut connect(at)), b"hello");
    server.signal("TERM");
    let warned = format!("closed the passed socket tcp://{unused_at} `one`");
    assert!(server.errors.wait_for(TIMEOUT, |lines| lines.iter().any(|line| line.contains(&warned))));
    assert_eq!(server.ends(), Some(0));
}

#[test]
fn wrong_variables_and_descriptors_are_usage_errors() {
    let refused = |count: &str, part: &str| {
        let ended = Serve::new().env("LISTEN_FDS", count).run();
        assert_eq!(ended.code, Some(2), "{count}: {}", ended.log_text());
        assert!(ended.log_text().contains(part), "{count}: {}", ended.log_text());
    };
    for count in ["", " ", "-1", "+1x", "256", "18446744073709551616", "NaN", "\u{661}"] {
        refused(count, "LISTEN_FDS is not a number from 0 to 255");
    }
    refused("1", "descriptor 3");
    let ended = Serve::new().env("LISTEN_FDS", "1").env("LISTEN_FDS_FIRST_FD", "2147483647").run();
    assert_eq!(ended.code, Some(2), "{}", ended.log_text());
    let file = fs::File::open("/dev/null").expect("it exists");
    let mut server = activated(&[("file", file.as_fd())], &[]);
    assert_eq!(server.wait(TIMEOUT), Some(2));
    let connected = UnixStream::pair().expect("descriptors are free").0;
    let mut server = activated(&[("connection", connected.as_fd())], &[]);
    assert_eq!(server.wait(TIMEOUT), Some(2));
}

#[test]
fn sockets_for_another_process_are_not_taken() {
    let server = Serve::new().env("LISTEN_FDS", "7").env("LISTEN_PID", "1").start();
    server.drain();
}
