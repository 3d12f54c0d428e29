//! SIGHUP: the configuration file is read again, without effect on open connections that keep within the new limits.

use std::fs;
use std::io::Write as _;

use crate::admin;
use crate::support::{
    Duplex as _, ScratchPath, Serve, Server, StreamEnd, TIMEOUT, connect, echoes, read_exactly, read_to_the_end,
    same_bytes, wait_until,
};

/// A server with the settings of a file with this text.
fn start(text: &str) -> (Server, ScratchPath) {
    let file = ScratchPath::with_text("reload.toml", text);
    (Serve::new().arg("--config").arg(file.text()).start(), file)
}

/// Replaces the text of the file, sends SIGHUP and waits for the answer in the log. Returns the line.
#[track_caller]
fn reload(server: &Server, file: &ScratchPath, text: &str, answer: &str) -> String {
    fs::write(file.text(), text).expect("the file is ours");
    let find = |lines: &[String]| lines.iter().rev().find(|line| line.contains("reload")).cloned();
    let before = server.log.all().iter().filter(|line| line.contains("reload")).count();
    server.signal("HUP");
    let answered = |lines: &[String]| lines.iter().filter(|line| line.contains("reload")).count() > before;
    assert!(server.log.wait_for(TIMEOUT, answered), "no answer:\n{}", server.log.all().join("\n"));
    let line = find(&server.log.all()).expect("it was just counted");
    assert!(line.ends_with(answer), "{line}\nand not {answer}");
    line
}

#[test]
fn a_changed_file_changes_limits_and_the_log_level_while_connections_stay() {
    let (server, file) = start("idle-timeout = 'never'\nframing = 'lines'\n");
    let mut open = server.connect();
    echoes(&mut open, b"before\n");
    let before = server.log.count();

    let text = "idle-timeout = 'never'\nframing = 'lines'\nmax-connections = 2\nframe-len-max = 10\nverbose = 1\n";
    reload(&server, &file, text, "reload: changed frame-len-max, max-connections, verbose");
    echoes(&mut open, b"after\n");
    let mut long = server.connect();
    long.write_all(b"longer than ten\n").expect("it is connected");
    assert_eq!(read_to_the_end(&mut long).0, b"", "the frame is too long");
    drop(long);
    server.logs("frame-too-long");
    assert!(server.log.all()[before..].iter().any(|line| line.contains("DEBUG")), "each connection is logged");

    // A lower cap closes no connection, and a higher one accepts what waits.
    let mut second = server.connect();
    echoes(&mut second, b"second\n");
    reload(&server, &file, &text.replace("= 2", "= 1"), "reload: changed max-connections");
    let mut waiting = connect(server.address());
    waiting.write_all(b"waiting\n").expect("the kernel has accepted it");
    echoes(&mut open, b"open\n");
    echoes(&mut second, b"open\n");
    reload(&server, &file, &text.replace("= 2", "= 3"), "reload: changed max-connections");
    same_bytes(&read_exactly(&mut waiting, 8), b"waiting\n");

    // The longest idle connection is finished.
    reload(&server, &file, "framing = 'lines'\nidle-timeout = '100ms'\n", "max-connections, verbose");
    for stream in [&mut open, &mut second, &mut waiting] {
        assert_eq!(read_to_the_end(stream), (Vec::new(), StreamEnd::Clean));
    }
    server.drain();
}

/// Waits until the metrics show whether the last reload was successful.
#[track_caller]
pub(crate) fn shows_last_reload(server: &Server, is_successful: bool) {
    let line = format!("\nreadyloop_last_reload_successful {}\n", u8::from(is_successful));
    let admin = server.administration();
    wait_until(TIMEOUT, &line, || admin::response(&admin, "/metrics").contains(&line));
}

#[test]
fn a_wrong_file_changes_nothing_and_what_needs_a_restart_is_named() {
    let file = ScratchPath::with_text("reload.toml", "idle-timeout = '1h'\n");
    let server = Serve::new().with("--admin 127.0.0.1:0").arg("--config").arg(file.text()).start();
    let shows = |is_successful| shows_last_reload(&server, is_successful);
    shows(true);
    let failed = "reload failed, and all settings stay as they are: ";
    let name = file.text();
    let wrong = "idle-timeout = '100ms'\nidel-timeout = '1s'\n";
    let hint = "unknown key `idel-timeout` (a similar key exists: `idle-timeout`)";
    reload(&server, &file, wrong, &format!("{failed}{name}:2: {hint}"));
    shows(false);
    let line = reload(&server, &file, "idle-timeout = '100ms'\nqueue-low = '1MiB'\n", "a quarter of --queue-high)");
    assert!(line.contains(&format!("{failed}--queue-low 1MiB must be less than --queue-high 128KiB")), "{line}");
    fs::remove_file(name).expect("the file is ours");
    server.signal("HUP");
    server.logs(&format!("{failed}cannot read {name}: no such file"));

    let mut open = server.connect();
    let restart = "idle-timeout = '1h'\nbacklog = 7\nlisten = '127.0.0.1:1'\n";
    // The address is a flag, which overrides the file.
    reload(&server, &file, restart, "reload: backlog needs a restart to change");
    shows(true);
    reload(&server, &file, "idle-timeout = '1h'\n", &format!("reload: no change in {name}"));
    echoes(&mut open, b"open");
    open.finish();
    server.drain();
}

#[test]
fn a_reload_without_a_file_logs_that_there_is_nothing_to_read() {
    let server = Serve::new().start();
    server.signal("HUP");
    server.logs("nothing to reload: no --config and no --cert");
    server.drain();
}

#[test]
fn a_configuration_from_a_pipe_is_not_waited_for() {
    let fifo = ScratchPath::directory("reload-fifo");
    let path = format!("{}/server.toml", fifo.text());
    fs::write(&path, "backlog = 7\n").expect("the folder is ours");
    let server = Serve::new().arg("--config").arg(&path).start();
    fs::remove_file(&path).expect("the file is ours");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo is installed");
    assert!(made.success());
    server.signal("HUP");
    server.logs("server.toml again: it is not a regular file");
    echoes(&mut server.connect(), b"hello");
    server.drain();
}
