//! The output of a server: listening lines, ready file, warnings and totals.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use crate::support::{
    Duplex as _, Ended, ScratchPath, Serve, Summary, TIMEOUT, echoes, has_ipv6, read_to_the_end, wait_until,
};

#[track_caller]
fn warnings(ended: &Ended) -> Vec<&String> {
    ended.log.iter().filter(|line| line.contains("WARN")).collect()
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
        echoes(&mut server.connect(), b"hello");
        assert_eq!(server.drain().out.len(), 1, "one line and no more");
    }
}

#[test]
fn listening_lines_have_the_order_of_the_flags() {
    let path = ScratchPath::new("sock");
    let unix = format!("unix:{}", path.text());
    let server = Serve::bare().listen("127.0.0.2:0").listen(&unix).listen("127.0.0.1:0").start();
    assert!(server.addresses[0].starts_with("tcp://127.0.0.2:"));
    assert_eq!(server.addresses[1], unix);
    assert!(server.addresses[2].starts_with("tcp://127.0.0.1:"));
    server.drain();
    assert!(!fs::exists(path.text()).unwrap(), "the path is removed at exit");
}

#[test]
fn the_ready_file_holds_the_same_lines_while_the_server_listens() {
    let path = ScratchPath::new("ready");
    fs::write(path.text(), "listening on something older\n").unwrap();
    let server = Serve::new().listen("127.0.0.2:0").with("--ready-file").arg(path.text()).start();
    let expected: String = server.addresses.iter().map(|address| format!("listening on {address}\n")).collect();
    wait_until(TIMEOUT, "the ready file exists", || fs::read_to_string(path.text()).is_ok_and(|text| text == expected));
    server.drain();
    assert!(!fs::exists(path.text()).unwrap(), "the ready file is removed at exit");
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
    let ended = Serve::bare().listen("0.0.0.0:0").listen("0.0.0.0:0").start().drain();
    assert_eq!(warnings(&ended).len(), 1, "{}", ended.log_text());
    let ended = Serve::bare().listen("127.0.0.1:0").listen("127.0.0.2:0").start().drain();
    assert_eq!(warnings(&ended), Vec::<&String>::new());
}

#[test]
fn a_capped_backlog_is_a_warning() {
    let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let somaxconn: u64 = somaxconn.trim().parse().unwrap();
    let ended = Serve::new().with("--backlog").arg(&(somaxconn + 1).to_string()).start().drain();
    assert_eq!(warnings(&ended).len(), 1, "{}", ended.log_text());
    assert!(warnings(&ended)[0].contains("somaxconn"), "{}", ended.log_text());
    let ended = Serve::new().with("--backlog").arg(&somaxconn.to_string()).start().drain();
    assert_eq!(warnings(&ended), Vec::<&String>::new());
}

#[test]
fn too_many_connections_for_the_descriptor_limit_are_a_warning() {
    let ended = Serve::new().descriptors(100).with("--max-connections 1000").start().drain();
    assert_eq!(warnings(&ended).len(), 1, "{}", ended.log_text());
    assert!(warnings(&ended)[0].contains("1000") && warnings(&ended)[0].contains("100"), "{}", ended.log_text());
    let ended = Serve::new().descriptors(100).with("--max-connections 10").start().drain();
    assert_eq!(warnings(&ended), Vec::<&String>::new());
}

#[test]
fn sigusr1_logs_the_totals_and_keeps_connections() {
    let server = Serve::new().start();
    let mut stream = server.connect();
    echoes(&mut stream, b"12345");
    server.signal("USR1");
    server.logs("; closed: ");
    let totals = Summary::among(&server.log.all());
    assert_eq!((totals.connections, totals.open, totals.bytes_in, totals.bytes_out), (1, 1, 5, 5));
    assert_eq!(totals.closed_in_all(), 0);
    echoes(&mut stream, b"67890");
    drop(stream);
    server.drain();
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
fn data_of_a_peer_adds_no_listening_line() {
    let server = Serve::new().start();
    let mut stream = server.connect();
    echoes(&mut stream, b"listening on tcp://elsewhere\n");
    drop(stream);
    assert_eq!(server.drain().out.len(), 1);
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
        Err(ended) => {
            assert!(ended.log_text().contains("cannot listen on 127.0.0.1:7007"), "{}", ended.log_text());
        }
    }
}
