//! The protocol of Redis (RESP), as far as this example needs it: requests in, replies out.
//!
//! A request is an array of bulk strings, `*2\r\n$3\r\nGET\r\n$5\r\ncolor\r\n`, or a line of words.

use std::fmt;
use std::io::Write as _;

use readyloop::codec::{Codec, Decoded, Envelope, FrameError};

/// Most bytes of a line: a request of words, or a count.
const LINE_LEN_MAX: usize = 1024;

/// Most arguments of a request.
const ARGUMENTS_MAX: usize = 1024;

/// Requests as lists of arguments. A reply is encoded already when it is sent.
pub(crate) struct Resp;

/// How much of an incomplete array was read, so that no argument is read twice.
#[derive(Default)]
pub(crate) struct Progress {
    read: usize,
    arguments_left: usize,
}

impl Codec for Resp {
    type State = Progress;
    /// The arguments. The first one is the name of the command.
    type Frame<'a> = Vec<&'a [u8]>;

    fn decode(&self, progress: &mut Progress, input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        if progress.read == 0 {
            let Some((line, end)) = line(input, 0)? else { return Ok(Decoded::More) };
            let Some(count) = line.strip_prefix(b"*") else {
                return Ok(Decoded::Frame { frame: 0..line.len(), consumed: end });
            };
            *progress = Progress { read: end, arguments_left: number(count, ARGUMENTS_MAX)? };
        }
        while progress.arguments_left > 0 {
            let Some((_, end)) = argument(input, progress.read, frame_len_max)? else { return Ok(Decoded::More) };
            progress.read = end;
            progress.arguments_left -= 1;
        }
        let consumed = progress.read;
        *progress = Progress::default();
        Ok(Decoded::Frame { frame: 0..consumed, consumed })
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, FrameError> {
        if !bytes.starts_with(b"*") {
            let words = bytes.split(u8::is_ascii_whitespace);
            return Ok(words.filter(|word| !word.is_empty()).collect());
        }
        let mut arguments = Vec::new();
        let mut start = line(bytes, 0)?.map_or(bytes.len(), |(_, end)| end);
        while let Some((argument, end)) = argument(bytes, start, bytes.len())? {
            arguments.push(argument);
            start = end;
        }
        Ok(arguments)
    }

    fn envelope(&self, _progress: &Progress, _parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        Ok(Envelope::NONE)
    }
}

/// The line at `start` without its ending, and where the next one starts. `None` if it is incomplete.
fn line(input: &[u8], start: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let rest = &input[start..input.len().min(start + LINE_LEN_MAX)];
    match rest.iter().position(|&byte| byte == b'\n') {
        Some(len) => Ok(Some((rest[..len].trim_ascii_end(), start + len + 1))),
        None if rest.len() == LINE_LEN_MAX => Err(FrameError::Malformed("a line is too long")),
        None => Ok(None),
    }
}

/// The bulk string at `start`, and where the next one starts. `None` if it is incomplete.
fn argument(input: &[u8], start: usize, frame_len_max: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((line, bytes_start)) = line(input, start)? else { return Ok(None) };
    let Some(len) = line.strip_prefix(b"$") else {
        return Err(FrameError::Malformed("an argument is not a bulk string"));
    };
    let bytes_end = bytes_start.saturating_add(number(len, usize::MAX)?);
    let end = bytes_end.saturating_add(2);
    if end > frame_len_max {
        return Err(FrameError::TooLong { frame_len_max });
    }
    match input.get(bytes_end..end) {
        Some(b"\r\n") => Ok(Some((&input[bytes_start..bytes_end], end))),
        Some(_) => Err(FrameError::Malformed("a bulk string is longer than its length")),
        None => Ok(None),
    }
}

/// A number of at most `max`.
fn number(digits: &[u8], max: usize) -> Result<usize, FrameError> {
    let number = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.filter(|number| *number <= max).ok_or(FrameError::Malformed("a number is missing or too large"))
}

/// One reply, or one message to a subscriber. The methods can be chained for the elements of an array.
#[derive(Default)]
pub(crate) struct Reply(Vec<u8>);

impl Reply {
    pub(crate) fn text(text: &str) -> Self {
        Self::default().line(format_args!("+{text}"))
    }

    pub(crate) fn error(text: &str) -> Self {
        Self::default().line(format_args!("-{text}"))
    }

    pub(crate) fn number(self, number: i64) -> Self {
        self.line(format_args!(":{number}"))
    }

    /// The start of an array; its elements follow.
    pub(crate) fn array(len: usize) -> Self {
        Self::default().line(format_args!("*{len}"))
    }

    pub(crate) fn bulk(mut self, bytes: &[u8]) -> Self {
        self = self.line(format_args!("${}", bytes.len()));
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// The value that a key does not have.
    pub(crate) fn nothing(self) -> Self {
        self.line(format_args!("$-1"))
    }

    /// This reply and the next one.
    pub(crate) fn and(mut self, next: &Self) -> Self {
        self.0.extend_from_slice(&next.0);
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn line(mut self, line: fmt::Arguments<'_>) -> Self {
        write!(self.0, "{line}\r\n").expect("writing to memory does not fail");
        self
    }
}
