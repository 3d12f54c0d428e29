//! The output of a server: listening lines, ready file, warnings and totals.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use crate::support::{Duplex as _, ScratchPath, Serve, TIMEOUT, echoes, has_ipv6, read_to_the_end, wait_until};

/// Starts and drains a server, whose log has one warning with all `parts`, or none if there are no parts.
#[track_caller]
fn check_warning(serve: Serve, parts: &[&str]) {
    let ended = serve.start().drain();
    let warnings: Vec<&String> = ended.log.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), usize::from(!parts.is_empty()), "{}", ended.log_text());
    assert!(parts.iter().all(|part| warnings[0].contains(part)), "not all of {parts:?} in {}", ended.log_text());
}

#[test]
fn the_line_on_standard_output_names_the_real_port() {
    let v6 = has_ipv6().then_some(("[::1]:0", "tcp://[::1]:"));
    let v4 =
        [("tcp://127.0.0.1:0", "tcp://127.0.0.1:"), ("127.0.0.2:0", "tcp://127.0.0.2:"), ("localhost:0", "tcp://")];
    for (address, expected) in v4.into_iter().chain(v6) {
        let server = Serve::bare().listen(address).start();
        let bound = &server.addresses[0];
        assert!(bound.starts_with(expected) && !bound.ends_with(":0"), "{bound}");
        // A peer adds no such line.
        echoes(&mut server.connect(), b"listening on tcp://elsewhere\n");
        assert_eq!(server.drain().out.len(), 1, "one line and no more");
    }
}

#[test]
fn listening_lines_have_the_order_of_the_flags_and_are_in_the_ready_file() {
    let (path, ready) = (ScratchPath::new("sock"), ScratchPath::with_text("ready", "listening on something older\n"));
    let unix = format!("unix:{}", path.text());
    let serve = Serve::bare().listen("127.0.0.2:0").listen(&unix).listen("127.0.0.1:0");
    let server = serve.with("--ready-file").arg(ready.text()).start();
    assert!(server.addresses[0].starts_with("tcp://127.0.0.2:"));
    assert_eq!(server.addresses[1], unix);
    assert!(server.addresses[2].starts_with("tcp://127.0.0.1:"));
    let lines: String = server.addresses.iter().map(|address| format!("listening on {address}\n")).collect();
    wait_until(TIMEOUT, "the ready file exists", || fs::read_to_string(ready.text()).is_ok_and(|text| text == lines));
    server.drain();
    assert!(!fs::exists(path.text()).unwrap(), "the path is removed at exit");
    assert!(!fs::exists(ready.text()).unwrap(), "the ready file is removed at exit");
}

#[test]
fn a_closed_standard_output_ends_the_server_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Serve::new().stdout(Stdio::from(writer)).run();
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    assert!(!ended.log_text().contains("error"), "{}", ended.log_text());
}

#[test]
fn non_loopback_addresses_are_one_warning() {
    check_warning(Serve::bare().listen("0.0.0.0:0").listen("0.0.0.0:0"), &[""]);
    check_warning(Serve::bare().listen("127.0.0.1:0").listen("127.0.0.2:0"), &[]);
}

#[test]
fn a_value_above_a_limit_of_the_system_is_a_warning() {
    let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let somaxconn: u64 = somaxconn.trim().parse().unwrap();
    check_warning(Serve::new().with(&format!("--backlog {}", somaxconn + 1)), &["somaxconn"]);
    check_warning(Serve::new().with(&format!("--backlog {somaxconn}")), &[]);
    check_warning(Serve::new().descriptors(100).with("--max-connections 1000"), &["1000", "100"]);
    check_warning(Serve::new().descriptors(100).with("--max-connections 10"), &[]);
}

#[test]
fn the_last_line_has_the_totals() {
    let server = Serve::new().with("--framing lines").start();
    echoes(&mut server.connect(), b"hello\n");
    let mut unfinished = server.connect();
    unfinished.write_all(b"hell").unwrap();
    unfinished.finish();
    read_to_the_end(&mut unfinished);
    let ended = server.drain();
    let (summary, last) = (ended.summary(), ended.log.last().unwrap());
    assert!(last.contains("; closed: ") && last.ends_with(" s"), "{last}");
    assert_eq!((summary.connections, summary.open, summary.refused), (2, 0, 0));
    assert_eq!((summary.bytes_in, summary.bytes_out), (10, 6));
    assert_eq!((summary.closed("finished"), summary.closed("partial-frame")), (1, 1));
}

#[test]
fn the_default_is_echo_on_loopback_port_7007() {
    match Serve::bare().expect_listeners(1).try_start() {
        Ok(server) => {
            assert_eq!(server.addresses, ["tcp://127.0.0.1:7007"]);
            echoes(&mut server.connect(), b"hello");
            server.drain();
        }
        // Another process uses the port: the error names the default address.
        Err(ended) => assert!(ended.log_text().contains("cannot listen on 127.0.0.1:7007"), "{}", ended.log_text()),
    }
}
