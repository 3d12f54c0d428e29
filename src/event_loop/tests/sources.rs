//! Descriptors of the program on the loop.

use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;

use super::*;
use crate::net::Reactor;

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
