//! Numbers, times and errors in words.

use std::{fmt, io};

use libc::{
    EADDRINUSE, EAGAIN, ECONNABORTED, ECONNREFUSED, ECONNRESET, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOTCONN,
    EPIPE, ETIMEDOUT,
};

use crate::admission::Count;
use crate::instant::{Instant, NANOS_PER_SECOND};

/// A time since the start of the clock, in seconds: `1.204 s`.
pub(super) struct Seconds(pub(super) Instant);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_nanos() / NANOS_PER_SECOND, self.0.as_nanos() % NANOS_PER_SECOND);
        let digits = format!("{nanos:09}");
        match digits.trim_end_matches('0') {
            "" => write!(f, "{seconds} s"),
            digits => write!(f, "{seconds}.{digits} s"),
        }
    }
}

/// A number of bytes: `1 byte`, `20 bytes`.
pub(super) fn bytes(len: usize) -> Count {
    Count(len as u64, "byte")
}

/// A frame: its content if it is short, else its length.
pub(super) struct BytesPreview<'a>(pub(super) &'a [u8]);

impl fmt::Display for BytesPreview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LEN_MAX: usize = 40;
        match self.0 {
            short if short.len() <= LEN_MAX => write!(f, "\"{}\"", short.escape_ascii()),
            long => write!(f, "{}", bytes(long.len())),
        }
    }
}

/// Foreign text as one line, without characters that control a terminal or change the direction of text.
pub(super) fn printable(text: &str) -> String {
    let is_unsafe = |char: char| {
        char.is_control()
            || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.replace(is_unsafe, "\u{fffd}")
}

/// The name of an errno and what it means here.
pub(super) fn describe_errno(errno: i32) -> String {
    match errno {
        EAGAIN => "EAGAIN, the call would block".to_owned(),
        EINTR => "EINTR, the call was interrupted".to_owned(),
        ECONNRESET => "ECONNRESET, the connection was reset".to_owned(),
        EPIPE => "EPIPE, the other end is closed".to_owned(),
        ETIMEDOUT => "ETIMEDOUT, the connection timed out".to_owned(),
        ECONNREFUSED => "ECONNREFUSED, no listener at this address".to_owned(),
        ECONNABORTED => "ECONNABORTED, the connection ended before it was accepted".to_owned(),
        EMFILE => "EMFILE, the process is out of file descriptors".to_owned(),
        ENFILE => "ENFILE, the system is out of file descriptors".to_owned(),
        ENOBUFS => "ENOBUFS, the kernel is out of memory".to_owned(),
        ENOMEM => "ENOMEM, the kernel is out of memory".to_owned(),
        ENOTCONN => "ENOTCONN, the connection is broken".to_owned(),
        EADDRINUSE => "EADDRINUSE, the address is in use".to_owned(),
        errno => {
            let text = io::Error::from_raw_os_error(errno).to_string();
            format!("errno {errno}, {}", text.trim_end_matches(&format!(" (os error {errno})")))
        }
    }
}
