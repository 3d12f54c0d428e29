//! The state in which a parent may leave its child: in each, the server serves and drains on SIGTERM.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{
    ScratchPath, Serve, connect, echoes, print_note, read_to_the_end, signal, wait_for_exit, wait_until,
};

/// The deadline of every step.
const WITHIN: Duration = Duration::from_secs(60);

/// A server with any standard streams. Its address comes from the ready file.
struct Server {
    child: Child,
    ready: ScratchPath,
}

impl Server {
    /// Starts it by a shell script, in which `"$0" "$@"` is the command.
    fn start(script: &str, streams: impl FnOnce(&mut Command)) -> Self {
        let ready = ScratchPath::new("ready");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_readyloop"));
        command.args(["serve", "-v", "-v", "-l", "127.0.0.1:0", "--ready-file", ready.text()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        streams(&mut command);
        Self { child: command.spawn().expect("there is a shell"), ready }
    }

    fn exit_status(&mut self) -> Option<i32> {
        wait_for_exit(&mut self.child, WITHIN).code()
    }

    /// The address of its listener, once the ready file exists.
    #[track_caller]
    fn address(&mut self) -> std::net::SocketAddr {
        let mut text = String::new();
        wait_until(WITHIN, "the server is ready", || {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the server has ended: {ended:?}");
            text = fs::read_to_string(self.ready.text()).unwrap_or_default();
            !text.is_empty()
        });
        text.trim().strip_prefix("listening on tcp://").and_then(|text| text.parse().ok()).expect("it is TCP")
    }

    /// Checks that it serves, and that it drains after SIGTERM to this process.
    #[track_caller]
    fn serves_and_drains(mut self, pid: impl FnOnce(u32) -> u32) {
        let address = self.address();
        let mut stream = connect(address);
        echoes(&mut stream, b"hello");
        signal(pid(self.child.id()), "TERM");
        assert_eq!(read_to_the_end(&mut stream).0, b"");
        assert_eq!(self.exit_status(), Some(0));
        assert!(!fs::exists(self.ready.text()).expect("it can be looked up"), "the ready file is removed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Has no effect if it has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn check(script: &str) {
    Server::start(script, |_| ()).serves_and_drains(|pid| pid);
}

#[test]
fn closed_standard_streams() {
    check("exec \"$0\" \"$@\" <&-");
    check("exec \"$0\" \"$@\" 2>&-");
    check("exec \"$0\" \"$@\" <&- >&- 2>&-");
}

#[test]
fn non_blocking_standard_streams() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let stream = || Stdio::from(OwnedFd::from(theirs.try_clone().unwrap()));
    Server::start("exec \"$0\" \"$@\"", |command| {
        command.stdin(stream()).stdout(stream()).stderr(stream());
    })
    .serves_and_drains(|pid| pid);
    drop((ours, theirs));
}

#[test]
fn ignored_and_blocked_signals() {
    check("trap '' TERM INT HUP PIPE CHLD XFSZ USR1; exec \"$0\" \"$@\"");
    let has_env = Command::new("env").args(["--block-signal=TERM", "true"]).output();
    if !has_env.is_ok_and(|output| output.status.success()) {
        print_note("blocked signals were NOT tested: env has no --block-signal");
        return;
    }
    check("exec env --block-signal=TERM,INT,HUP,CHLD \"$0\" \"$@\"");
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_no_signal() {
    let mut server = Server::start("ulimit -f 0; exec \"$0\" \"$@\"", |command| {
        command.stderr(Stdio::piped());
    });
    assert_eq!(server.exit_status(), Some(1));
    let mut log = String::new();
    server.child.stderr.take().expect("it is a pipe").read_to_string(&mut log).unwrap();
    assert!(log.contains("error: cannot write --ready-file "), "{log}");
    let log = ScratchPath::with_text("log", "");
    let to_file = |command: &mut Command| {
        command.stderr(fs::OpenOptions::new().append(true).open(log.text()).unwrap());
    };
    // The size of a file is limited to 512 or 1,024 bytes, so that the log does not fit.
    Server::start("ulimit -f 1; exec \"$0\" \"$@\"", to_file).serves_and_drains(|pid| pid);
}

#[test]
fn a_log_that_is_never_read_stops_nothing() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut server = Server::start("exec \"$0\" \"$@\"", |command| {
        command.stderr(writer);
    });
    let address = server.address();
    // Several lines for each connection: more than a pipe holds.
    for _ in 0..2_000 {
        let mut stream = connect(address);
        stream.write_all(b"hello").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_to_the_end(&mut stream).0, b"hello");
    }
    server.serves_and_drains(|pid| pid);
    let mut log = Vec::new();
    reader.read_to_end(&mut log).unwrap();
    assert!(log.len() > 4096 && log.ends_with(b"\n"), "{} bytes", log.len());
}

/// Whether this process may do what the arguments of unshare(1) say.
fn can_unshare(arguments: &[&str]) -> bool {
    let can = Command::new("unshare").args(arguments).arg("true").output();
    let can = can.is_ok_and(|output| output.status.success());
    if !can {
        print_note(&format!("unshare {} was NOT tested: it is not allowed here", arguments.join(" ")));
    }
    can
}

#[test]
fn the_first_process_of_a_container() {
    if can_unshare(&["--pid", "--fork"]) {
        let child = |pid: u32| {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            children.trim().parse().expect("unshare has one child")
        };
        let script = "exec unshare --pid --fork --kill-child \"$0\" \"$@\"";
        Server::start(script, |_| ()).serves_and_drains(child);
    }
}

#[test]
fn a_system_without_proc() {
    if can_unshare(&["--mount"]) {
        check("exec unshare --mount sh -c 'mount -t tmpfs none /proc && exec \"$0\" \"$@\"' \"$0\" \"$@\"");
    }
}

#[test]
fn the_owner_of_a_socket_is_stopped_and_its_backlog_is_full() {
    let path = ScratchPath::new("sock");
    let stopped = Serve::bare().listen(&format!("unix:{}", path.text())).with("--backlog 1").start();
    stopped.process.stop();
    let begin_connect = || {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&socket2::SockAddr::unix(path.text()).unwrap()).map(|()| socket)
    };
    let waiting: Vec<_> = std::iter::from_fn(|| begin_connect().ok()).take(100).collect();
    assert!(waiting.len() < 100, "the backlog is never full");
    let second = Serve::bare().listen(&format!("unix:{}", path.text())).run_within(WITHIN);
    assert_eq!(second.code, Some(1), "{}", second.log_text());
    assert!(fs::exists(path.text()).unwrap());
    stopped.process.resume();
    drop(waiting);
    stopped.drain();
}
