//! The administration endpoint of the real server, with well-behaved and bad clients, and `stat`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::{
    Attempt, Behavior, Crowd, ScratchPath, Serve, Server, TIMEOUT, connect, descriptor_limit, exclusive_machine,
    print_note, read_to_the_end, repeat_attempts, wait_until,
};

/// The connections of the large list.
const CROWD: usize = 15_000;

/// The whole response of an administration endpoint to a request on a connection of its own.
#[track_caller]
pub(crate) fn response(admin: &str, path: &str) -> String {
    let mut stream = connect(admin.parse().expect("it is an address"));
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).expect("it is sent");
    String::from_utf8(read_to_the_end(&mut stream).0).expect("it is text")
}

/// A server with an administration endpoint on a free port.
pub(crate) struct Administered {
    pub(crate) server: Server,
    pub(crate) admin: String,
}

impl Administered {
    #[track_caller]
    pub(crate) fn start(serve: Serve) -> Self {
        let server = serve.with("--admin 127.0.0.1:0").start();
        let admin = server.administration();
        Self { server, admin }
    }

    fn connect(&self) -> TcpStream {
        connect(self.admin.parse().expect("it is an address"))
    }

    #[track_caller]
    pub(crate) fn response(&self, path: &str) -> String {
        response(&self.admin, path)
    }

    /// The body of a response with status 200.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> String {
        let response = self.response(path);
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {response}"));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        body.to_owned()
    }

    #[track_caller]
    pub(crate) fn json_of(&self, path: &str) -> Value {
        let body = self.get(path);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path} is not JSON, {error} in {body}"))
    }

    /// The number of turns so far.
    fn turns(&self) -> u64 {
        self.json_of("/loop")["totals"]["turns"].as_u64().expect("it is a number")
    }
}

/// Sends a few bytes and reads them back.
#[track_caller]
fn echo(stream: &mut TcpStream) {
    stream.write_all(b"hello").expect("the server reads");
    stream.read_exact(&mut [0; 5]).expect("the server echoes");
}

#[test]
fn promtool_accepts_the_metrics() {
    let server = Administered::start(Serve::new());
    echo(&mut server.server.connect());
    let metrics = server.get("/metrics");
    assert!(metrics.contains("\nreadyloop_frames_total 1\n"), "{metrics}");
    assert!(metrics.contains("\nprocess_open_fds "), "{metrics}");
    let check =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut check = check.expect("promtool is installed, by the package `prometheus` of Debian");
    check.stdin.take().expect("it is a pipe").write_all(metrics.as_bytes()).expect("promtool reads");
    let output = check.wait_with_output().expect("promtool ends");
    assert!(output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A process that is killed on drop.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Has no effect if it has exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn prometheus_scrapes_the_metrics() {
    let server = Administered::start(Serve::new());
    let folder = ScratchPath::directory("prometheus");
    let path = |name: &str| format!("{}/{name}", folder.text());
    let targets = format!("      - targets: ['{}']\n", server.admin);
    let config = ["scrape_configs:", "  - job_name: it", "    scrape_interval: 1s", "    static_configs:", &targets];
    let config = config.join("\n");
    std::fs::write(path("prometheus.yml"), config).expect("the folder is new");
    // The port is free when the listener is dropped.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
    let prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", path("prometheus.yml")))
        .arg(format!("--storage.tsdb.path={}", path("data")))
        .arg(format!("--web.listen-address={address}"))
        .stderr(Stdio::null())
        .spawn();
    let _prometheus = Killed(prometheus.expect("prometheus is installed, by the package of that name"));
    wait_until(Duration::from_secs(60), "prometheus has scraped the server", || {
        let Ok(mut stream) = TcpStream::connect(address) else { return false };
        let query = "GET /api/v1/query?query=readyloop_connections_open HTTP/1.0\r\n\r\n";
        let mut response = String::new();
        stream.write_all(query.as_bytes()).and_then(|()| stream.read_to_string(&mut response)).is_ok()
            && response.contains("\"__name__\":\"readyloop_connections_open\"")
    });
}

#[test]
fn curl_reads_a_unix_socket_that_only_its_owner_can_open() {
    let path = ScratchPath::new("sock");
    let server = Serve::new().with(&format!("--admin unix:{}", path.text())).start();
    assert_eq!(server.administration(), format!("unix:{}", path.text()));
    let mode = std::fs::metadata(path.text()).expect("the socket exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl").args(["-sS", "--unix-socket", path.text()]).args(arguments).output();
        let output = output.expect("curl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it is text")
    };
    // Both requests use one connection.
    let both = curl(&["-w", "%{num_connects} ", "http://localhost/healthz", "http://localhost/readyz"]);
    assert_eq!(both, "ok\n1 running\n0 ");
    let list = curl(&["http://localhost/connections?limit=5"]);
    assert!(serde_json::from_str::<Value>(&list).is_ok(), "{list}");
    assert!(curl(&["-I", "http://localhost/"]).contains("Content-Type: text/html"));
    server.drain();
}

#[test]
fn bad_clients_disturb_neither_the_server_nor_the_other_clients() {
    let server = Administered::start(Serve::new());
    let mut crowd = Crowd::new();
    let all = crowd.join(server.server.address(), 1_000, Behavior::OnRequest);
    crowd.echo(all.clone(), 100, TIMEOUT);

    let mut slow = server.connect();
    slow.write_all(b"GET /conn").unwrap();
    let mut unread = server.connect();
    unread.write_all(&b"GET /connections HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50)).unwrap();
    let mut huge = server.connect();
    // The server may end the connection while this is sent.
    let _ = huge.write_all(&[b'G'; 1 << 20]);
    let mut malformed = server.connect();
    malformed.write_all(b"\x16\x03\x01\x02\x00\x01\r\n\r\n").unwrap();
    let refusal = String::from_utf8(read_to_the_end(&mut malformed).0).unwrap();
    assert!(refusal.starts_with("HTTP/1.1 400 "), "{refusal}");

    let mut pipelined = server.connect();
    pipelined.write_all(b"GET /healthz HTTP/1.1\r\nHost: x.y\r\n\r\n").unwrap();
    let refusal = String::from_utf8(read_to_the_end(&mut pipelined).0).unwrap();
    assert!(refusal.starts_with("HTTP/1.1 421 "), "{refusal}");

    slow.write_all(b"ections?limit=1 HTTP/1.0\r\n\r\n").unwrap();
    assert!(read_to_the_end(&mut slow).0.starts_with(b"HTTP/1.1 200 OK"), "it was only slow");
    assert_eq!(server.json_of("/connections?sort=idle&limit=7")["listed"], 7);
    crowd.echo(all, 100, TIMEOUT);
    let mut start = [0; 15];
    unread.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    drop((crowd, unread, huge));
    let summary = server.server.drain().summary();
    assert_eq!(summary.connections, 1_000, "administration connections are not counted");
}

#[test]
fn a_full_server_still_answers_administration_requests() {
    let server = Administered::start(Serve::new().descriptors(80));
    let mut crowd = Crowd::new();
    let all = crowd.join(server.server.address(), 100, Behavior::OnRequest);
    crowd.ask(all, 10);
    // 32 descriptors are for the program, 2 for listeners and 16 for administration.
    crowd.run_until(TIMEOUT, |members| members.iter().filter(|member| member.is_answered()).count() == 30);
    let kept: Vec<TcpStream> = (0..15).map(|_| server.connect()).collect();
    assert_eq!(server.get("/healthz"), "ok\n");
    assert_eq!(server.json_of("/loop")["totals"]["connections_open"], 30);
    drop(kept);
    assert_eq!(crowd.answered(0..100), 30);
}

#[test]
fn a_draining_server_is_not_ready() {
    let server = Administered::start(Serve::new());
    let mut peer = server.server.connect();
    echo(&mut peer);
    assert_eq!(server.get("/readyz"), "running\n");
    server.server.signal("TERM");
    // The peer does not end its direction, so the server waits for it.
    wait_until(TIMEOUT, "the drain begins", || server.response("/readyz").starts_with("HTTP/1.1 503 "));
    assert_eq!(server.json_of("/connections")["connections"][0]["close_reason"], "drained");
    drop(peer);
    assert_eq!(server.server.wait(TIMEOUT).code, Some(0));
}

#[test]
fn fifteen_thousand_connections_are_listed_in_short_slices() {
    let _machine = exclusive_machine();
    let needed = CROWD + 100;
    let count = if descriptor_limit() < needed { descriptor_limit() - 100 } else { CROWD };
    if count < CROWD {
        print_note(&format!("only {count} connections instead of {CROWD}: type `ulimit -n {needed}`"));
    }
    let server = Administered::start(Serve::new());
    let mut crowd = Crowd::new();
    let all = crowd.join(server.server.address(), count, Behavior::OnRequest);
    crowd.echo(all.clone(), 100, TIMEOUT);

    let (cpu, turns) = (server.server.process.cpu(), server.turns());
    for _ in 0..5 {
        let list = server.json_of("/connections");
        assert_eq!(
            (list["listed"].as_u64(), list["connections"].as_array().unwrap().len()),
            (Some(count as u64), count)
        );
    }
    assert_eq!(server.json_of("/connections?sort=idle&limit=1000")["listed"], 1_000);
    let (cpu, turns) = (server.server.process.cpu() - cpu, server.turns() - turns);
    // Each list has a slice for 128 connections, and a turn has one slice at most.
    let slices = 6 * count.div_ceil(128) as u64;
    assert!(turns >= slices, "{turns} turns for {slices} slices");
    assert!(cpu <= Duration::from_millis(2) * u32::try_from(slices).unwrap(), "{cpu:?} of CPU for {slices} slices");
    crowd.echo(all, 100, TIMEOUT);
    assert_eq!(crowd.open(), count);
}

/// Lists all connections in a loop, beside clients that send. No turn takes 2 ms more than without lists.
#[track_caller]
pub(crate) fn lists_in_a_loop(count: usize, lists: usize) {
    /// The bucket of the histogram up to 2^21 ns, 2.1 ms.
    const BOUND: u64 = 1 << 21;
    let server = Administered::start(Serve::new());
    let mut crowd = Crowd::new();
    let all = crowd.join(server.server.address(), count, Behavior::OnRequest);
    crowd.echo(all.clone(), 100, TIMEOUT);
    let pingers = all.start..all.start + 10;
    // The number of turns so far, and the number of longer ones.
    let turns = |server: &Administered| {
        let histogram = &server.json_of("/loop")["measurements"]["turns_ns"];
        let count = histogram["count"].as_u64().expect("it is a number");
        let buckets = histogram["buckets"].as_array().expect("there are buckets");
        let within = buckets.iter().find(|bucket| bucket[0].as_u64() == Some(BOUND)).expect("there is this bound");
        (count, count - within[1].as_u64().expect("it is a number"))
    };
    repeat_attempts("turns beside lists", || {
        let process = server.server.process;
        let (before, long_before) = turns(&server);
        let (cpu_before, waited_before) = (process.cpu(), process.waited_for_cpu());
        for _ in 0..lists {
            assert_eq!(server.json_of("/connections")["listed"].as_u64(), Some(count as u64));
            crowd.echo(pingers.clone(), 100, TIMEOUT);
        }
        let (after, long) = turns(&server);
        let (turns, long) = (after - before, long - long_before);
        let (cpu, waited) = (process.cpu() - cpu_before, process.waited_for_cpu() - waited_before);
        let mean = cpu / u32::try_from(turns).expect("there are fewer turns");
        println!("{turns} turns, {long} longer than 2 ms; {mean:?} of CPU each; the server waited {waited:?}");
        assert!(turns >= (lists * count.div_ceil(128)) as u64, "a list is read in slices");
        Attempt {
            is_good: long == 0,
            is_disturbed: waited > Duration::from_millis(2),
            // Each long turn is one in which the server waited for the CPU.
            is_bounded: Duration::from_millis(2) * u32::try_from(long).expect("there are fewer") <= waited
                && mean < Duration::from_millis(1),
        }
    });
    crowd.echo(all, 100, TIMEOUT);
}

#[test]
fn lists_in_a_loop_do_not_delay_a_turn() {
    let _machine = exclusive_machine();
    lists_in_a_loop(2_000, 5);
}

#[test]
fn stat_prints_one_line_for_each_interval() {
    let server = Administered::start(Serve::new());
    echo(&mut server.server.connect());
    let ended = Serve::command(&format!("stat {} -n 3 -i 10ms", server.admin)).run();
    assert_eq!((ended.code, ended.out.len()), (Some(0), 4), "{}", ended.log_text());
    assert!(ended.out[0].contains("open    opened"), "{:?}", ended.out);
    let columns = ended.out[0].split("  ").filter(|word| !word.is_empty()).count();
    assert_eq!(columns, 10);

    let page = format!("http://{}/", server.admin);
    assert_eq!(Serve::command(&format!("stat {page} -n 1")).run().code, Some(0), "{page}");
    for other in ["udp://127.0.0.1:1", "tls://127.0.0.1:1"] {
        let ended = Serve::command(&format!("stat {other}")).run();
        assert_eq!(ended.code, Some(2), "{}", ended.log_text());
        assert!(ended.log_text().contains("is TCP or a Unix socket"), "{}", ended.log_text());
    }
    let ended = Serve::command(&format!("stat {}", server.server.address())).run();
    assert_eq!(ended.code, Some(1));
    assert!(ended.log_text().contains("is not an administration endpoint"), "{}", ended.log_text());
    let address = server.admin.clone();
    server.server.drain();
    let ended = Serve::command(&format!("stat {address}")).run();
    assert!(ended.code == Some(1) && ended.log_text().contains("cannot connect to"), "{}", ended.log_text());
}

#[test]
fn the_live_page_shows_the_numbers_in_a_browser() {
    let server = Administered::start(Serve::new());
    let mut peer = server.server.connect();
    echo(&mut peer);
    let Some(browser) = Browser::find() else { return };
    // The budget is time that the page waits for, so it reads the numbers more than once.
    let (dom, log) = browser.open(&format!("http://{}/", server.admin), &["--virtual-time-budget=3000", "--dump-dom"]);
    for shown in ["running, up ", "<dt>connections</dt><dd>1</dd>", "<td>frames</td>", "<td>open</td>"] {
        assert!(dom.contains(shown), "{shown} is not shown in {dom}\n{log}");
    }
    assert!(!log.contains("Uncaught"), "{log}");
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    for (arguments, message) in [
        ("--admin 0.0.0.0:0", "is not a loopback address"),
        ("--admin [::]:0", "is not a loopback address"),
        ("--admin udp://127.0.0.1:0", "is neither TCP nor a Unix socket"),
        ("--admin tls://127.0.0.1:0", "is neither TCP nor a Unix socket"),
        ("--admin unix:@readyloop", "has no file"),
        ("--listen 127.0.0.1:7007 --admin 127.0.0.1:7007", "is the address of two listeners"),
        ("--admin 127.0.0.1:0 --design threads", "--admin needs --design reactor"),
    ] {
        let ended = Serve::bare().with(arguments).run();
        assert_eq!((ended.code, ended.out.len()), (Some(2), 0), "{arguments}");
        assert!(ended.log_text().contains(message), "{arguments}: {}", ended.log_text());
    }
}
