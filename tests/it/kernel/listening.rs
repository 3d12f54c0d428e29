//! Listening sockets: the backlog, inherited options, and stranded listeners.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Interest, Poll, Token};
use socket2::{Domain, Socket, TcpKeepalive, Type};

use super::{SILENCE, address, has_event, listener};
use crate::support::{Duplex as _, runs_in_own_process};

/// A listener, registered with a poll.
fn watched_listener() -> (Poll, TcpListener) {
    let socket = listener(100);
    socket.set_nonblocking(true).unwrap();
    let mut listener = TcpListener::from_std(socket.into());
    let poll = Poll::new().unwrap();
    poll.registry().register(&mut listener, Token(0), Interest::READABLE).unwrap();
    (poll, listener)
}

#[test]
fn a_backlog_that_is_not_drained_causes_no_second_event() {
    let (mut poll, listener) = watched_listener();
    let at = listener.local_addr().unwrap();
    let _both = [TcpStream::connect(at).unwrap(), TcpStream::connect(at).unwrap()];
    assert!(has_event(&mut poll, SILENCE));
    listener.accept().unwrap();
    assert!(!has_event(&mut poll, SILENCE), "a connection is waiting without an event");
    let _third = TcpStream::connect(at).unwrap();
    assert!(has_event(&mut poll, SILENCE), "the next connection is a new edge");
    listener.accept().unwrap();
    listener.accept().unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn registering_again_reports_a_waiting_backlog() {
    let (mut poll, mut listener) = watched_listener();
    let _one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(has_event(&mut poll, SILENCE));
    assert!(!has_event(&mut poll, SILENCE));
    poll.registry().reregister(&mut listener, Token(0), Interest::READABLE).unwrap();
    assert!(has_event(&mut poll, SILENCE));
}

#[test]
fn a_listener_is_stranded_after_emfile_even_when_descriptors_are_free_again() {
    // A process of its own, since the other tests need their descriptors.
    let name = "kernel::listening::a_listener_is_stranded_after_emfile_even_when_descriptors_are_free_again";
    if runs_in_own_process(name, "ulimit -n 40 &&") {
        return;
    }
    let (mut poll, listener) = watched_listener();
    let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut filling: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(has_event(&mut poll, SILENCE));
    assert_eq!(listener.accept().unwrap_err().raw_os_error(), Some(libc::EMFILE));
    filling.truncate(1);
    assert!(!has_event(&mut poll, SILENCE), "descriptors are free again, without an event");
    listener.accept().unwrap();
}

#[test]
fn a_connection_that_was_reset_in_the_backlog_is_still_accepted() {
    let listener = listener(10);
    let client = TcpStream::connect(address(&listener)).unwrap();
    client.reset();
    let mut accepted = TcpStream::from(listener.accept().unwrap().0);
    assert_eq!(accepted.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn accepted_sockets_inherit_the_options_of_their_listener() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(61)).with_interval(Duration::from_secs(11)).with_retries(7);
    listener.set_tcp_keepalive(&keepalive).unwrap();
    listener.set_tcp_nodelay(true).unwrap();
    listener.set_recv_buffer_size(20_480).unwrap();
    listener.set_send_buffer_size(30_720).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(1).unwrap();
    let _other = TcpStream::connect(address(&listener)).unwrap();
    let accepted = listener.accept().unwrap().0;
    assert!(accepted.tcp_nodelay().unwrap());
    assert!(accepted.keepalive().unwrap());
    assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(61));
    assert_eq!(accepted.tcp_keepalive_interval().unwrap(), Duration::from_secs(11));
    assert_eq!(accepted.tcp_keepalive_retries().unwrap(), 7);
    // The kernel doubles the sizes to leave space for its bookkeeping (socket(7)).
    assert_eq!((accepted.recv_buffer_size().unwrap(), accepted.send_buffer_size().unwrap()), (40_960, 61_440));
}

#[test]
fn bytes_sent_before_the_accept_are_kept() {
    let listener = listener(1);
    TcpStream::connect(address(&listener)).unwrap().write_all(b"early").unwrap();
    let mut accepted = TcpStream::from(listener.accept().unwrap().0);
    let mut text = String::new();
    accepted.read_to_string(&mut text).unwrap();
    assert_eq!(text, "early");
}
