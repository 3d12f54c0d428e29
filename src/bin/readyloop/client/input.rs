//! Reads standard input on a thread of its own, because epoll refuses regular files and the line
//! editor of a terminal blocks.
//!
//! The thread reads at most a few pieces ahead. If the session ends first, the thread is abandoned.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, stdin};
use std::iter;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread;

use readyloop::codec::Framing;
use readyloop::net::Wake;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// The most pieces that wait for the event loop.
const PIECES_MAX: usize = 4;

/// The most bytes in one read.
const PIECE_BYTES: usize = 64 * 1024;

/// The longest line that becomes a frame, in bytes: the default limit of a server.
const FRAME_LEN_MAX: usize = 1024 * 1024;

/// A piece of standard input.
#[derive(Debug)]
pub(super) enum Input {
    /// A frame to send.
    Frame(Vec<u8>),
    /// The input has ended.
    End,
    /// The input cannot be read.
    Failed(io::Error),
}

/// The sender of pieces to the event loop, which it wakes.
pub(super) struct Feed {
    pieces: SyncSender<Input>,
    wake: Arc<dyn Wake>,
}

impl Feed {
    /// Sends one piece. Blocks while the queue is full.
    ///
    /// # Errors
    /// The session has ended.
    pub(super) fn send(&self, piece: Input) -> Result<(), SendError<Input>> {
        self.pieces.send(piece)?;
        self.wake.wake();
        Ok(())
    }

    /// Sends each frame, then the end of the input or the error that stopped reading.
    pub(super) fn send_all(&self, frames: impl Iterator<Item = io::Result<Vec<u8>>>) {
        let pieces = frames.map(|frame| frame.map_or_else(Input::Failed, Input::Frame)).chain([Input::End]);
        for piece in pieces {
            let is_last = !matches!(piece, Input::Frame(_));
            if self.send(piece).is_err() || is_last {
                return;
            }
        }
    }
}

/// Starts a thread that sends what `read` reads to the event loop behind `wake`.
///
/// # Errors
/// The system cannot start a thread.
pub(super) fn start(wake: Arc<dyn Wake>, read: impl FnOnce(&Feed) + Send + 'static) -> io::Result<Receiver<Input>> {
    let (pieces, receiver) = sync_channel(PIECES_MAX);
    let feed = Feed { pieces, wake };
    thread::Builder::new().name("input".to_owned()).spawn(move || read(&feed))?;
    Ok(receiver)
}

/// Returns the reader for a framing: bytes as they arrive, or lines.
pub(super) fn reader_for(framing: Framing) -> impl FnOnce(&Feed) + Send + 'static {
    move |feed| match framing {
        Framing::Raw(_) => read_bytes(feed),
        Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_) => read_lines(feed, FRAME_LEN_MAX),
    }
}

/// Standard input, which may be non-blocking if another program has made it so.
struct StandardInput;

/// Standard input with a buffer. Only one thread of the process reads it.
pub(super) fn standard_input() -> impl BufRead {
    BufReader::with_capacity(PIECE_BYTES, StandardInput)
}

impl Read for StandardInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = stdin();
        loop {
            match rustix::io::read(&input, &mut *buffer) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&input, PollFlags::IN)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                },
                done => return Ok(done?),
            }
        }
    }
}

fn read_bytes(feed: &Feed) {
    let mut input = StandardInput;
    let mut buffer = vec![0; PIECE_BYTES];
    feed.send_all(iter::from_fn(|| read_piece(&mut input, &mut buffer).transpose()));
}

/// Reads standard input line by line. Each line without its end is a frame.
pub(super) fn read_lines(feed: &Feed, line_len_max: usize) {
    let mut input = standard_input();
    feed.send_all(iter::from_fn(|| read_line(&mut input, line_len_max).transpose()));
}

/// Reads available bytes; `None` at the end of the input.
fn read_piece(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
    let len = input.read(buffer)?;
    Ok((len > 0).then(|| buffer[..len].to_vec()))
}

/// Reads the next line without its LF or CRLF, which the last line may lack.
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
        let lines: Vec<Vec<u8>> = iter::from_fn(|| read_line(&mut input, 5).unwrap()).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_line_ends_with_lf_crlf_or_the_input() {
        check(b"one\ntwo\r\n\nthree", &[b"one", b"two", b"", b"three"]);
        check(b"fives\r\nfives\nfives", &[b"fives", b"fives", b"fives"]);
        check(b"a\rb\n\r\n", &[b"a\rb", b""]);
        check(b"", &[]);
    }

    #[test]
    fn a_line_too_long_is_an_error_and_is_not_read_whole() {
        for input in [&b"sixsix\n"[..], b"sixsix", b"sevenxx\n", &[b'x'; 100]] {
            let mut rest = input;
            assert_eq!(read_line(&mut rest, 5).unwrap_err().kind(), ErrorKind::InvalidData);
            assert!(input.len() - rest.len() <= 7);
        }
    }
}
