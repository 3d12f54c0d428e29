//! Descriptors and sockets of the program on the loop.

use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;

use super::*;
use crate::net::{DatagramOptions, Datagrams, Reactor};
use crate::sim::Faults;

/// Runs turns until the recorder has this event.
#[track_caller]
fn run_until(event_loop: &mut EventLoop<Reactor>, recorder: &Recorder, event: &str) {
    let deadline = event_loop.now() + 60 * SECOND;
    while !recorder.take().contains(&event.to_owned()) {
        assert!(event_loop.now() < deadline, "no {event}");
        event_loop.turn(Some(deadline)).unwrap();
    }
}

#[test]
fn a_descriptor_of_the_program_is_called_back_until_it_ends() {
    let mut event_loop = EventLoop::new(Reactor::new().unwrap(), ServerLimits::default());
    let endpoint = event_loop.dial(Dial::default(), Lines::new(), Recorder::default()).unwrap();
    let recorder = event_loop.service(&endpoint).clone();
    let (inside, mut outside) = UnixStream::pair().unwrap();
    inside.set_nonblocking(true).unwrap();
    let watched = Arc::new(());
    let held = Arc::clone(&watched);
    event_loop
        .watch(inside, move |source, event_loop, event| {
            let _ = &held;
            let mut buf = [0; 100];
            if !event.readable {
                return ControlFlow::Continue(());
            }
            loop {
                match source.read(&mut buf) {
                    Ok(0) => {
                        event_loop.service(&endpoint).record("end");
                        return ControlFlow::Break(());
                    }
                    Ok(count) => event_loop.service(&endpoint).record(String::from_utf8_lossy(&buf[..count])),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return ControlFlow::Continue(()),
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .unwrap();
    for word in ["one", "two"] {
        outside.write_all(word.as_bytes()).unwrap();
        run_until(&mut event_loop, &recorder, word);
    }
    drop(outside);
    run_until(&mut event_loop, &recorder, "end");
    assert_eq!(Arc::strong_count(&watched), 1, "the source and its callback are dropped");
}

#[test]
#[cfg(target_os = "linux")]
fn a_regular_file_cannot_be_watched() {
    let mut event_loop = EventLoop::new(Reactor::new().unwrap(), ServerLimits::default());
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let watched = event_loop.watch(file, |_, _, _| ControlFlow::Continue(()));
    assert_eq!(watched.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

/// A loop with one UDP socket of the program, and the address and the key of the socket.
fn loop_with_socket(world: &World) -> (EventLoop<SimNet>, Address, Key) {
    let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
    let address: Address = "udp://10.0.0.9:5000".parse().unwrap();
    let key = event_loop.bind_socket(&address, &DatagramOptions::default()).unwrap();
    (event_loop, address, key)
}

/// Receives from the ready sockets until they have no more.
fn receive_ready(event_loop: &mut EventLoop<SimNet>, received: &mut Vec<u8>) {
    while let Some((key, _)) = event_loop.poll_socket() {
        let mut buf = [0; 100];
        loop {
            match event_loop.socket(key).receive(&mut buf) {
                Ok((len, _)) => received.extend(&buf[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
    }
}

#[test]
fn a_socket_of_the_program_receives_every_datagram() {
    for seed in 0..200 {
        let world = World::new(seed).with_faults(Faults::drawn_from(seed));
        let (mut event_loop, address, _) = loop_with_socket(&world);
        let mut received = Vec::new();
        for number in 0..100 {
            world.send_datagram("10.0.0.1:7".parse().unwrap(), &address, &[number]);
            event_loop.turn(None).unwrap();
            receive_ready(&mut event_loop, &mut received);
        }
        world.disable_faults();
        world
            .settle(|| {
                event_loop.turn(None)?;
                receive_ready(&mut event_loop, &mut received);
                Ok::<_, io::Error>(())
            })
            .unwrap();
        assert_eq!(received, (0..100).collect::<Vec<u8>>(), "seed {seed}");
    }
}

#[test]
fn readiness_waits_once_for_each_socket_until_it_is_taken_or_the_socket_is_closed() {
    let world = World::new(1);
    let (mut event_loop, address, key) = loop_with_socket(&world);
    let send = |event_loop: &mut EventLoop<SimNet>| {
        for _ in 0..3 {
            world.send_datagram("10.0.0.1:7".parse().unwrap(), &address, b"x");
            event_loop.turn(Some(event_loop.now())).unwrap();
        }
    };
    send(&mut event_loop);
    let ready = event_loop.poll_socket().unwrap();
    assert!(ready.0 == key && ready.1.readable);
    assert_eq!(event_loop.poll_socket(), None);
    send(&mut event_loop);
    event_loop.close_socket(key);
    assert_eq!(event_loop.poll_socket(), None);
    let second = event_loop.bind_socket(&address, &DatagramOptions::default()).unwrap();
    assert_ne!(key, second);
    send(&mut event_loop);
    assert_eq!(event_loop.poll_socket().map(|(key, _)| key), Some(second));
}
