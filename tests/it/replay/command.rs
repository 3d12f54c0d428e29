//! `serve --record` and `replay`: the real process, its files and its exit status.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Behavior, Crowd, Ended, KIB, Program, ScratchPath, Serve, TIMEOUT, echoes};

fn replay(file: &str, flags: &str) -> Ended {
    Serve::command("replay").arg(file).with(flags).run()
}

/// The line of the log with the totals, without its time and level.
fn totals(ended: &Ended) -> &str {
    let line = ended.log.iter().rev().find(|line| line.contains("; closed: ")).expect("totals at the end");
    let (_, totals) = line.split_once("] ").or_else(|| line.split_once("INFO ")).unwrap_or(("", line));
    totals.trim()
}

#[track_caller]
fn replays_equally(file: &str, flags: &str, ended: &Ended) {
    let replayed = replay(file, flags);
    assert_eq!(replayed.code, Some(0), "{}", replayed.log_text());
    assert!(replayed.out.iter().any(|line| line == totals(ended)), "{}\n{:?}", totals(ended), replayed.out);
}

#[test]
fn a_server_with_all_kinds_of_addresses_replays_to_the_same_totals() {
    let directory = ScratchPath::directory("recording");
    let path = |name: &str| format!("{}/{name}", directory.text());
    let (file, config) = (path("run.rec"), path("server.toml"));
    fs::write(&config, "framing = 'lines'\n").expect("the directory is writable");
    let unix = format!("unix:{}", path("echo.sock"));
    let server = Serve::new().listen("tls://127.0.0.1:0").listen("udp://127.0.0.1:0").listen(&unix);
    let server = server.with("--self-signed --record-bytes --admin 127.0.0.1:0").arg("--record").arg(&file);
    let server = server.arg("--config").arg(&config).start();

    echoes(&mut server.connect(), b"a line\n");
    let at =
        |scheme: &str| server.addresses.iter().find_map(|address| address.strip_prefix(scheme)).expect("it listens");
    let bench = format!("bench --framing lines --insecure -c 5 -d 200ms --size 100 tls://{}", at("tls://"));
    assert_eq!(Serve::command(&bench).run().code, Some(0));
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    udp.send_to(b"datagram", at("udp://")).expect("loopback takes it");
    udp.set_read_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
    assert_eq!(udp.recv(&mut [0; 100]).expect("an answer"), 8);
    let scraped = Serve::command(&format!("stat --count 2 --interval 100ms {}", server.administration())).run();
    assert_eq!(scraped.code, Some(0), "{}", scraped.log_text());

    let silent = server.connect();
    fs::write(&config, "framing = 'lines'\nidle-timeout = '50ms'\n").expect("the file is writable");
    server.signal("HUP");
    server.logs("reload: changed idle-timeout");
    crate::support::read_to_the_end(&mut &silent);
    let ended = server.drain();
    assert_eq!(ended.summary().closed("idle-timeout"), 1);
    replays_equally(&file, "", &ended);

    let (page, trace) = (path("run.html"), path("run.json"));
    let outputs = Serve::command("replay --story").arg(&file).arg("--html").arg(&page).arg("--trace").arg(&trace).run();
    assert_eq!(outputs.code, Some(0), "{}", outputs.log_text());
    for part in ["\"a line\"", "on_close"] {
        assert!(outputs.out.iter().any(|line| line.contains(part)), "no `{part}`");
    }
    assert!([&page, &trace].iter().all(|path| fs::metadata(path).is_ok_and(|file| file.len() > 1000)));
}

#[test]
fn a_recording_without_bytes_replays_raw_frames_and_refuses_others() {
    let directory = ScratchPath::directory("recording");
    let file = format!("{}/run.rec", directory.text());
    let server = Serve::new().arg("--record").arg(&file).start();
    let mut crowd = Crowd::new();
    crowd.join(server.address(), 50, Behavior::Repeats { len: 10 * KIB as u64 });
    crowd.run_for(Duration::from_millis(300));
    drop(crowd);
    replays_equally(&file, "", &server.drain());

    let server = Serve::new().with("--framing lines").arg("--record").arg(&file).start();
    echoes(&mut server.connect(), b"a line\n");
    server.drain();
    // An output that cannot be written does not hide the difference.
    for flags in ["", "--html /dev/full"] {
        let replayed = replay(&file, flags);
        assert_eq!(replayed.code, Some(1));
        assert!(replayed.log_text().contains("the replay differs in turn "), "{}", replayed.log_text());
        assert!(
            replayed.log_text().contains("hint: record with --record-bytes, or add --calls"),
            "{}",
            replayed.log_text()
        );
    }
}

#[test]
fn a_killed_server_replays_to_its_last_whole_turn() {
    let directory = ScratchPath::directory("recording");
    let file = format!("{}/run.rec", directory.text());
    for round in 0..5 {
        let server = Serve::new().with("--record-bytes").arg("--record").arg(&file).start();
        let mut crowd = Crowd::new();
        crowd.join(server.address(), 20, Behavior::Repeats { len: 1000 });
        crowd.run_for(Duration::from_millis(100 + 20 * round));
        server.signal("KILL");
        assert_eq!(server.wait(TIMEOUT).code, None);
        let replayed = replay(&file, "");
        assert_eq!(replayed.code, Some(0), "{}", replayed.log_text());
        assert!(replayed.out[0].starts_with("20 connections, 20 open"), "{:?}", replayed.out);
        assert!(replayed.out[1].ends_with("; the recording ends before the server does"), "{:?}", replayed.out);
    }
}

#[test]
fn the_state_of_each_connection_is_printed_at_a_turn() {
    let directory = ScratchPath::directory("recording");
    let file = format!("{}/run.rec", directory.text());
    let server = Serve::new().arg("--record").arg(&file).start();
    let mut first = server.connect();
    echoes(&mut first, b"hello");
    echoes(&mut server.connect(), b"hello");
    drop(first);
    server.drain();
    let at_end = replay(&file, "--until 1000000");
    assert_eq!((at_end.code, at_end.out[0].as_str()), (Some(0), "no connection"), "{:?}", at_end.out);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_readyloop"));
    command.args(["replay", &file, "--until", "3", "--pause"]);
    let mut replay = Program::run(command);
    replay.prints("127.0.0.1:");
    replay.prints("waits before turn 3");
    replay.type_in("\n");
    replay.prints("every call is equal");
    assert_eq!(replay.ends(), Some(0));
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_server() {
    // Every write to this device fails as on a full disk, but it is no regular file.
    let refused = Serve::new().with("--record /dev/full").run();
    assert_eq!(refused.code, Some(1), "{}", refused.log_text());
    assert!(refused.log_text().contains("something other than a regular file exists there"), "{}", refused.log_text());

    // The limit on the length of files is like a full disk.
    let directory = ScratchPath::directory("recording");
    let file = format!("{}/run.rec", directory.text());
    let server = Serve::new().with("--record-bytes").arg("--record").arg(&file).file_blocks(64).start();
    let mut stream = server.connect();
    let deadline = Instant::now() + TIMEOUT;
    // The file has its name from its first block on.
    while fs::metadata(&file).map_or(0, |file| file.len()) < 32 * KIB as u64 {
        assert!(Instant::now() < deadline, "the recording does not grow");
        echoes(&mut stream, &[7; 1000]);
    }
    echoes(&mut stream, &[7; 1000]);
    echoes(&mut stream, &[7; 1000]);
    server.logs("the recording ends in turn ");
    echoes(&mut stream, b"still here");
    drop(stream);
    assert_eq!(server.drain().summary().connections, 1);
    assert_eq!(replay(&file, "").code, Some(0));
}

#[test]
fn a_server_that_cannot_start_leaves_the_recording_of_a_running_one() {
    let folder = ScratchPath::directory("recordings");
    let file = format!("{}/run.rec", folder.text());
    let record = |serve: Serve| serve.arg("--record").arg(&file).with("--record-bytes");
    let server = record(Serve::new()).start();
    echoes(&mut server.connect(), b"hello");
    let address = format!("tcp://{}", server.address());
    for _ in 0..2 {
        assert_eq!(record(Serve::bare().listen(&address)).run().code, Some(1), "the address is in use");
    }
    let ended = server.drain();
    replays_equally(&file, "", &ended);
    assert_eq!(fs::read_dir(folder.text()).expect("it is ours").count(), 1, "nothing else is left");
}

#[test]
fn wrong_flags_and_files_are_refused_with_a_hint() {
    #[track_caller]
    fn check(command: Serve, code: i32, message: &str, hint: &str) {
        let ended = command.run();
        assert_eq!(ended.code, Some(code), "{}", ended.log_text());
        assert!(ended.log_text().contains(message) && ended.log_text().contains(hint), "{}", ended.log_text());
    }
    check(Serve::new().with("--record-bytes"), 2, "--record-bytes needs --record FILE", "add --record FILE");
    check(Serve::new().with("--record a --design pool"), 2, "--record needs --design reactor", "remove");
    check(
        Serve::new().with("--cert a --key b --record b"),
        2,
        "--record would replace the file of --key",
        "type another path",
    );
    check(
        Serve::new().with("--record a --ready-file a.old"),
        2,
        "is the path of another output",
        "type a different path",
    );
    check(Serve::command("replay a --html ./a"), 2, "--html would replace the recording ./a", "type another path");
    check(Serve::command("replay a --trace a.old"), 2, "--trace would replace the recording", "type another path");
    check(
        Serve::new().with("--record /nonexistent/a"),
        2,
        "cannot write --record /nonexistent/a",
        "writable directory",
    );
    check(Serve::command("replay /nonexistent"), 1, "cannot read the recording: no such file", "--record FILE");
    check(Serve::command("replay Cargo.toml"), 1, "the file is not a recording", "--record FILE");
    check(Serve::command("replay Cargo.toml --pause"), 2, "--until", "");
    assert!(!Path::new("a").exists());
}
