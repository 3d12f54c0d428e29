//! Reads standard input on a thread of its own, because epoll refuses regular files and the line
//! editor of a terminal blocks.
//!
//! The thread reads at most a few pieces ahead. If the session ends first, the thread is abandoned.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, stdin};
use std::iter;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

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

/// Starts a thread that sends the frames of `source` to the event loop behind `wake`. The queue is bounded.
///
/// # Errors
/// The system cannot start a thread.
pub(super) fn start(
    wake: Arc<dyn Wake>,
    source: impl Iterator<Item = io::Result<Vec<u8>>> + Send + 'static,
) -> io::Result<Receiver<Input>> {
    let (pieces, receiver) = sync_channel(PIECES_MAX);
    let source = source.map(|frame| frame.map_or_else(Input::Failed, Input::Frame)).chain([Input::End]);
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        for piece in source {
            let is_last = !matches!(piece, Input::Frame(_));
            // Fails if the session has ended.
            if pieces.send(piece).is_err() {
                return;
            }
            wake.wake();
            if is_last {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// How standard input becomes frames.
#[derive(Clone, Copy, Debug)]
pub(super) enum Split {
    /// Bytes as they arrive.
    Bytes,
    /// Lines. A frame is a line without its end.
    Lines,
    /// Pieces of this many bytes. The last one has the rest.
    Pieces(usize),
}

impl Split {
    /// The frames of standard input.
    pub(super) fn frames(self) -> impl Iterator<Item = io::Result<Vec<u8>>> {
        let mut input = BufReader::with_capacity(PIECE_BYTES, StandardInput);
        iter::from_fn(move || self.next(&mut input).transpose())
    }

    /// Reads the next frame; `None` at the end of the input.
    fn next(self, input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
        let mut piece = Vec::new();
        match self {
            Self::Lines => return read_line(input, FRAME_LEN_MAX),
            Self::Pieces(len) => _ = input.take(len as u64).read_to_end(&mut piece)?,
            Self::Bytes => {
                piece.extend_from_slice(input.fill_buf()?);
                input.consume(piece.len());
            }
        }
        Ok((!piece.is_empty()).then_some(piece))
    }
}

/// Standard input, which may be non-blocking if another program has made it so.
struct StandardInput;

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
    fn the_last_piece_has_the_rest() {
        let mut input = &b"abcdefgh"[..];
        let pieces: Vec<Vec<u8>> = iter::from_fn(|| Split::Pieces(3).next(&mut input).unwrap()).collect();
        assert_eq!(pieces, [&b"abc"[..], b"def", b"gh"]);
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
