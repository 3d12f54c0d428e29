//! Tests of the simulated world: which edges come, and when.

use std::io::ErrorKind;
use std::time::Duration;

use super::{Behavior, Fault, Faults, PeerEnding, Rng, SimNet, SimPeer, SimStream, World, WorldProgress, pattern};
use crate::instant::Instant;
use crate::net::{Address, ControlEvent, Event, ListenOptions, Net, Readiness, Stream, Token};

const LISTENER: Token = Token(0);
const STREAM: Token = Token(1);

fn address() -> Address {
    "127.0.0.1:7007".parse().unwrap()
}

fn poll(net: &mut SimNet) -> Vec<Event> {
    let mut events = Vec::new();
    net.poll(&mut events, None).unwrap();
    events
}

/// The next events of the stream, with one letter for each readiness bit.
fn ready_bits(net: &mut SimNet) -> String {
    let letter = |bit, letter| if bit { letter } else { "" };
    let of_stream = |event| match event {
        Event::Ready(Readiness { token: STREAM, readable, writable, read_closed }) => {
            [letter(readable, "r"), letter(writable, "w"), letter(read_closed, "c")].concat()
        }
        Event::Ready(_) | Event::Control(_) => String::new(),
    };
    poll(net).into_iter().map(of_stream).collect()
}

/// Creates a peer, accepts and registers it, and takes its first event.
fn one_stream(world: &World) -> (SimNet, SimStream, SimPeer) {
    let mut net = world.net();
    let mut listener = net.listen(&address(), &ListenOptions::default(), LISTENER).unwrap();
    let peer = world.connect(&address());
    assert_eq!(poll(&mut net).len(), 1);
    let (mut stream, _) = net.accept(&mut listener).unwrap();
    net.register(&mut stream, STREAM).unwrap();
    assert_eq!(ready_bits(&mut net), "w");
    (net, stream, peer)
}

#[test]
fn data_raises_one_event_and_more_data_another() {
    let (mut net, mut stream, peer) = one_stream(&World::new(1));
    peer.send(b"abc");
    assert_eq!(ready_bits(&mut net), "rw");
    assert_eq!(ready_bits(&mut net), "", "edge-triggered, not level-triggered");
    peer.send(b"d");
    assert_eq!(ready_bits(&mut net), "rw");
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 4);
    assert_eq!(stream.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn data_and_fin_come_in_one_event() {
    let (mut net, mut stream, peer) = one_stream(&World::new(1));
    peer.send(b"abc");
    peer.finish();
    assert_eq!(ready_bits(&mut net), "rwc");
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 3);
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0);
}

#[test]
fn free_space_raises_an_event_after_a_short_write() {
    let (mut net, mut stream, peer) = one_stream(&World::new(1).with_kernel_buffer(8));
    peer.stop_reading();
    assert_eq!(stream.write(b"0123456789").unwrap(), 8);
    assert_eq!(stream.write(b"89").unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(ready_bits(&mut net), "");
    peer.resume_reading();
    assert_eq!(ready_bits(&mut net), "w");
    assert_eq!(peer.received(), b"01234567");
}

#[test]
fn the_clock_stops_at_the_horizon() {
    let world = World::new(1);
    let mut net = world.net();
    let soon = Instant::ORIGIN + Duration::from_secs(1);
    net.poll(&mut Vec::new(), Some(soon)).unwrap();
    assert_eq!((net.now(), world.progress()), (Instant::ORIGIN, WorldProgress::Horizon));

    let world = world.with_free_clock();
    net.poll(&mut Vec::new(), Some(soon)).unwrap();
    assert_eq!((net.now(), world.progress()), (soon, WorldProgress::Busy));
    net.poll(&mut Vec::new(), None).unwrap();
    assert_eq!((net.now(), world.progress()), (soon, WorldProgress::Idle));
}

#[test]
fn the_next_poll_returns_wake_and_control_events() {
    let world = World::new(1);
    let mut net = world.net();
    net.wake().wake();
    net.wake().wake();
    world.notify(ControlEvent::Drain);
    assert_eq!(poll(&mut net), [Event::Control(ControlEvent::Drain), Event::Control(ControlEvent::Wake)]);
    assert_eq!(poll(&mut net), []);
}

#[test]
fn no_event_comes_for_a_backlog_left_behind_by_emfile() {
    let world = World::new(1).with_descriptors(0);
    let mut net = world.net();
    let mut listener = net.listen(&address(), &ListenOptions::default(), LISTENER).unwrap();
    world.connect(&address());
    assert_eq!(poll(&mut net).len(), 1);
    assert_eq!(net.accept(&mut listener).unwrap_err().raw_os_error(), Some(libc::EMFILE));
    let world = world.with_descriptors(1);
    assert_eq!(poll(&mut net), [], "a free descriptor raises no edge");
    assert_eq!(world.backlog_len(), 1);
    assert!(net.accept(&mut listener).is_ok());
}

#[test]
fn a_connect_without_a_listener_is_refused() {
    let world = World::new(1);
    let peer = world.connect(&address());
    poll(&mut world.net());
    assert!(peer.is_refused());
}

#[test]
fn a_slow_peer_writes_byte_by_byte_and_finishes_early() {
    let world = World::new(1).with_free_clock();
    let (mut net, mut stream, peer) = one_stream(&world);
    let behavior = Behavior {
        write_len_max: 1,
        read_len_max: 1,
        pause_max: Duration::from_secs(1),
        ending: PeerEnding::FinishesAt(3),
    };
    peer.change_behavior(behavior);
    peer.send(b"abcdef");
    let mut bytes = Vec::new();
    while !peer.is_broken() && bytes.len() < 4 {
        ready_bits(&mut net);
        let mut buf = [0; 9];
        match stream.read(&mut buf) {
            Ok(0) => break,
            Ok(len) => bytes.extend_from_slice(&buf[..len]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!((bytes.as_slice(), peer.sent_len()), (&b"abc"[..], 3));
    assert!(world.now() > Instant::ORIGIN, "the peer paused");
}

/// The smallest correct echo over an edge-triggered poll.
fn echo_until_end(world: &World, net: &mut SimNet, stream: &mut SimStream) {
    let (mut pending, mut read_ended, mut readable, mut writable) = (Vec::new(), false, true, true);
    for _ in 0..100_000 {
        while readable && !read_ended {
            let mut buf = [0; 100];
            match stream.read(&mut buf) {
                Ok(0) => read_ended = true,
                Ok(len) => pending.extend_from_slice(&buf[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => readable = false,
            }
        }
        while writable && !pending.is_empty() {
            match stream.write(&pending) {
                Ok(len) => drop(pending.drain(..len)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => writable = false,
            }
        }
        if read_ended && pending.is_empty() {
            return stream.shutdown_write().unwrap();
        }
        for event in poll(net) {
            match event {
                Event::Ready(of) if of.token == STREAM => {
                    readable |= of.readable;
                    writable |= of.writable;
                }
                Event::Ready(_) | Event::Control(_) => {}
            }
        }
        assert_ne!(world.progress(), WorldProgress::Idle, "stranded");
    }
    panic!("the peer never ended");
}

#[test]
fn delay_faults_never_strand_a_correct_server() {
    for seed in 0..300 {
        let faultless = World::new(seed).with_free_clock();
        let (mut net, mut stream, peer) = one_stream(&faultless);
        let world = faultless.with_faults(Faults::delays_drawn_from(seed));
        let mut rng = Rng::new(seed);
        let sent = pattern(seed, 0, rng.below(5000));
        let drawn = Behavior::drawn_from(&mut rng, 0);
        peer.change_behavior(Behavior {
            read_len_max: drawn.read_len_max.max(1),
            ending: PeerEnding::Finishes,
            ..drawn
        });
        peer.send(&sent);
        echo_until_end(&world, &mut net, &mut stream);
        drop(stream);
        while world.progress() != WorldProgress::Idle {
            poll(&mut net);
        }
        assert!(peer.is_ended(), "seed {seed}");
        assert_eq!(peer.received(), sent, "seed {seed}");
    }
}

#[test]
fn a_fault_is_injected_as_often_as_its_probability() {
    let world = World::new(1);
    let (_net, mut stream, peer) = one_stream(&world);
    let world = world.with_faults(Faults::none().with(Fault::ReadInterrupted, 0.25));
    let interrupted = (0..1000).filter(|_| stream.read(&mut [0]).unwrap_err().kind() == ErrorKind::Interrupted);
    let count = interrupted.count();
    assert!((200..300).contains(&count), "{count}");
    assert_eq!(world.fault_counts().of(Fault::ReadInterrupted), count as u64);
    assert!(!peer.is_hit_by_fault());
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let world = World::new(seed);
        let (mut net, mut stream, peer) = one_stream(&world);
        let world = world.with_faults(Faults::delays_drawn_from(seed)).with_free_clock();
        peer.send(&pattern(1, 0, 1000));
        peer.finish();
        echo_until_end(&world, &mut net, &mut stream);
        world.trace_hash()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
