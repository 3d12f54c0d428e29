//! `Framing`: any of the codecs here, chosen while the program runs.
//!
//! It adds nothing to them but their names, as the command spells them.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{
    ByteOrder, Codec, Decoded, Encode, Envelope, Fixed, FrameError, Length, LengthWidth, Lines, LinesState, Raw,
};

/// One of the codecs.
///
/// Its name is `raw`, `lines`, `lines:utf8`, `length` (the same as `length:u32`), `length:u16le` and
/// so on for each width, or `fixed:16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// What arrives together is a frame.
    Raw(Raw),
    /// One line is a frame. The name does not say whether the line `exit` means goodbye.
    Lines(Lines),
    /// A length, then the frame.
    Length(Length),
    /// Every frame has the same length.
    Fixed(Fixed),
}

/// What one stream remembers under any framing: only lines need something.
pub type FramingState = LinesState;

impl Framing {
    /// Lets lines know `exit`, see [`Lines::with_exit`]; other framings have no such word.
    pub const fn with_exit(self) -> Self {
        match self {
            Self::Lines(lines) => Self::Lines(lines.with_exit()),
            Self::Raw(_) | Self::Length(_) | Self::Fixed(_) => self,
        }
    }
}

impl Codec for Framing {
    type State = FramingState;

    #[inline]
    fn decode(&self, state: &mut FramingState, input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        match self {
            Self::Raw(raw) => raw.decode(&mut (), input, frame_len_max),
            Self::Lines(lines) => lines.decode(state, input, frame_len_max),
            Self::Length(length) => length.decode(&mut (), input, frame_len_max),
            Self::Fixed(fixed) => fixed.decode(&mut (), input, frame_len_max),
        }
    }
}

impl Encode for Framing {
    #[inline]
    fn envelope(&self, parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        match self {
            Self::Raw(raw) => raw.envelope(parts),
            Self::Lines(lines) => lines.envelope(parts),
            Self::Length(length) => length.envelope(parts),
            Self::Fixed(fixed) => fixed.envelope(parts),
        }
    }
}

/// No framing has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no framing is called `{name}`: type raw, lines, lines:utf8, length, length:u8, length:u16, length:u32 or \
     length:u64 (with le behind it if the lowest byte comes first: length:u16le), or fixed:N with N bytes, at least 1"
)]
pub struct UnknownFraming {
    /// What was typed.
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
                let order = match order {
                    ByteOrder::Big => "",
                    ByteOrder::Little => "le",
                };
                write!(f, "length:u{}{order}", 8 * width.bytes())
            }
            Self::Fixed(fixed) => write!(f, "fixed:{}", fixed.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check::{Seen, cuts, encode, read_cut};
    use super::*;

    #[track_caller]
    fn check(name: &str, framing: Framing) {
        assert_eq!(name.parse(), Ok(framing));
        assert_eq!(framing.to_string().parse(), Ok(framing), "printed as {framing}");
    }

    #[track_caller]
    fn check_unknown(name: &str) {
        let error = name.parse::<Framing>().unwrap_err();
        assert_eq!(error.name, name);
        assert!(error.to_string().contains("type raw, lines, lines:utf8, length,"), "{error}");
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
    fn another_name_is_answered_with_those_there_are() {
        for name in ["", "line", "Raw", "raw:", "lines:1", "length:", "length:u24", "length:le", "length:u8lele"] {
            check_unknown(name);
        }
        for name in ["fixed", "fixed:", "fixed:0", "fixed:-1", "fixed:1.5", "fixed:99999999999999999999"] {
            check_unknown(name);
        }
    }

    #[test]
    fn only_lines_know_exit() {
        let goodbye = |name: &str| {
            let framing: Framing = name.parse().unwrap();
            read_cut(&framing.with_exit(), 9, b"exit\r\n", &[]).contains(&Seen::Exit)
        };
        assert!(goodbye("lines"));
        assert!(!goodbye("raw") && !goodbye("fixed:6") && !goodbye("length:u8"));
    }

    /// Every framing but raw, under which a frame is what arrives together.
    fn framings() -> impl Strategy<Value = Framing> {
        const NAMES: &[&str] =
            &["lines", "lines:utf8", "length:u8", "length:u16", "length:u32le", "length:u64", "fixed:1", "fixed:5"];
        prop::sample::select(NAMES).prop_map(|name| name.parse::<Framing>().unwrap().with_exit())
    }

    proptest! {
        #[test]
        fn any_bytes_mean_the_same_however_they_are_cut(
            framing in framings(),
            // Few values, so that lengths are short and lines end.
            input in prop::collection::vec(prop_oneof![6 => Just(0_u8), 1 => 0_u8..14, 1 => any::<u8>()], 0..200),
            frame_len_max in 0_usize..20,
            places in any::<[prop::sample::Index; 6]>(),
        ) {
            let whole = read_cut(&framing, frame_len_max, &input, &[]);
            prop_assert_eq!(read_cut(&framing, frame_len_max, &input, &cuts(&places, input.len())), whole);
        }

        #[test]
        fn what_was_read_can_be_sent(
            framing in framings(),
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
