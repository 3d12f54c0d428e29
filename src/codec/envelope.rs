//! `Envelope`: the bytes before and after a frame.
//!
//! It lies in one value without an allocation. It does not hold the frame itself.

use std::fmt::{self, Write as _};

/// The bytes before and after a frame.
///
/// ```
/// use readyloop::codec::Envelope;
///
/// // A bulk string of Redis: `$5\r\nhello\r\n`.
/// let envelope = Envelope::formatted(format_args!("${}\r\n", 5)).and_tail(b"\r\n");
/// assert_eq!([envelope.head(), b"hello", envelope.tail()].concat(), b"$5\r\nhello\r\n");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    head: [u8; Self::HEAD_MAX],
    head_len: u8,
    tail: &'static [u8],
}

// Every frame that is sent has one.
const _: () = assert!(size_of::<Envelope>() == 48);

impl Envelope {
    /// Most bytes before a frame. A line with a 64-bit number fits, and the 14 bytes of WebSocket.
    pub const HEAD_MAX: usize = 31;

    /// No bytes around the frame.
    pub const NONE: Self = Self { head: [0; Self::HEAD_MAX], head_len: 0, tail: &[] };

    /// An envelope with at most [`HEAD_MAX`](Self::HEAD_MAX) bytes before the frame.
    ///
    /// # Panics
    /// When `head` is longer.
    pub fn with_head(head: &[u8]) -> Self {
        let mut envelope = Self::NONE;
        envelope.head[..head.len()].copy_from_slice(head);
        envelope.head_len = u8::try_from(head.len()).expect("the copy above checked the length");
        envelope
    }

    /// An envelope with a text of at most [`HEAD_MAX`](Self::HEAD_MAX) bytes before the frame.
    ///
    /// # Panics
    /// When the text is longer.
    pub fn formatted(head: fmt::Arguments<'_>) -> Self {
        let mut writer = HeadWriter(Self::NONE);
        writer.write_fmt(head).expect("the text fits into the head of an envelope");
        writer.0
    }

    /// An envelope with bytes after the frame.
    pub const fn with_tail(tail: &'static [u8]) -> Self {
        Self { tail, ..Self::NONE }
    }

    /// The same bytes before the frame, and `tail` after it.
    #[must_use]
    pub const fn and_tail(self, tail: &'static [u8]) -> Self {
        Self { tail, ..self }
    }

    /// The bytes before the frame.
    #[inline]
    pub fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }

    /// The number of bytes before and after the frame.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.head_len) + self.tail.len()
    }

    /// Whether there are no bytes around the frame.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes after the frame.
    #[inline]
    pub fn tail(&self) -> &'static [u8] {
        self.tail
    }
}

/// Appends text to the head of an envelope.
struct HeadWriter(Envelope);

impl fmt::Write for HeadWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.0.head_len);
        let end = start + text.len();
        self.0.head.get_mut(start..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.0.head_len = u8::try_from(end).map_err(|_| fmt::Error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_may_have_any_length_up_to_the_limit() {
        let bytes = [7; Envelope::HEAD_MAX];
        for len in 0..=Envelope::HEAD_MAX {
            let envelope = Envelope::with_head(&bytes[..len]).and_tail(b"\r\n");
            assert_eq!((envelope.head(), envelope.tail(), envelope.len()), (&bytes[..len], &b"\r\n"[..], len + 2));
        }
    }

    #[test]
    fn the_longest_number_fits_into_a_line_before_the_frame() {
        let envelope = Envelope::formatted(format_args!("${}\r\n", u64::MAX));
        assert_eq!(envelope.head(), b"$18446744073709551615\r\n");
        assert!(Envelope::formatted(format_args!("")).is_empty());
    }

    #[test]
    #[should_panic(expected = "fits into the head")]
    fn a_text_above_the_limit_is_refused() {
        let _ = Envelope::formatted(format_args!("{:32}", 0));
    }
}
