//! What systemd offers a service: notifications, the watchdog, the journal, and the example units.

use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Instant;

use crate::support::{ScratchPath, Serve, TIMEOUT, echoes, print_note};

/// The socket of a service manager.
struct Supervisor(UnixDatagram);

impl Supervisor {
    fn new(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(TIMEOUT)).expect("it is not zero");
        Self(socket)
    }

    /// The lines of the next message that is no status and feeds no watchdog.
    #[track_caller]
    fn next(&self) -> Vec<String> {
        self.next_with(|lines| !lines[0].starts_with("WATCHDOG=") && !lines[0].starts_with("STATUS="))
    }

    /// The lines of the next message that `is_wanted`.
    #[track_caller]
    fn next_with(&self, is_wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let (mut buffer, deadline) = ([0; 4096], Instant::now() + TIMEOUT);
        while Instant::now() < deadline {
            let len = match self.0.recv(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                received => received.expect("the server notifies in time"),
            };
            let text = String::from_utf8_lossy(&buffer[..len]);
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if is_wanted(&lines) {
                return lines;
            }
        }
        panic!("the expected notification does not come");
    }
}

#[test]
fn systemd_is_notified_of_the_start_each_reload_and_the_end() {
    let path = ScratchPath::new("notify");
    let supervisor = Supervisor::new(UnixDatagram::bind(path.text()).expect("the path is free"));
    let server = Serve::new().env("NOTIFY_SOCKET", path.text()).env("WATCHDOG_USEC", "200000").start();
    let ready = ["READY=1".to_owned(), format!("MAINPID={}", server.process.pid)];
    assert_eq!(supervisor.next(), ready);
    for _ in 0..3 {
        supervisor.next_with(|lines| lines == ["WATCHDOG=1"]);
    }
    let mut open = server.connect();
    echoes(&mut open, b"hello");
    let status = supervisor.next_with(|lines| lines[0].starts_with("STATUS="));
    assert!(status[0].contains(" connections open, "), "{status:?}");

    server.signal("HUP");
    let reloading = supervisor.next();
    assert_eq!(reloading[0], "RELOADING=1");
    let micros = reloading[1].strip_prefix("MONOTONIC_USEC=").and_then(|micros| micros.parse::<u64>().ok());
    let uptime = fs::read_to_string("/proc/uptime").expect("it is Linux");
    let uptime: f64 = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok()).expect("it is a number");
    let age = uptime - micros.expect("it is a number") as f64 / 1e6;
    assert!((-1.0..TIMEOUT.as_secs_f64()).contains(&age), "{age} seconds ago");
    assert_eq!(supervisor.next(), ready);

    drop(open);
    server.signal("TERM");
    assert_eq!(supervisor.next()[0], "STOPPING=1");
    assert_eq!(server.wait(TIMEOUT).code, Some(0));
}

#[test]
fn a_supervisor_with_an_abstract_name_is_notified_and_one_that_is_gone_holds_nothing_up() {
    let name = format!("readyloop-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("the name is short");
    let supervisor = Supervisor::new(UnixDatagram::bind_addr(&address).expect("the name is free"));
    let server = Serve::new().env("NOTIFY_SOCKET", &format!("@{name}")).start();
    assert_eq!(supervisor.next()[0], "READY=1");
    drop(supervisor);
    server.signal("HUP");
    server.logs("cannot notify the service manager: ");
    echoes(&mut server.connect(), b"hello");
    server.drain();

    for wrong in ["relative", "vsock:2:1234", "/nonexistent/notify"] {
        let server = Serve::new().env("NOTIFY_SOCKET", wrong).start();
        server.logs(&format!("cannot notify the service manager at {wrong}: "));
        server.drain();
    }
}

#[test]
fn the_log_has_priorities_and_no_times_if_it_goes_to_the_journal() {
    let journal = "env JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)";
    let server = Serve::new().under(journal).with("--max-connections 100M").start();
    server.signal("USR1");
    server.logs("closed: none");
    let ended = server.drain();
    let starts: Vec<&str> = ended.log.iter().filter_map(|line| line.get(..3)).collect();
    assert!(starts.iter().all(|start| ["<4>", "<6>"].contains(start)), "{}", ended.log_text());
    assert!(ended.log.iter().any(|line| line.starts_with("<4>--max-connections 100000000 exceeds")), "{:?}", ended.log);

    let failed = Serve::new().under(journal).with("--backlog 0").run();
    assert!(
        failed.log_text().starts_with("<3>readyloop: error: ") && failed.log_text().contains("\n<3>hint: "),
        "{failed:?}"
    );

    let other = Serve::new().env("JOURNAL_STREAM", "1:1").start().drain();
    assert!(other.log.iter().all(|line| !line.starts_with('<') && line.contains('Z')), "{}", other.log_text());
}

/// The example units.
const UNITS: [&str; 3] = ["readyloop.service", "readyloop.socket", "readyloop-tls.socket"];

/// Runs `systemd-analyze` on the example unit, with the path of this program in it. Returns its output if it fails.
fn analyze(arguments: &[&str], unit: &str) -> Result<(), String> {
    let folder = ScratchPath::directory("units");
    for name in UNITS {
        let text = fs::read_to_string(format!("examples/systemd/{name}")).expect("the example exists");
        assert!(name != "readyloop.service" || text.contains("ExecStart=/usr/local/bin/readyloop "));
        let text = text.replace("/usr/local/bin/readyloop", env!("CARGO_BIN_EXE_readyloop"));
        fs::write(format!("{}/{name}", folder.text()), text).expect("the folder is new");
    }
    let unit = format!("{}/{unit}", folder.text());
    let Ok(output) = Command::new("systemd-analyze").args(arguments).arg(unit).output() else {
        print_note("SKIPPED: systemd-analyze is not installed");
        return Ok(());
    };
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if output.status.success() { Ok(()) } else { Err(printed) }
}

#[test]
fn the_example_units_are_valid_and_hardened() {
    for unit in UNITS {
        assert_eq!(analyze(&["verify", "--recursive-errors=no", "--man=no"], unit), Ok(()), "{unit}");
    }
    // The exposure in tenths; 100 is that of a unit without any setting.
    assert_eq!(analyze(&["security", "--offline=true", "--threshold=15", "--no-pager"], "readyloop.service"), Ok(()));
}
