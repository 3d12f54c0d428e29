//! Writes to standard output and standard error, which may be non-blocking, or pipes that are never read.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// The longest write that a pipe takes as a whole when the poll reports it as writable (pipe(7)).
pub(crate) const ATOMIC_LEN: usize = libc::PIPE_BUF;

/// Writes all bytes. Waits for at most `patience` each time the reader is slow, or forever without it.
///
/// # Errors
/// `TimedOut` when the reader is too slow. Any other error is that of the system.
pub(crate) fn write_all(to: impl AsFd, mut bytes: &[u8], patience: Option<Duration>) -> io::Result<()> {
    let fd = to.as_fd();
    let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
    while !bytes.is_empty() {
        // A full pipe blocks a write although the descriptor may be a blocking one, so the poll comes first.
        match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], timeout.as_ref()) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match rustix::io::write(fd, &bytes[..bytes.len().min(ATOMIC_LEN)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether text for this stream may have colors.
pub(crate) fn has_colors(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_slow_reader_of_a_non_blocking_stream_receives_all() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|byte| (byte % 251) as u8).collect();
        let expected = sent.clone();
        let writer = std::thread::spawn(move || write_all(ours, &sent, None));
        let mut received = Vec::new();
        theirs.read_to_end(&mut received).unwrap();
        assert!(received == expected);
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn a_pipe_that_is_never_read_is_given_up() {
        let (_reader, writer) = io::pipe().unwrap();
        let error = write_all(&writer, &[0; 1 << 20], Some(Duration::ZERO)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
