//! mio's poll: timeouts, interruptions, unsupported sources, connects and batches.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::{SILENCE, address, has_event, listener, pair};
use crate::support::{ScratchPath, TIMEOUT, runs_in_own_process, signal, wait_until};

#[test]
fn a_timeout_is_rounded_up_to_a_whole_millisecond() {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(1);
    for timeout in [Duration::from_nanos(1), Duration::from_micros(1), Duration::from_micros(999)] {
        let before = Instant::now();
        poll.poll(&mut events, Some(timeout)).unwrap();
        assert!(before.elapsed() >= Duration::from_millis(1), "timeout {timeout:?}, slept {:?}", before.elapsed());
    }
}

#[test]
fn a_signal_interrupts_a_poll() {
    if runs_in_own_process("kernel::polling::a_signal_interrupts_a_poll", "") {
        return;
    }
    let is_signaled = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(libc::SIGUSR2, Arc::clone(&is_signaled)).unwrap();
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(1);
    // A signal to a thread's number goes to that thread if possible, else to another of the process.
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    let thread = link.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let done = AtomicBool::new(false);
    let interrupted = std::thread::scope(|scope| {
        // Repeatedly, since the first signal may come before the poll has started.
        scope.spawn(|| {
            wait_until(TIMEOUT, "the poll ends", || {
                signal(thread, "USR2");
                done.load(Ordering::Relaxed)
            });
        });
        let polled = poll.poll(&mut events, Some(TIMEOUT));
        done.store(true, Ordering::Relaxed);
        polled.unwrap_err()
    });
    assert_eq!(interrupted.kind(), ErrorKind::Interrupted);
    assert!(is_signaled.load(Ordering::Relaxed));
}

#[test]
fn regular_files_are_refused() {
    let path = ScratchPath::with_text("txt", "a regular file\n");
    let file = File::open(path.text()).unwrap();
    let poll = Poll::new().unwrap();
    let refused = poll.registry().register(&mut SourceFd(&file.as_raw_fd()), Token(0), Interest::READABLE);
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EPERM));
}

/// A connecting stream, registered with a poll.
fn connecting(at: SocketAddr) -> (Poll, TcpStream) {
    let mut stream = TcpStream::connect(at).unwrap();
    let poll = Poll::new().unwrap();
    poll.registry().register(&mut stream, Token(0), Interest::WRITABLE).unwrap();
    (poll, stream)
}

#[test]
fn an_established_connect_has_no_error_and_a_peer_address() {
    let listener = listener(1);
    let (mut poll, stream) = connecting(address(&listener));
    assert!(has_event(&mut poll, TIMEOUT));
    assert!(stream.take_error().unwrap().is_none());
    assert_eq!(stream.peer_addr().unwrap(), address(&listener));
}

#[test]
fn a_connect_in_progress_has_neither_an_error_nor_a_peer_address() {
    let listener = listener(1);
    let at = address(&listener);
    let _full = [std::net::TcpStream::connect(at).unwrap(), std::net::TcpStream::connect(at).unwrap()];
    let (mut poll, stream) = connecting(at);
    assert!(!has_event(&mut poll, SILENCE));
    assert!(stream.take_error().unwrap().is_none());
    assert_eq!(stream.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn a_failed_connect_is_writable_and_reports_its_error_once() {
    // The listener is closed at once, so the port is free.
    let free = address(&listener(1));
    let (mut poll, stream) = connecting(free);
    assert!(has_event(&mut poll, TIMEOUT));
    assert_eq!(stream.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionRefused);
    assert!(stream.take_error().unwrap().is_none());
    assert!(stream.peer_addr().is_err());
}

/// A poll in which `count` streams are readable. Returns each with its other end.
fn readable_streams(count: usize) -> (Poll, Vec<(TcpStream, std::net::TcpStream)>) {
    let poll = Poll::new().unwrap();
    let each = (0..count).map(|token| {
        let (stream, mut other) = pair();
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(token), Interest::READABLE).unwrap();
        other.write_all(b"ready").unwrap();
        (stream, other)
    });
    let streams = each.collect();
    (poll, streams)
}

#[test]
fn a_batch_may_report_a_stream_that_was_dropped_meanwhile() {
    let (mut poll, mut streams) = readable_streams(2);
    let mut events = Events::with_capacity(16);
    poll.poll(&mut events, Some(TIMEOUT)).unwrap();
    let mut tokens = Vec::new();
    for event in &events {
        // Handling the first event drops both streams.
        streams.clear();
        tokens.push(event.token().0);
    }
    tokens.sort_unstable();
    assert_eq!(tokens, [0, 1]);
}

#[test]
fn events_beyond_one_batch_come_with_the_next() {
    let (mut poll, _streams) = readable_streams(10);
    let mut events = Events::with_capacity(4);
    let mut tokens = Vec::new();
    let sizes = [(); 3].map(|()| {
        poll.poll(&mut events, Some(SILENCE)).unwrap();
        tokens.extend(events.iter().map(|event| event.token().0));
        events.iter().count()
    });
    assert_eq!(sizes, [4, 4, 2]);
    tokens.sort_unstable();
    assert_eq!(tokens, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_full_unix_backlog_makes_a_connect_fail_at_once() {
    let path = ScratchPath::new("sock");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let at = socket2::SockAddr::unix(path.text()).unwrap();
    listener.bind(&at).unwrap();
    listener.listen(0).unwrap();
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&at).map(|()| socket)
    };
    let _inside = connect().unwrap();
    assert_eq!(connect().unwrap_err().kind(), ErrorKind::WouldBlock, "unlike TCP, where the connect stays in progress");
}
