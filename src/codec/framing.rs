//! `Framing`: one of the codecs of this module, chosen at run time.
//!
//! It adds only their names, as the command spells them.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{ByteOrder, Codec, Decoded, Envelope, Fixed, FrameError, Length, LengthWidth, Lines, LinesState, Raw};

/// Any codec of this module.
///
/// It is parsed from and printed as `raw`, `lines`, `lines:utf8`, `length` (the same as `length:u32`),
/// `length:u16le` and so on for each width, or `fixed:16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The bytes of one read are a frame.
    Raw(Raw),
    /// Each line is a frame. The name does not include [`Lines::with_exit`].
    Lines(Lines),
    /// Each frame follows its length.
    Length(Length),
    /// Every frame has the same length.
    Fixed(Fixed),
}

/// The state of one stream under any framing; only lines need it.
pub type FramingState = LinesState;

impl Framing {
    /// Applies [`Lines::with_exit`] to lines; other framings are unchanged.
    pub const fn with_exit(self) -> Self {
        match self {
            Self::Lines(lines) => Self::Lines(lines.with_exit()),
            Self::Raw(_) | Self::Length(_) | Self::Fixed(_) => self,
        }
    }
}

impl Codec for Framing {
    type State = FramingState;
    type Frame<'a> = &'a [u8];

    #[inline]
    fn decode(&self, state: &mut FramingState, input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        match self {
            Self::Raw(raw) => raw.decode(&mut (), input, frame_len_max),
            Self::Lines(lines) => lines.decode(state, input, frame_len_max),
            Self::Length(length) => length.decode(&mut (), input, frame_len_max),
            Self::Fixed(fixed) => fixed.decode(&mut (), input, frame_len_max),
        }
    }

    #[inline]
    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        Ok(bytes)
    }

    #[inline]
    fn envelope(&self, state: &FramingState, parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        match self {
            Self::Raw(raw) => raw.envelope(&(), parts),
            Self::Lines(lines) => lines.envelope(state, parts),
            Self::Length(length) => length.envelope(&(), parts),
            Self::Fixed(fixed) => fixed.envelope(&(), parts),
        }
    }
}

/// The name of a framing that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "unknown framing `{name}`: type raw, lines, lines:utf8, length, length:u8, length:u16, length:u32, length:u64 \
     (length:u16le and so on for little-endian), or fixed:N for frames of N bytes, where N is at least 1"
)]
pub struct UnknownFraming {
    /// The name that was given.
    pub name: String,
}

impl FromStr for Framing {
    type Err = UnknownFraming;

    fn from_str(name: &str) -> Result<Self, UnknownFraming> {
        let framing = match name.split_once(':') {
            None => match name {
                "raw" => Some(Self::Raw(Raw)),
                "lines" => Some(Self::Lines(Lines::new())),
                "length" => Some(Self::Length(Length::default())),
                _ => None,
            },
            Some(("lines", "utf8")) => Some(Self::Lines(Lines::new().utf8_only())),
            Some(("length", integer)) => parse_length(integer).map(Self::Length),
            Some(("fixed", len)) => parse_fixed(len).map(Self::Fixed),
            Some(_) => None,
        };
        framing.ok_or_else(|| UnknownFraming { name: name.to_owned() })
    }
}

fn parse_length(integer: &str) -> Option<Length> {
    let (width, order) = match integer.strip_suffix("le") {
        Some(width) => (width, ByteOrder::Little),
        None => (integer.strip_suffix("be").unwrap_or(integer), ByteOrder::Big),
    };
    let width = match width {
        "u8" => LengthWidth::U8,
        "u16" => LengthWidth::U16,
        "u32" => LengthWidth::U32,
        "u64" => LengthWidth::U64,
        _ => return None,
    };
    Some(Length { width, order })
}

fn parse_fixed(len: &str) -> Option<Fixed> {
    len.parse().ok().filter(|&len| len > 0).map(Fixed::new)
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(Raw) => f.write_str("raw"),
            Self::Lines(lines) if lines.is_utf8_only() => f.write_str("lines:utf8"),
            Self::Lines(_) => f.write_str("lines"),
            Self::Length(length) if *length == Length::default() => f.write_str("length"),
            Self::Length(Length { width, order }) => {
                let suffix = match order {
                    ByteOrder::Big => "",
                    ByteOrder::Little => "le",
                };
                write!(f, "length:u{}{suffix}", 8 * width.bytes())
            }
            Self::Fixed(fixed) => write!(f, "fixed:{}", fixed.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check::{Seen, encode, read_cut};
    use super::*;

    #[track_caller]
    fn check(name: &str, framing: Framing) {
        assert_eq!(name.parse(), Ok(framing));
        assert_eq!(framing.to_string().parse(), Ok(framing), "printed as {framing}");
    }

    #[test]
    fn every_framing_has_a_name() {
        let length = |width, order| Framing::Length(Length { width, order });
        check("raw", Framing::Raw(Raw));
        check("lines", Framing::Lines(Lines::new()));
        check("lines:utf8", Framing::Lines(Lines::new().utf8_only()));
        check("length", length(LengthWidth::U32, ByteOrder::Big));
        check("length:u8", length(LengthWidth::U8, ByteOrder::Big));
        check("length:u16", length(LengthWidth::U16, ByteOrder::Big));
        check("length:u16be", length(LengthWidth::U16, ByteOrder::Big));
        check("length:u32le", length(LengthWidth::U32, ByteOrder::Little));
        check("length:u64le", length(LengthWidth::U64, ByteOrder::Little));
        check("fixed:16", Framing::Fixed(Fixed::new(16)));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let names = ["", "line", "Raw", "raw:", "lines:1", "length:", "length:u24", "length:le", "length:u8lele"];
        let lengths = ["fixed", "fixed:", "fixed:0", "fixed:-1", "fixed:1.5", "fixed:99999999999999999999"];
        for name in names.into_iter().chain(lengths) {
            let error = name.parse::<Framing>().unwrap_err();
            assert_eq!(error.name, name);
            assert!(error.to_string().contains("type raw, lines, lines:utf8, length,"), "{error}");
        }
    }

    #[test]
    fn only_lines_have_an_exit_line() {
        let has_exit = |name: &str| {
            let framing: Framing = name.parse().unwrap();
            read_cut(&framing.with_exit(), 9, b"exit\r\n", &[]).contains(&Seen::Exit)
        };
        assert!(has_exit("lines"));
        assert!(!has_exit("raw") && !has_exit("fixed:6") && !has_exit("length:u8"));
    }

    /// Every framing except raw, where each read is a frame.
    fn framings() -> impl Strategy<Value = Framing> {
        const NAMES: &[&str] =
            &["lines", "lines:utf8", "length:u8", "length:u16", "length:u32le", "length:u64", "fixed:1", "fixed:5"];
        prop::sample::select(NAMES).prop_map(|name| name.parse::<Framing>().unwrap().with_exit())
    }

    proptest! {
        #[test]
        fn a_decoded_frame_can_be_encoded(
            framing in framings(),
            // Mostly small values, so that lengths are short and lines end.
            input in prop::collection::vec(prop_oneof![6 => Just(0_u8), 1 => 0_u8..14, 1 => any::<u8>()], 0..200),
        ) {
            let seen = read_cut(&framing, 100, &input, &[]);
            let frames = seen.into_iter().filter_map(|seen| match seen {
                Seen::Frame(frame) => Some(frame),
                Seen::Exit | Seen::Error(_) | Seen::Rest(_) => None,
            });
            prop_assert!(encode(&framing, &frames.collect::<Vec<_>>()).is_ok());
        }
    }
}
