//! `serve --processes`: how connections are spread, crashes, and restarts one process after another.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{
    Process, Program, ScratchPath, Serve, Server, TIMEOUT, connect, read_to_the_end, signal, wait_until,
};

/// The connections of a crowd.
const CROWD: usize = 300;

/// A server of two processes with an administration endpoint.
struct Two {
    server: Server,
    admin: String,
}

impl Two {
    #[track_caller]
    fn start(serve: Serve) -> Self {
        let server = serve.with("--processes 2 --admin 127.0.0.1:0 --ready-timeout 20s").start();
        let admin = server.administration();
        Self { server, admin }
    }

    /// The numbers of its processes.
    fn pids(&self) -> Vec<u32> {
        let pid = self.server.process.pid;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().map(|pid| pid.parse().expect("it is a number")).collect()
    }

    #[track_caller]
    fn get(&self, path: &str) -> String {
        let mut stream = connect(self.admin.parse().expect("it is an address"));
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).expect("it is sent");
        let response = String::from_utf8(read_to_the_end(&mut stream).0).expect("it is text");
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {response}"));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        body.to_owned()
    }

    /// The number of open connections of each process.
    fn open(&self) -> Vec<usize> {
        let open = samples(&self.get("/metrics"), "readyloop_connections_open");
        open.into_iter().map(|open| open as usize).collect()
    }

    /// Connects, and sends `hello` on each connection.
    fn crowd(&self) -> Vec<TcpStream> {
        let connect = |_| {
            let mut stream = self.server.connect();
            stream.write_all(b"hello").expect("the kernel takes it");
            stream
        };
        (0..CROWD).map(connect).collect()
    }
}

/// The values of a metric, one for each process.
fn samples(metrics: &str, name: &str) -> Vec<u32> {
    let begin = format!("{name}{{process=");
    let values = metrics.lines().filter_map(|line| line.strip_prefix(begin.as_str()));
    values.filter_map(|rest| rest.split(' ').nth(1)?.parse().ok()).collect()
}

#[track_caller]
fn all_are_echoed(crowd: &mut [TcpStream]) {
    for stream in crowd {
        let mut echo = [0; 5];
        stream.read_exact(&mut echo).expect("the server echoes");
        assert_eq!(&echo, b"hello");
    }
}

#[test]
fn connections_are_spread_and_one_address_shows_all_processes() {
    let two = Two::start(Serve::new());
    let mut crowd = two.crowd();
    all_are_echoed(&mut crowd);
    let open = two.open();
    assert_eq!((open.len(), open.iter().sum::<usize>()), (2, CROWD), "{open:?}");
    // With a fair coin for each connection, a share this small has a chance of one in 10^17.
    assert!(open.iter().all(|open| *open > CROWD / 4), "{open:?}");
    let mut promtool = Program::start("promtool", &["check", "metrics"]);
    promtool.type_in(&two.get("/metrics"));
    assert_eq!(promtool.wait(TIMEOUT), Some(0), "{:?}", promtool.errors.all());
    let sum: serde_json::Value = serde_json::from_str(&two.get("/loop")).expect("it is JSON");
    assert_eq!(sum["totals"]["connections_open"], CROWD);
    assert_eq!(two.get("/readyz"), "1 running\n2 running\n");
    let own: serde_json::Value = serde_json::from_str(&two.get("/process/2/connections")).expect("it is JSON");
    assert_eq!(own["matched"], open[1]);
    assert!(two.get("/process/1/").contains("<!doctype html>") && two.get("/").contains("process/2/"));
    drop(crowd);
    two.server.drain();
}

#[test]
fn a_connection_that_waits_for_a_crashed_process_is_served_by_the_next_one() {
    let two = Two::start(Serve::new());
    let victim = two.pids()[0];
    Process { pid: victim }.stop();
    let mut crowd = two.crowd();
    signal(victim, "KILL");
    two.server.logs("the next starts in 100ms");
    wait_until(TIMEOUT, "all processes answer", || samples(&two.get("/metrics"), "readyloop_process_up") == [1, 1]);
    let starts: u32 = samples(&two.get("/metrics"), "readyloop_process_starts_total").into_iter().sum();
    assert_eq!(starts, 3);
    // The victim has accepted none of them, so all of them are served.
    all_are_echoed(&mut crowd);
    assert!(two.open().iter().all(|open| *open > CROWD / 4), "{:?}", two.open());
    drop(crowd);
    two.server.drain();
}

#[test]
fn a_restart_of_one_process_after_another_loses_no_request() {
    let two = Two::start(Serve::new());
    let at = two.server.address().to_string();
    let mut load = Program::start(
        env!("CARGO_BIN_EXE_readyloop"),
        &["bench", &at, "--churn", "-r", "500", "-c", "4", "-d", "1h", "-w", "0s"],
    );
    for _ in 0..2 {
        let old = two.pids();
        two.server.signal("USR2");
        wait_until(TIMEOUT, "both processes are replaced", || {
            let new = two.pids();
            new.len() == 2 && new.iter().all(|pid| !old.contains(pid))
        });
    }
    load.signal("INT");
    assert_eq!(load.wait(TIMEOUT), Some(0), "{}\n{}", load.out.all().join("\n"), load.errors.all().join("\n"));
    two.server.signal("TERM");
    let ended = two.server.wait(TIMEOUT);
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
}

#[test]
fn the_processes_end_when_their_supervisor_is_killed() {
    let two = Two::start(Serve::new());
    let pids = two.pids();
    two.server.signal("KILL");
    let is_gone =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
    wait_until(TIMEOUT, "the processes have ended", || pids.iter().all(is_gone));
}

#[test]
fn a_unix_socket_is_shared_and_the_ready_file_appears_last() {
    let (socket, ready) = (ScratchPath::new("sock"), ScratchPath::new("ready"));
    let url = format!("unix:{}", socket.text());
    let two = Two::start(Serve::bare().listen(&url).arg("--ready-file").arg(ready.text()));
    assert_eq!(fs::read_to_string(ready.text()).expect("the server is ready"), format!("listening on {url}\n"));
    for _ in 0..2 {
        let pid = two.pids()[0];
        let mut stream = std::os::unix::net::UnixStream::connect(socket.text()).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
        stream.write_all(b"hello").expect("the server reads");
        stream.read_exact(&mut [0; 5]).expect("the server echoes");
        signal(pid, "KILL");
        wait_until(TIMEOUT, "the process is replaced", || two.pids().len() == 2 && !two.pids().contains(&pid));
    }
    two.server.drain();
    assert!(!std::path::Path::new(socket.text()).exists() && !std::path::Path::new(ready.text()).exists());
}

#[test]
fn a_process_that_cannot_start_is_an_error_of_the_whole() {
    let taken = Serve::new().start();
    let ended = Serve::bare().listen(&taken.address().to_string()).with("--processes 2").run();
    assert_eq!(ended.code, Some(1), "{}", ended.log_text());
    assert!(ended.log_text().contains("address in use"), "{}", ended.log_text());
    for flags in ["--processes 0", "--processes 1025", "--processes 2 --design pool"] {
        let ended = Serve::bare().listen("127.0.0.1:0").with(flags).run();
        assert_eq!(ended.code, Some(2), "{flags}: {}", ended.log_text());
    }
}
