//! The log of small runs in the simulated world.

use std::time::Duration;

use super::*;
use crate::admission::{Listen, ServerLimits};
use crate::codec::Lines;
use crate::event_loop::EventLoop;
use crate::net::{Address, Event, Net as _, Token};
use crate::service::Echo;
use crate::sim::{Fault, Faults, SimNet, World};
use crate::trace::{TraceEntry, TraceLog};
use crate::watermark::Watermarks;

/// An echo of lines in a world with small buffers, and its observer.
struct SmallRun {
    world: World,
    server: EventLoop<SimNet>,
    observer: RunObserver,
    log: TraceLog,
    address: Address,
}

impl SmallRun {
    fn start() -> Self {
        let log = TraceLog::new();
        let world = World::new(3).with_kernel_buffer(100).with_log(log.clone());
        let mut server = EventLoop::new(world.net(), ServerLimits::default());
        let address: Address = "127.0.0.1:7007".parse().unwrap();
        let limits = Limits { queue: Watermarks::new(10, 50), ..Limits::default() };
        let service = Observed::new(Echo::new(), CallbackLog::new(0, log.clone()));
        server.listen(Listen { limits, ..Listen::from(address.clone()) }, Lines::new(), service).unwrap();
        let observer = RunObserver::new("A test", log.clone()).with_service("echo");
        Self { world, server, observer, log, address }
    }

    fn settle(&mut self) {
        self.advance(Duration::ZERO);
    }

    fn advance(&mut self, span: Duration) {
        let Self { world, server, observer, .. } = self;
        let turn = || {
            server.turn(None)?;
            observer.after_turn(server, &world.kernel_buffers());
            std::io::Result::Ok(())
        };
        world.advance(span, turn).unwrap();
    }

    /// A peer that sends five lines and reads no reply.
    fn with_a_slow_reader(mut self) -> Self {
        let peer = self.world.connect(&self.address);
        peer.stop_reading();
        peer.send(&[&[b'x'; 59][..], b"\n"].concat().repeat(5));
        self.settle();
        peer.resume_reading();
        self.settle();
        peer.finish();
        self.settle();
        self
    }
}

/// Asserts that the story has these parts in this order.
#[track_caller]
fn check_order(story: &str, parts: &[&str]) {
    let mut rest = story;
    for part in parts {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("no `{part}` at its place:\n{story}"));
        rest = after;
    }
}

#[test]
fn a_slow_reader_is_paused_and_resumed_in_the_story() {
    let story = SmallRun::start().with_a_slow_reader().observer.into_log().story().to_string();
    check_order(
        &story,
        &[
            "A test\n  tcp://127.0.0.1:7007: echo\n",
            "pauses at 50 bytes in the queue and resumes at 10 bytes",
            "the server accepts peer 0 and registers it",
            "callback on_open: peer 0, 10.0.0.1:1024",
            "= peer 0 may be idle until 300 s (idle timeout) (lesson 8)",
            "callback on_frame: peer 0, 59 bytes",
            "the queue of peer 0 holds 20 bytes, until peer 0 is writable",
            "= reading from peer 0 pauses: ",
            "= peer 0 is readable and not read: no second event will come",
            "= the queue of peer 0 is empty again",
            "= reading from peer 0 resumes: its queue holds 0 bytes, low watermark 10",
            "callback on_close: peer 0, finished",
            "Lessons in src/guide/course/: ",
        ],
    );
}

#[test]
fn the_changes_of_all_turns_lead_to_the_state_of_the_loop() {
    let mut run = SmallRun::start().with_a_slow_reader();
    run.world.connect(&run.address).send(b"hello");
    run.settle();
    let (snapshot, log) = (run.server.snapshot(), run.observer.into_log());
    let mut states = std::collections::BTreeMap::new();
    for (wire, state) in log.turns.iter().flat_map(|turn| &turn.changes) {
        match state {
            Some(state) => drop(states.insert(*wire, *state)),
            None => drop(states.remove(wire)),
        }
    }
    let peer = &snapshot.endpoints[0].peers[0];
    let state = states[&1];
    assert_eq!(states.len(), 1, "{states:?}");
    assert_eq!((state.input_len, state.output_len, state.deadline), (5, 0, peer.deadline));
    assert_eq!(state.kernel.map(|kernel| kernel.unread_max), Some(100));
    assert_eq!((log.connections[1].name.as_str(), log.connections[1].address.as_str()), ("peer 1", "10.0.0.2:1024"));
}

#[test]
fn a_deadline_that_passes_is_the_reason_in_the_story() {
    let mut run = SmallRun::start();
    run.world.connect(&run.address);
    run.advance(Duration::from_secs(400));
    let story = run.observer.into_log().story().to_string();
    check_order(&story, &["turn 3, at 300 s", "= the connection of peer 0 ends: idle-timeout (lesson 8)"]);
}

#[test]
fn a_filter_leaves_out_other_peers_and_keeps_remarks() {
    let mut run = SmallRun::start();
    let peers = [(); 2].map(|()| run.world.connect(&run.address));
    peers.iter().for_each(|peer| peer.send(b"hello\n"));
    run.log.add(TraceEntry::Note("Both peers send.".to_owned()));
    run.settle();
    let log = run.observer.into_log();
    let story = log.story().of_peer(Some(1)).to_string();
    assert!(story.contains("Both peers send.") && story.contains("peer 1 writes 6 bytes"), "{story}");
    assert!(!story.contains("peer 0"), "{story}");
    assert!(log.story().with_colors(true).to_string().contains("\x1b[35m      callback on_frame: peer 1"));
}

#[test]
fn a_fault_belongs_to_the_peer_of_its_call() {
    let mut run = SmallRun::start();
    run.world = run.world.clone().with_faults(Faults::none().with(Fault::ShortRead, 1.0));
    run.world.connect(&run.address).send(b"hello\n");
    run.log.add(TraceEntry::Note("two\nlines".to_owned()));
    run.settle();
    let story = run.observer.into_log().story().of_peer(Some(0)).to_string();
    check_order(&story, &["# two\u{fffd}lines", "! fault: short read (lesson 4)\n    the server reads", "from peer 0"]);
}

#[test]
fn a_connection_in_the_backlog_has_kernel_buffers_and_no_state() {
    let mut run = SmallRun::start();
    run.world = run.world.clone().with_descriptors(0);
    run.world.connect(&run.address).send(b"hello\n");
    run.settle();
    let log = run.observer.into_log();
    let (wire, state) = log.turns.iter().flat_map(|turn| &turn.changes).next().expect("it is in the backlog");
    let state = state.expect("it is not closed");
    assert_eq!((*wire, state.stage, state.kernel.map(|kernel| kernel.unread)), (0, None, Some(6)));
    check_order(
        &log.story().to_string(),
        &["EMFILE", "= connections may wait at tcp://127.0.0.1:7007: the loop remembers"],
    );
}

#[test]
fn a_loop_by_hand_has_a_story_without_decisions() {
    let log = TraceLog::new();
    let world = World::new(1).with_log(log.clone());
    let (mut net, address) = (world.net(), "127.0.0.1:7007".parse().unwrap());
    let mut listener = net.listen(&address, &Default::default(), Token(0)).unwrap();
    let mut observer = RunObserver::new("By hand", log);
    world.connect(&address).send(b"hello");
    let mut events: Vec<Event> = Vec::new();
    net.poll(&mut events, None).unwrap();
    let (mut stream, _) = net.accept(&mut listener).unwrap();
    net.register(&mut stream, Token(1)).unwrap();
    observer.after_calls(1, world.now(), &world.kernel_buffers());
    let story = observer.into_log().story().to_string();
    check_order(&story, &["turn 1, at 0 s", "peer 0 writes 5 bytes", "the server accepts peer 0 and registers it"]);
}

#[test]
fn a_full_log_counts_the_turns_that_it_leaves_out() {
    let mut run = SmallRun::start();
    run.observer = run.observer.with_entries_max(30);
    let run = run.with_a_slow_reader();
    let turns = run.server.totals().turns;
    let log = run.observer.into_log();
    let entries: usize = log.turns.iter().map(|turn| 1 + turn.lines.len() + turn.changes.len()).sum();
    assert!((20..=30).contains(&entries) && log.turns_left_out > 0, "{entries} entries");
    assert_eq!(log.turns.len() as u64 + log.turns_left_out, turns);
    assert!(log.story().to_string().contains("more left out, since the log is full"));
}

#[test]
fn turns_without_lines_fill_the_log() {
    let mut observer = RunObserver::new("A test", TraceLog::new()).with_entries_max(30);
    (1..=100).for_each(|number| observer.after_calls(number, Instant::ORIGIN, &[]));
    let log = observer.into_log();
    assert_eq!((log.turns.len(), log.turns_left_out), (30, 70));
}

#[test]
fn foreign_text_in_a_story_cannot_control_the_terminal() {
    let text = "\u{1b}[2J\u{202e}\n";
    let endpoint = EndpointHeader { name: text.to_owned(), service: text.to_owned(), limits: None };
    let story = RunLog { title: text.to_owned(), endpoints: vec![endpoint], ..RunLog::default() }.story().to_string();
    let plain = "\u{fffd}[2J\u{fffd}\u{fffd}";
    assert!(story.starts_with(&format!("{plain}\n  {plain}: {plain}\n")), "{story:?}");
}

#[test]
fn an_errno_has_its_name_or_its_number_once() {
    assert_eq!(words::describe_errno(libc::ENOBUFS), "ENOBUFS, the kernel is out of memory");
    assert_eq!(words::describe_errno(libc::EIO), format!("errno {}, Input/output error", libc::EIO));
}
