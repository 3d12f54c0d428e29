//! The servers of `examples/peers`, as far as this machine has their tools, are right echo servers.

use std::path::Path;

use crate::examples::{Example, LONG};
use crate::support::{Program, Serve, print_note};

/// The servers that `examples/peers/build` knows.
const PEERS: usize = 5;

/// Bytes, both ends of a connection, a reader that does not read, and clients that leave.
const ROWS: &str = "echo,segments,half-close,late-reader,data-with-end,slow-reader,close-unread,reset,backlog";

/// `NAME=COMMAND` of each server that can be built here. Prints a note for each other one.
fn built() -> Vec<String> {
    let mut build = Program::start("examples/peers/build", &[]);
    // Go compiles its standard library first.
    let code = build.wait(LONG);
    let (servers, errors) = (build.out.all(), build.errors.all());
    assert_eq!(code, Some(0), "{}", errors.join("\n"));
    let left_out: Vec<&String> = errors.iter().filter(|line| line.starts_with("left out")).collect();
    left_out.iter().for_each(|line| print_note(line));
    assert_eq!(servers.len() + left_out.len(), PEERS, "{servers:?} {errors:?}");
    servers
}

#[test]
fn each_peer_echoes_keeps_bytes_after_a_half_close_and_waits_for_a_slow_reader() {
    let tokio = Example::of(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/21_tokio_echo.rs"));
    let mut servers = built();
    servers.push(format!("tokio={} 127.0.0.1:{{port}}", tokio.program()));
    for server in servers {
        let (name, command) = server.split_once('=').expect("a line is NAME=COMMAND");
        let ended = Serve::command("conform --only").arg(ROWS).with("--server").arg(command).run_within(LONG);
        assert_eq!(ended.code, Some(0), "{name}: {}\n{}", ended.out.join("\n"), ended.log_text());
    }
}
