//! How connections end: when a close destroys output, and when it does not.

use std::io::{ErrorKind, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use super::{SMALLEST, Watched, address, listener, pair};
use crate::support::{Duplex as _, connect_with_buffers};

/// More than the smallest receive buffer holds, and less than the send buffer holds.
const TAIL: usize = 100_000;

/// Both ends of a connection. The first has sent [`TAIL`] bytes, and the second has the smallest receive buffer.
fn pair_with_an_unread_tail() -> (TcpStream, TcpStream) {
    let listener = listener(1);
    let reader = connect_with_buffers(address(&listener), SMALLEST);
    let accepted = listener.accept().unwrap().0;
    accepted.set_send_buffer_size(4 * TAIL).unwrap();
    let mut writer = TcpStream::from(accepted);
    writer.write_all(&[1; TAIL]).unwrap();
    (writer, reader)
}

/// Reads to the end. Returns the number of bytes and the error, if any.
fn read_all(stream: &mut impl Read) -> (usize, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    (bytes.len(), error)
}

/// Checks that only a part of the tail arrives, and then a reset.
#[track_caller]
fn check_destroyed(theirs: &mut TcpStream) {
    let (arrived, error) = read_all(theirs);
    assert!(arrived < TAIL, "everything arrived");
    assert_eq!(error, Some(ErrorKind::ConnectionReset));
}

#[test]
fn closing_with_unread_input_destroys_the_tail() {
    let (ours, mut theirs) = pair_with_an_unread_tail();
    theirs.write_all(b"never read").unwrap();
    ours.set_nonblocking(true).unwrap();
    drop(ours);
    check_destroyed(&mut theirs);
}

#[test]
fn input_after_a_close_destroys_the_tail_too() {
    let (ours, mut theirs) = pair_with_an_unread_tail();
    drop(ours);
    theirs.write_all(b"too late").unwrap();
    check_destroyed(&mut theirs);
}

#[test]
fn ending_our_direction_and_discarding_input_delivers_the_tail() {
    let (mut ours, mut theirs) = pair_with_an_unread_tail();
    theirs.write_all(b"discarded").unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            assert_eq!(read_all(&mut theirs), (TAIL, None));
            theirs.write_all(b"also discarded").unwrap();
        });
        assert_eq!(read_all(&mut ours), (23, None));
    });
}

#[test]
fn closing_with_all_input_read_delivers_the_tail() {
    let (ours, mut theirs) = pair_with_an_unread_tail();
    drop(ours);
    assert_eq!(read_all(&mut theirs), (TAIL, None));
}

#[test]
fn bytes_that_arrived_before_a_reset_can_be_read() {
    let (mut ours, mut theirs) = pair();
    ours.write_all(b"arrived").unwrap();
    ours.reset();
    assert_eq!(read_all(&mut theirs), (7, Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_close_with_a_linger_time_of_zero_is_reported_by_one_read_and_then_reads_as_an_end() {
    let (ours, mut theirs) = pair();
    ours.reset();
    assert_eq!(theirs.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_reset_is_an_edge_with_read_closed() {
    let (mut watched, ours) = Watched::pair();
    ours.reset();
    assert!(watched.next().is_some_and(|event| event.readable && event.read_closed));
    assert_eq!(watched.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn writing_to_a_closed_peer_causes_a_reset_and_then_broken_pipes() {
    let (ours, mut theirs) = pair();
    drop(ours);
    theirs.write_all(b"this causes a reset").unwrap();
    let kinds: Vec<_> = (0..2).map(|_| theirs.write(b"x").unwrap_err().kind()).collect();
    // In CLOSE-WAIT the kernel reports the reset as a broken pipe (RFC 793).
    assert_eq!(kinds, [ErrorKind::BrokenPipe, ErrorKind::BrokenPipe]);
}

#[test]
fn a_unix_socket_delivers_the_tail_but_not_a_clean_end() {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    ours.write_all(b"arrived").unwrap();
    theirs.write_all(b"never read").unwrap();
    drop(ours);
    assert_eq!(read_all(&mut theirs), (7, Some(ErrorKind::ConnectionReset)));
}
