//! Recordings that are cut off, damaged, foreign or split into two files.

use std::fs;
use std::io::Cursor;
use std::time::Duration;

use readyloop::admission::EndpointPurpose;
use readyloop::faulty::Faulty;
use readyloop::net::Net;
use readyloop::recording::{Recording, RecordingOptions, Replay, ReplayError, Transcript};
use readyloop::service::Echo;
use readyloop::sim::World;
use readyloop::trace::TraceLog;
use readyloop::{Address, Lines, Listen, Server, ServerLimits};

use super::Memory;

fn address() -> Address {
    Address::Tcp("127.0.0.1:1".to_owned())
}

fn server<N: Net + 'static>(net: N) -> Server<N> {
    let mut server = Server::new(net, ServerLimits::default());
    server.listen(address(), Lines::new(), Echo::new()).expect("an endpoint");
    server
}

/// Serves some lines in a world without faults.
fn serve<N: Net + 'static>(world: &World, server: &mut Server<N>, lines: u32) {
    let peer = world.connect(&address());
    for line in 0..lines {
        peer.send(format!("line {line}\n").as_bytes());
        world.advance(Duration::from_millis(10), || server.turn(None)).expect("a simulated poll does not fail");
    }
}

/// A small recording, and its number of turns.
fn small_recording() -> (Vec<u8>, u64) {
    recording_of(3)
}

fn recording_of(lines: u32) -> (Vec<u8>, u64) {
    let (world, memory) = (World::new(1), Memory::default());
    let options = RecordingOptions::default();
    let mut server = server(Recording::to_writer(world.net(), memory.clone(), &options).expect("a recording"));
    serve(&world, &mut server, lines);
    let turns = server.net().turns();
    drop(server);
    (memory.bytes(), turns)
}

/// Replays to the end, and returns the number of complete turns.
fn replay(recording: &[u8]) -> Result<u64, String> {
    let net = Replay::from_reader(Cursor::new(recording.to_vec())).map_err(|error| error.to_string())?;
    let mut server = Server::new(net, ServerLimits::default());
    server.listen(address(), Lines::new(), Echo::new()).map_err(|error| error.to_string())?;
    while !server.net().is_last() {
        server.turn(None).map_err(|error| error.to_string())?;
    }
    Ok(server.net().turns())
}

#[test]
fn a_recording_that_is_cut_anywhere_replays_to_its_last_whole_turn() {
    let (recording, turns) = small_recording();
    assert_eq!(replay(&recording), Ok(turns));
    let mut replayed = Vec::new();
    for len in 0..recording.len() {
        match replay(&recording[..len]) {
            Ok(turns) => replayed.push(turns),
            Err(error) => {
                assert!(replayed.is_empty(), "{len} bytes: {error}");
                let is_known =
                    error == ReplayError::NotARecording.to_string() || error == ReplayError::Empty.to_string();
                assert!(is_known, "{len} bytes: {error}");
            }
        }
    }
    assert!(replayed.is_sorted(), "{replayed:?}");
    replayed.dedup();
    assert_eq!(replayed, (0..turns).collect::<Vec<_>>());
}

#[test]
fn a_changed_byte_is_an_error_or_ends_the_replay_early() {
    let (recording, turns) = small_recording();
    for position in 0..recording.len() {
        for bit in [0, 3, 7] {
            let mut changed = recording.clone();
            changed[position] ^= 1 << bit;
            let result = replay(&changed);
            assert!(result.as_ref().map_or(true, |replayed| *replayed < turns), "byte {position}: {result:?}");
        }
    }
}

#[track_caller]
fn check(file: &[u8], expected: &ReplayError) {
    assert_eq!(replay(file), Err(expected.to_string()));
}

#[test]
fn a_foreign_file_is_not_replayed() {
    let (mut recording, _) = small_recording();
    check(b"", &ReplayError::NotARecording);
    check(&[0; 100_000], &ReplayError::NotARecording);
    check(b"GET / HTTP/1.1\r\n\r\n", &ReplayError::NotARecording);
    recording[8] = 2;
    check(&recording, &ReplayError::Version(2));
}

#[test]
fn another_service_is_reported_with_its_turn() {
    let (recording, _) = small_recording();
    let net = Replay::from_reader(Cursor::new(recording)).expect("a recording");
    let mut server = Server::new(net, ServerLimits::default());
    server.listen(address(), Lines::new(), Echo::with_prefix("> ")).expect("an endpoint");
    let error = server.run().expect_err("the answers differ");
    let expected =
        "the loop asked for a write of 9 bytes to stream 0, and the recording has a write of 7 bytes to stream 0";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert_eq!(error.to_string(), server.net().failure().expect("a failure").to_string());
}

#[test]
fn a_long_recording_keeps_its_last_turns_in_two_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("run.rec");
    let record = |lines| {
        let world = World::new(1);
        let options = RecordingOptions { len_max: 8192, ..RecordingOptions::default() };
        let mut server = server(Recording::create(world.net(), &path, options).expect("a recording"));
        serve(&world, &mut server, lines);
        server.net().turns()
    };
    let replay = || {
        let mut server = server(Replay::open(&path)?);
        while !server.net().is_last() {
            server.turn(None).expect("an equal replay");
        }
        Ok::<_, ReplayError>(server.net().turns())
    };
    let lens =
        || [&path, &directory.path().join("run.rec.old")].map(|path| fs::metadata(path).map_or(0, |it| it.len()));

    // The second recording renames the first one.
    assert_eq!(record(3), replay().expect("a short recording"));
    assert_eq!(record(3), replay().expect("a short recording"));
    assert!(lens().iter().all(|len| (100..4096).contains(len)), "{:?}", lens());

    let lines = (10..).find(|lines| recording_of(*lines).0.len() > 5000).expect("a recording that fills a file");
    assert_eq!(record(lines), replay().expect("a recording in two files"));

    let turns = record(1000);
    assert!(lens().iter().all(|len| *len <= 4096), "{:?}", lens());
    let Err(ReplayError::NoBeginning { turn }) = replay() else { panic!("the first turns are lost") };
    assert!((1..turns).contains(&turn), "{turn} of {turns}");

    // The calls that are left can be read.
    let log = TraceLog::new();
    let mut transcript = Transcript::open(&path, log.clone()).expect("a recording");
    let mut read = Vec::new();
    while let Some((turn, _)) = transcript.read_turn().expect("whole turns") {
        assert!(!log.take().is_empty(), "turn {turn} has no event");
        read.push(turn);
    }
    assert_eq!(read, (turn..=turns).collect::<Vec<_>>());
}

#[test]
fn a_recording_below_faults_has_requests_and_notes_and_no_administration() {
    let (world, memory) = (World::new(1), Memory::default());
    let recording = Recording::to_writer(world.net(), memory.clone(), &RecordingOptions::default());
    let plan = "short-read=0".parse().expect("a plan without faults");
    let mut recorded = server(Faulty::new(recording.expect("a recording"), plan));
    let mut admin = Listen::from(Address::Tcp("127.0.0.1:2".to_owned()));
    admin.purpose = EndpointPurpose::Administration;
    recorded.listen(admin, Lines::new(), Echo::new()).expect("an endpoint");
    recorded.net().note("a note");
    serve(&world, &mut recorded, 3);
    recorded.handle().drain();
    world.advance(Duration::from_secs(1), || recorded.turn(None)).expect("a simulated poll does not fail");
    let totals = recorded.totals();
    drop(recorded);

    let mut replayed = server(Replay::from_reader(Cursor::new(memory.bytes())).expect("a recording"));
    assert_eq!(replayed.net().take_notes(), ["a note"]);
    while !replayed.net().is_last() {
        replayed.turn(None).expect("an equal replay");
    }
    assert_eq!((replayed.net().failure(), replayed.totals()), (None, totals));
}
