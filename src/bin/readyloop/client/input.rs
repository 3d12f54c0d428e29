//! Standard input, read by a thread of its own: epoll refuses regular files, and a terminal's
//! line editor blocks.
//!
//! The thread is never more than a few pieces ahead of the peer, and is left behind when the
//! conversation ends first.

use std::io::{self, BufRead, ErrorKind, Read, stdin};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread;

use readyloop::codec::Framing;
use readyloop::net::Wake;

/// How far reading may be ahead: enough that neither side waits for the other's next step.
const PIECES_MAX: usize = 4;

/// The most that is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// The longest line that is a frame, in bytes: what a server takes by default.
const FRAME_LEN_MAX: usize = 1024 * 1024;

/// What comes from standard input.
#[derive(Debug)]
pub(super) enum Input {
    /// One frame to send.
    Frame(Vec<u8>),
    /// There is no more.
    End,
    /// Reading failed.
    Failed(io::Error),
}

/// The thread's end: gives pieces to the loop and wakes it.
pub(super) struct Feed {
    pieces: SyncSender<Input>,
    wake: Arc<dyn Wake>,
}

impl Feed {
    /// Waits while the loop is behind.
    ///
    /// # Errors
    /// The loop has ended.
    pub(super) fn send(&self, piece: Input) -> Result<(), SendError<Input>> {
        self.pieces.send(piece)?;
        self.wake.wake();
        Ok(())
    }
}

/// Starts a thread that feeds the loop behind `wake`.
///
/// # Errors
/// The system has no room for a thread.
pub(super) fn start(wake: Arc<dyn Wake>, read: impl FnOnce(&Feed) + Send + 'static) -> io::Result<Receiver<Input>> {
    let (pieces, receiver) = sync_channel(PIECES_MAX);
    let feed = Feed { pieces, wake };
    thread::Builder::new().name("input".to_owned()).spawn(move || read(&feed))?;
    Ok(receiver)
}

/// What to read for that framing: bytes as they come, or lines.
pub(super) fn reader_for(framing: Framing) -> impl FnOnce(&Feed) + Send + 'static {
    move |feed| match framing {
        Framing::Raw(_) => read_bytes(feed),
        Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_) => read_lines(feed, FRAME_LEN_MAX),
    }
}

/// Reads standard input as it comes, to its end.
fn read_bytes(feed: &Feed) {
    let mut input = stdin().lock();
    let mut buffer = vec![0; PIECE_BYTES];
    let last = loop {
        match input.read(&mut buffer) {
            Ok(0) => break Input::End,
            Ok(len) => {
                if feed.send(Input::Frame(buffer[..len].to_vec())).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Input::Failed(error),
        }
    };
    // When the loop has ended, nobody asks for the last word.
    let _ = feed.send(last);
}

/// Reads standard input line by line, each without its end a frame.
pub(super) fn read_lines(feed: &Feed, line_len_max: usize) {
    let mut input = stdin().lock();
    let last = loop {
        match read_line(&mut input, line_len_max) {
            Ok(None) => break Input::End,
            Ok(Some(line)) => {
                if feed.send(Input::Frame(line)).is_err() {
                    return;
                }
            }
            Err(error) => break Input::Failed(error),
        }
    };
    let _ = feed.send(last);
}

/// The next line without its LF or CRLF; the last one may lack it.
fn read_line(input: &mut impl BufRead, line_len_max: usize) -> io::Result<Option<Vec<u8>>> {
    const ENDING_LEN_MAX: usize = 2;
    let mut line = Vec::new();
    let read = input.take((line_len_max + ENDING_LEN_MAX) as u64).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.pop_if(|byte| *byte == b'\n').is_some() {
        line.pop_if(|byte| *byte == b'\r');
    }
    if line.len() > line_len_max {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("a line is longer than {line_len_max} bytes")));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &[u8], expected: &[&[u8]]) {
        let mut input = input;
        let lines: Vec<Vec<u8>> = std::iter::from_fn(|| read_line(&mut input, 5).unwrap()).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_line_ends_in_either_way_or_with_the_input() {
        check(b"one\ntwo\r\n\nthree", &[b"one", b"two", b"", b"three"]);
        check(b"fives\r\nfives\nfives", &[b"fives", b"fives", b"fives"]);
        check(b"a\rb\n\r\n", &[b"a\rb", b""]);
        check(b"", &[]);
    }

    #[test]
    fn a_line_too_long_is_an_error_and_not_stored() {
        for input in [&b"sixsix\n"[..], b"sixsix", b"sevenxx\n", &[b'x'; 100]] {
            let mut rest = input;
            assert_eq!(read_line(&mut rest, 5).unwrap_err().kind(), ErrorKind::InvalidData);
            assert!(input.len() - rest.len() <= 7);
        }
    }
}
