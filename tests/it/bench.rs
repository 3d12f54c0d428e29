//! `readyloop bench` as a process: with healthy servers, with faulty ones, and at the limits of its machine.

mod ending;
mod find_rate;
mod outputs;
mod shapes;
mod stub;
mod threads;

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;

use crate::support::tls::Secure;
use crate::support::{Ended, Program, Serve, Server, TIMEOUT, descriptor_limit, exclusive_machine, wait_until};
use stub::Stub;

/// `readyloop bench` with these arguments.
fn bench(arguments: &str) -> Serve {
    Serve::command(&format!("bench {arguments}"))
}

/// The JSON record on standard output.
#[track_caller]
fn data(ended: &Ended) -> Value {
    let json = ended.out.join("\n");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}\n{}", ended.log_text()))
}

/// Asserts the exit status, and that one line on standard error contains all `parts`.
#[track_caller]
fn ends_with(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}\n{}", ended.out.join("\n"), ended.log_text());
    let is_there = ended.log.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(is_there || parts.is_empty(), "no line with {parts:?} in:\n{}", ended.log_text());
}

/// The record of a run that succeeds.
#[track_caller]
fn record(arguments: &str) -> Value {
    let ended = bench(&format!("{arguments} --json")).run();
    ends_with(&ended, 0, &[]);
    data(&ended)
}

/// Starts a run with these arguments.
fn started(arguments: &str) -> Program {
    let arguments: Vec<&str> = ["bench"].into_iter().chain(arguments.split(' ')).collect();
    Program::start(env!("CARGO_BIN_EXE_readyloop"), &arguments)
}

fn count(run: &Value, path: &str) -> u64 {
    run.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {run}"))
}

/// An echo server and its address. With `-v` it logs each peer, so that a test knows when a run has begun.
fn echo(flags: &str) -> (Server, String) {
    let server = Serve::new().with(flags).start();
    let address = server.address().to_string();
    (server, address)
}

#[test]
fn both_ends_count_the_configured_number_of_requests() {
    let (server, address) = echo("");
    let ended = bench(&format!("{address} -n 12345 -c 7 -s 100B --json")).run();
    ends_with(&ended, 0, &[]);
    assert_eq!(ended.log, [""; 0], "in a pipe there is nothing but the result");
    let run = data(&ended);
    assert_eq!((count(&run, "/requests/answered"), count(&run, "/requests/sent")), (12_345, 12_345));
    assert_eq!((count(&run, "/latency_ns/count"), count(&run, "/connections/opened")), (12_345, 7));
    assert_eq!(run["ending"], "done");
    let totals = server.drain();
    let summary = totals.log.iter().find(|line| line.contains("bytes in")).expect("there is a summary");
    assert!(summary.contains("7 connections") && summary.contains("1234500 bytes in"), "{summary}");
}

#[test]
fn the_text_report_has_every_section() {
    let (server, address) = echo("");
    let ended = bench(&format!("{address} -d 300ms -w 100ms -c 20 --pid {}", server.process.pid)).run();
    ends_with(&ended, 0, &[]);
    let text = ended.out.join("\n");
    let heading = format!("tcp echo, {address}, 20 connections, 64 B, closed loop, 300 ms after 100 ms warm-up");
    assert_eq!(ended.out[0], heading);
    let sections = ["requests   ", "errors 0", "each way", "p99.9", "round trip", "connect ", "server     CPU "];
    for part in sections.into_iter().chain(["1 thread;"]) {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert!(!text.contains('\x1b') && ended.log.is_empty(), "in a pipe there is no progress line");
    server.drain();
}

#[test]
fn every_framing_pipeline_and_size_works() {
    let server = Serve::new().with("--framing length --frame-len-max 4MiB").start();
    let address = server.address().to_string();
    for flags in ["-c 5 -p 16", "-s 1B -p 100", "-s 2MiB -c 2 -p 3", "-c 5 --idle 50"] {
        let run = record(&format!("{address} --framing length -n 200 {flags}"));
        assert_eq!(count(&run, "/requests/answered"), 200, "{flags}");
    }
    server.drain();
    let server = Serve::new().with("--framing lines").start();
    ends_with(&bench(&format!("{} --framing lines -n 500 -s 4B -p 4", server.address())).run(), 0, &[]);
    server.drain();
}

#[test]
fn churn_source_addresses_and_the_connect_rate_work() {
    let (server, address) = echo("");
    let run = record(&format!("{address} --churn -c 16 -n 3000 --source 127.0.0.2-127.0.0.5"));
    assert_eq!((count(&run, "/connections/opened"), count(&run, "/requests/answered")), (3_000, 3_000));
    assert_eq!(count(&run, "/connections/latency_ns/count"), 3_000);
    let run = record(&format!("{address} -c 40 --connect-rate 200 -n 40"));
    let opening = Duration::from_nanos(count(&run, "/connections/opening_ns"));
    assert!(opening >= Duration::from_millis(190), "40 connects at 200 per second took {opening:?}");
    server.drain();
}

#[test]
fn tls_and_unix_sockets_work() {
    let secure = Secure::start("");
    let ca = secure.files.text("ca.pem");
    let address = format!("localhost:{}", secure.address().port());
    assert_eq!(record(&format!("{address} --tls --ca {ca} -n 500 -c 5"))["config"]["transport"], "tls");
    let ended = bench(&format!("tls://{address} -n 10 -c 2")).run();
    ends_with(&ended, 1, &["readyloop: error: cannot connect to tls://"]);
    ends_with(&ended, 1, &["hint: type --ca FILE with the authority that signed it"]);
    secure.server.drain();

    let path = crate::support::ScratchPath::new("sock");
    let server = Serve::bare().listen(&format!("unix:{}", path.text())).start();
    ends_with(&bench(&format!("unix:{} -n 500", path.text())).run(), 0, &[]);
    server.drain();
}

#[test]
fn udp_works() {
    let server = Serve::bare().listen("udp://127.0.0.1:0").with("--udp-source-rate 1M --udp-total-rate 1M").start();
    let address = &server.addresses[0];
    let run = record(&format!("{address} -n 1000 -c 5 -s 1400B"));
    let (answered, lost) = (count(&run, "/requests/answered"), count(&run, "/requests/lost"));
    assert_eq!((answered + lost, run["config"]["transport"].as_str()), (1000, Some("udp")));
    assert!(lost < 10, "{lost} datagrams lost over loopback");
    let ended = bench(&format!("{} --udp -r 500 -d 200ms -w 0s", address.trim_start_matches("udp://"))).run();
    ends_with(&ended, 0, &[]);
    assert!(ended.out[0].starts_with("udp echo, ") && ended.out.join("\n").contains("lost "), "{:?}", ended.out);
    server.drain();
    let ended = bench("udp://127.0.0.1:1 -n 3 --timeout 100ms").run();
    ends_with(&ended, 1, &["no answer from udp://127.0.0.1:1"]);
}

#[test]
fn a_udp_server_on_all_addresses_is_measured() {
    let server = Serve::bare().listen("udp://0.0.0.0:0").start();
    let run = record(&format!("{} -n 100 -c 2", server.addresses[0]));
    assert_eq!((count(&run, "/requests/answered"), count(&run, "/requests/lost")), (100, 0));
    server.drain();
}

#[test]
fn lost_datagrams_point_at_the_rate_limit_of_a_server() {
    let server = Serve::bare().listen("udp://127.0.0.1:0").with("--udp-source-rate 10").start();
    let ended = bench(&format!("{} -n 200 -c 50 --timeout 200ms", server.addresses[0])).run();
    ends_with(&ended, 0, &[]);
    let text = ended.out.join("\n");
    assert!(text.contains("--udp-source-rate and --udp-total-rate change that"), "{text}");
    server.drain();
}

#[test]
fn a_datagram_that_cannot_be_sent_ends_the_run() {
    // Sending to a broadcast address needs an option that the generator does not set.
    let ended = bench("udp://255.255.255.255:9 -d 10m").run();
    ends_with(&ended, 1, &["readyloop: error: there were errors: "]);
    assert_eq!(ended.out[1].trim_start().split(" after").next(), Some("stopped"), "{:?}", ended.out);
}

#[test]
fn a_changed_byte_is_a_mismatch() {
    let altering = Stub::start(|bytes, count| {
        // Only the thousandth byte.
        if let Some(byte) = 999_u64.checked_sub(count).and_then(|index| bytes.get_mut(index as usize)) {
            *byte ^= 0x40;
        }
    });
    let ended = bench(&format!("{} -n 1000 -c 1", altering.address)).run();
    ends_with(&ended, 1, &["readyloop: error: ", "mismatch 1", "received other bytes than expected"]);
    ends_with(&ended, 1, &["hint: check that this is an echo server with raw framing"]);
    let ended = bench(&format!("{} -n 1000 -c 1 --no-verify", altering.address)).run();
    ends_with(&ended, 0, &[]);
    assert!(ended.out[0].ends_with("not verified"), "{}", ended.out[0]);
}

#[test]
fn a_refused_connection_is_one_error_line() {
    let ended = bench("127.0.0.1:1 -d 10s").run();
    ends_with(&ended, 1, &["readyloop: error: cannot connect to tcp://127.0.0.1:1", "refused"]);
    assert!(ended.out.is_empty() && ended.took < Duration::from_secs(5), "{:?}", ended.out);
    ends_with(&ended, 1, &["hint: no server listens there"]);
}

#[test]
fn a_resetting_server_differs_from_a_stuck_one() {
    let resetting = Stub::failing_after(640, |stream| {
        SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).expect("it is a socket");
    });
    let ended = bench(&format!("{} -n 1000 -c 2 --json", resetting.address)).run();
    ends_with(&ended, 1, &["reset"]);
    assert_eq!(data(&ended)["ending"], "abandoned");
    // The read returns when the peer closes.
    let stuck = Stub::failing_after(640, |stream| _ = stream.read(&mut [0]));
    let ended = bench(&format!("{} -d 1m -c 2 --timeout 500ms --json", stuck.address)).run();
    ends_with(&ended, 1, &["timed out 2", "no answer in time"]);
    assert_eq!(data(&ended)["errors"]["timed_out"], 2);
    assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
}

#[test]
fn a_closed_output_pipe_is_not_an_error() {
    let (server, address) = echo("");
    let arguments = format!("\"$0\" bench {address} -n 10 --json | true; echo ${{PIPESTATUS[0]}}");
    let shell = Program::start("bash", &["-c", &arguments, env!("CARGO_BIN_EXE_readyloop")]);
    shell.prints("0");
    assert_eq!(shell.ends(), Some(0));
    server.drain();
}

#[test]
fn an_exceeded_threshold_has_its_own_exit_status() {
    let (server, address) = echo("");
    ends_with(&bench(&format!("{address} -n 100 --fail-if p99>1m --fail-if rate<1")).run(), 0, &[]);
    let ended = bench(&format!("{address} -n 100 --fail-if p50>1ns")).run();
    ends_with(&ended, 3, &["a --fail-if threshold was exceeded: p50>1ns, measured "]);
    assert!(!ended.out.is_empty(), "the report is printed");
    server.drain();
}

#[test]
fn invalid_arguments_are_usage_errors() {
    for (arguments, part) in [
        ("", "required arguments were not provided: <ADDRESS>"),
        ("localhost", "has no port"),
        ("127.0.0.1:7 -c 0", "zero"),
        ("127.0.0.1:7 --fail-if fast", "--fail-if"),
        ("127.0.0.1:7 -r 0", "zero"),
        ("127.0.0.1:7 -n 5 -d 1s", "cannot be used with"),
        ("127.0.0.1:7 --churn -p 2", "cannot have a pipeline"),
        ("127.0.0.1:7 --source localhost", "not an IP address"),
        ("127.0.0.1:7 --source 192.0.2.1", "cannot connect from 192.0.2.1"),
        ("127.0.0.1:7 --source 224.0.0.1", "not the address of one host"),
        ("127.0.0.1:7 --source ::1", "cannot connect from ::1 to 127.0.0.1:7: one is IPv4, the other is IPv6"),
        ("udp://127.0.0.1:7 --source ::1", "one is IPv4, the other is IPv6"),
        ("127.0.0.1:7 -c 18446744073709551615", "connections, with the idle ones, must be 1 to "),
        ("127.0.0.1:7 -c 1 --idle 18446744073709551615", "connections, with the idle ones, must be 1 to "),
        ("127.0.0.1:7 -c 99999999999999999999", "--connections"),
        ("udp://127.0.0.1:7 -p 1000000000", "too many requests in flight: at most "),
        ("127.0.0.1:7 -p 18446744073709551615", "too many requests in flight: at most "),
        ("127.0.0.1:7 -c 2 --threads 3", "each of 3 threads needs a connection, and the number of connections is 2"),
        ("127.0.0.1:7 --threads 0", "zero"),
        ("127.0.0.1:7 -c 5000 --threads 1025", "the number of threads must be 1 to 1024"),
        ("127.0.0.1:7 -s 1GiB", "out of range: it must have 1 to "),
        ("127.0.0.1:7 -d 50000d", "--duration"),
        ("127.0.0.1:7 -d 101d", "the measured time must be at most 100 days"),
        ("127.0.0.1:7 -d never", "the measured time must be at most 100 days"),
        ("127.0.0.1:7 -w never", "the warm-up must be at most 100 days"),
        ("127.0.0.1:7 -r 11M", "a rate must be greater than 0 and at most "),
        ("127.0.0.1:7 --fail-if lost>NaN%", "must be 0% to 100%"),
        ("127.0.0.1:7 --fail-if p99>never", "is never compared with never"),
        ("127.0.0.1:7 --insecure", "--insecure needs a tls:// address"),
        ("unix:/tmp/a --tls", "--tls cannot be used with unix:/tmp/a"),
    ] {
        ends_with(&bench(arguments).run(), 2, &["readyloop: error: ", part]);
    }
}

#[test]
fn a_stall_shows_in_an_open_loop_and_hardly_in_a_closed_one() {
    let p99 = |flags: &str| {
        let stalling = Stub::stalling(Duration::from_secs(1), Duration::from_secs(10));
        let run = record(&format!("{} -c 10 -d 10s -w 0s {flags}", stalling.address));
        assert_eq!(count(&run, "/requests/failed"), 0);
        Duration::from_nanos(count(&run, "/latency_ns/p99"))
    };
    let open = p99("--rate 1000");
    assert!(open >= Duration::from_millis(900), "{open:?}");
    let closed = p99("");
    assert!(closed < Duration::from_millis(450), "{closed:?}");
}

#[test]
fn a_rate_that_is_not_reached_is_an_error() {
    let slow = Stub::stalling(Duration::from_millis(950), Duration::from_secs(1));
    let ended = bench(&format!("{} -c 1 -r 100k -d 500ms -w 0s --timeout 1s", slow.address)).run();
    assert_eq!(ended.code, Some(1), "{}", ended.log_text());
    let text = [ended.out.join("\n"), ended.log_text()].concat();
    assert!(text.contains("the rate was not reached: ") && text.contains(" of 100 k/s"), "{text}");
}

#[test]
fn limits_of_the_generator_are_not_errors_of_the_server() {
    let ended = bench("127.0.0.1:7 -c 1000").descriptors(64).run();
    ends_with(&ended, 1, &["too few descriptors for 1,000 connections: 1035 are needed, and the limit is 64"]);
    ends_with(&ended, 1, &["ulimit -n 1035"]);

    let (server, address) = echo("-v");
    let mut bench = started(&format!("{address} -c 200 --connect-rate 100 -d 100ms -w 0s"));
    server.logs("opened");
    // The check before the run has passed; this lower limit applies during the run.
    bench.running().limit_descriptors(40);
    assert_eq!(bench.wait(TIMEOUT), Some(1));
    let log = bench.errors.all().join("\n");
    assert!(log.contains("out of descriptors (generator)") && log.contains("raise it with `ulimit -n`"), "{log}");
    assert!(!log.contains("refused") && !log.contains("reset"), "{log}");
}

#[test]
fn nineteen_thousand_connections_are_cheap() {
    const MANY: usize = 19_000;
    if descriptor_limit() < MANY + 500 {
        crate::support::print_note("bench was NOT tested with 19,000 connections: too few descriptors");
        return;
    }
    let _machine = exclusive_machine();
    let (server, address) = echo("");
    let with = |connections: usize| {
        let bench = started(&format!("{address} -c {connections} -d 10m -w 0s --timeout 1m --json"));
        wait_until(TIMEOUT, "all are open", || bench.running().descriptors() > connections);
        bench
    };
    let (base, bench) = (with(1).running().memory_bytes(), with(MANY));
    // The kernel may try all used ports of one half of its range before each of the last connects, which
    // takes most of this CPU time.
    let cpu = bench.running().cpu();
    assert!(cpu / MANY as u32 <= Duration::from_micros(100), "{cpu:?} of CPU to open all connections");
    // In that time, most connections send a request.
    let requesting = Duration::from_secs(1);
    wait_until(TIMEOUT, "most have sent", || bench.running().cpu() >= cpu + requesting);
    let each = bench.running().memory_bytes().saturating_sub(base) / MANY;
    assert!(each <= 512, "{each} bytes for each connection");

    bench.signal("INT");
    bench.prints("readyloop.run");
    let run: Value = serde_json::from_str(&bench.out.all().join("\n")).expect("it is JSON");
    assert_eq!(bench.ends(), Some(0));
    assert_eq!(count(&run, "/connections/open_max"), MANY as u64);
    assert_eq!((count(&run, "/connections/failed"), count(&run, "/connections/broken")), (0, 0));
    server.drain();
}
