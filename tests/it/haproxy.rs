//! A real HAProxy in front of real servers: announced addresses, health checks, a drain and a reload under load.
//!
//! HAProxy is a child of the test, in the foreground. It uses the configuration in `examples/haproxy`, on free ports.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use crate::admin::Administered;
use crate::restart::Restarted;
use crate::support::{Program, ScratchPath, Serve, TIMEOUT, connect, echoes, print_note, shared_machine, wait_until};

/// Whether HAProxy is installed. If not, prints a warning that it is not tested.
fn has_haproxy() -> bool {
    let is_found = std::process::Command::new("haproxy").arg("-v").output().is_ok();
    if !is_found {
        print_note("HAProxy was NOT tested: it is not installed (apt-get install haproxy)");
    }
    is_found
}

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/haproxy/haproxy.cfg");
    fs::read_to_string(path).expect("the example exists")
}

/// The flags in the comment of the example, of its first server.
fn flags_of_example() -> String {
    let text = example();
    let line = text.lines().find_map(|line| line.strip_prefix("#   readyloop serve ")).expect("a command");
    let (_, flags) = line.split_once(" --proxy-protocol").expect("the address and the administration come first");
    format!("--proxy-protocol{flags}")
}

/// HAProxy in front of servers, with its files.
struct Balancer {
    program: Program,
    address: SocketAddr,
    config: ScratchPath,
    socket: ScratchPath,
}

impl Balancer {
    /// Starts HAProxy with `config`, in which `FRONT` and `SOCKET` stand for its address and its socket.
    #[track_caller]
    fn start(config: &str) -> Self {
        // The port is free when the listener is dropped.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port is free");
        let socket = ScratchPath::new("sock");
        let text = config.replace("FRONT", &address.to_string()).replace("SOCKET", socket.text());
        let config = ScratchPath::with_text("cfg", &text);
        let program = Program::start("haproxy", &["-db", "-f", config.text()]);
        wait_until(TIMEOUT, "HAProxy listens", || {
            let errors = || program.errors.all().into_iter().find(|line| line.contains("[ALERT]"));
            assert_eq!(errors(), None, "HAProxy refuses the configuration:\n{text}");
            std::net::TcpStream::connect(address).is_ok()
        });
        Self { program, address, config, socket }
    }

    /// Starts another process with the same configuration. It takes the sockets of the running one, which ends
    /// when its connections have ended.
    #[track_caller]
    fn reload(&mut self) {
        let old = self.program.running().pid.to_string();
        let arguments = ["-db", "-f", self.config.text(), "-x", self.socket.text(), "-sf", &old];
        let mut old = std::mem::replace(&mut self.program, Program::start("haproxy", &arguments));
        assert_eq!(old.wait(TIMEOUT), Some(0), "{}", old.errors.all().join("\n"));
    }
}

/// The example in front of these servers, with checks that are ten times as frequent.
fn config_for(servers: &[Administered]) -> String {
    let mut config = example().replace("inter 1s", "inter 100ms").replace("maxconn 9000", "maxconn 200");
    let sockets = [("127.0.0.1:7000", "FRONT"), ("/tmp/readyloop-haproxy.sock mode", "SOCKET mode")];
    let ports = servers.iter().enumerate().flat_map(|(index, server)| {
        let (service, admin) = (format!("127.0.0.1:{}", 7007 + index), format!("port {}", 9007 + index));
        let port = server.admin.rsplit(':').next().expect("a port");
        [(service, server.server.address().to_string()), (admin, format!("port {port}"))]
    });
    let sockets = sockets.map(|(from, to)| (from.to_owned(), to.to_owned()));
    for (from, to) in sockets.into_iter().chain(ports.collect::<Vec<_>>()) {
        let lines =
            config.lines().map(|line| if line.starts_with('#') { line.to_owned() } else { line.replace(&from, &to) });
        let replaced = lines.collect::<Vec<_>>().join("\n") + "\n";
        assert_ne!(replaced, config, "the example has no {from}");
        config = replaced;
    }
    config
}

/// The number of connections that a server has closed for this reason.
fn closed(server: &Administered, reason: &str) -> u64 {
    let metrics = server.get("/metrics");
    let name = format!("readyloop_connections_closed_total{{close_reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name)).expect("each reason has a sample");
    line.parse().expect("a number")
}

#[test]
fn the_servers_see_the_clients_and_not_haproxy() {
    if !has_haproxy() {
        return;
    }
    let servers = [0, 1].map(|_| Administered::start(Serve::new().with("--proxy-protocol")));
    let haproxy = Balancer::start(&config_for(&servers));
    let mut clients: Vec<_> = (0..4).map(|_| connect(haproxy.address)).collect();
    clients.iter_mut().for_each(|client| echoes(client, b"hello"));
    let mut seen: Vec<String> = Vec::new();
    for server in &servers {
        let list = server.json_of("/connections");
        let rows = list["connections"].as_array().expect("a list");
        seen.extend(rows.iter().map(|row| row["address"].as_str().expect("an address").to_owned()));
    }
    let mut expected: Vec<String> =
        clients.iter().map(|client| client.local_addr().expect("it is connected").to_string()).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_restart_in_place_behind_haproxy_fails_no_request() {
    if !has_haproxy() {
        return;
    }
    let servers = [0, 1].map(|_| Administered::start(Serve::new().with("--proxy-protocol")));
    let haproxy = Balancer::start(&config_for(&servers));
    let address = haproxy.address.to_string();
    let arguments = ["bench", &address, "-c", "8", "-r", "500", "-d", "1h", "-w", "0s", "--churn"];
    let mut bench = Program::start(env!("CARGO_BIN_EXE_readyloop"), &arguments);
    let mut restarted = servers.map(|server| Restarted::new(server.server));
    for _ in 0..2 {
        restarted.iter_mut().for_each(Restarted::restart);
    }
    bench.signal("INT");
    assert_eq!(bench.wait(TIMEOUT), Some(0), "{}\n{}", bench.out.all().join("\n"), bench.errors.all().join("\n"));
    restarted.into_iter().for_each(Restarted::drain);
}

#[test]
fn health_checks_of_haproxy_are_counted_as_probes() {
    if !has_haproxy() {
        return;
    }
    let plain = Administered::start(Serve::new());
    let proxied = Administered::start(Serve::new().with("--proxy-protocol"));
    let bare = Administered::start(Serve::new().with("--proxy-protocol"));
    let line = |name: &str, server: &Administered, options: &str| {
        format!("    server {name} {} check inter 50ms {options}\n", server.server.address())
    };
    let config = [
        "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n",
        "listen with-header\n    bind FRONT\n",
        &line("proxied", &proxied, "send-proxy-v2 check-send-proxy"),
        // Without `linger`, HAProxy resets the connection so early that it is never accepted.
        "backend without-header\n    option tcp-check\n    tcp-check connect linger\n",
        &line("plain", &plain, ""),
        &line("bare", &bare, "send-proxy"),
    ];
    let haproxy = Balancer::start(&config.concat());
    for server in [&plain, &proxied, &bare] {
        wait_until(TIMEOUT, "some health checks came", || closed(server, "probed") >= 5);
    }
    drop(haproxy);
    for server in [plain, proxied, bare] {
        let summary = server.server.drain().summary();
        assert_eq!(summary.closed("probed"), summary.connections, "{summary:?}");
    }
}

#[test]
fn a_drain_of_one_server_and_a_reload_of_haproxy_fail_no_request() {
    if !has_haproxy() {
        return;
    }
    let _machine = shared_machine();
    let flags = flags_of_example().replace("--shutdown-delay 5s", "--shutdown-delay 3s");
    let servers = [0, 1].map(|_| Administered::start(Serve::new().with(&flags)));
    let mut haproxy = Balancer::start(&config_for(&servers));
    let address = haproxy.address.to_string();
    let arguments = ["bench", &address, "-c", "20", "-r", "500", "-d", "8s", "--churn", "--json"];
    let mut bench = Program::start(env!("CARGO_BIN_EXE_readyloop"), &arguments);
    let frames = |server: &Administered| server.json_of("/loop")["totals"]["frames"].as_u64().expect("a number");
    for server in &servers {
        wait_until(TIMEOUT, "both servers are used", || frames(server) > 20);
    }
    let [first, second] = servers;
    first.server.signal("TERM");
    first.server.logs("not ready");
    assert!(first.response("/readyz").starts_with("HTTP/1.1 503 "));
    let before = frames(&second);
    let ended = first.server.wait(TIMEOUT);
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    haproxy.reload();
    let reloaded = frames(&second);
    assert!(reloaded > before);
    wait_until(TIMEOUT, "requests pass through the new HAProxy", || frames(&second) > reloaded + 20);
    let status = bench.wait(TIMEOUT);
    assert_eq!(status, Some(0), "{}\n{}", bench.out.all().join("\n"), bench.errors.all().join("\n"));
    // A client of HAProxy may end between its connect and the connect of HAProxy.
    let summary = ended.summary();
    assert_eq!(summary.closed_in_all(), summary.closed("finished") + summary.closed("probed"), "{summary:?}");
}
