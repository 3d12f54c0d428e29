//! Fuzz tests: arbitrary bytes in arbitrary pieces, for every framing.
//!
//! `cargo test` tries a few thousand random inputs and those in `__fuzz__`. `cargo bolero test
//! codec::fuzz::…` continues from there.

use super::check::{Seen, read_cut};
use super::{ByteOrder, Fixed, Framing, Length, LengthWidth, Lines, Raw};

/// The number of random inputs in a run of `cargo test`.
const ITERATIONS: usize = 3_000;

/// One of all framings with all their options.
fn framing(choice: u8) -> Framing {
    let widths = [LengthWidth::U8, LengthWidth::U16, LengthWidth::U32, LengthWidth::U64];
    let width = widths[usize::from(choice / 8 % 4)];
    let order = if choice.is_multiple_of(2) { ByteOrder::Big } else { ByteOrder::Little };
    match choice % 8 {
        0 => Framing::Raw(Raw),
        1 => Framing::Lines(Lines::new()),
        2 => Framing::Lines(Lines::new().with_exit()),
        3 => Framing::Lines(Lines::new().utf8_only()),
        4 => Framing::Fixed(Fixed::new(1 + usize::from(choice / 8))),
        _ => Framing::Length(Length { width, order }),
    }
}

/// With raw framing each read is a frame, so only the bytes are compared.
#[test]
fn decoding_does_not_depend_on_read_boundaries() {
    bolero::check!().with_iterations(ITERATIONS).with_max_len(256).for_each(|bytes: &[u8]| {
        let [choice, limit, size, input @ ..] = bytes else { return };
        let (framing, limit, size) = (framing(*choice), usize::from(*limit), usize::from(*size).max(1));
        let whole = read_cut(&framing, limit, input, &[]);
        let cuts: Vec<usize> = (size..input.len()).step_by(size).collect();
        let pieces = read_cut(&framing, limit, input, &cuts);
        if let Framing::Raw(_) = framing {
            assert_eq!(bytes_of(&whole), input);
            assert_eq!(bytes_of(&pieces), input);
        } else {
            assert_eq!(whole, pieces, "{framing} with frames of {limit} bytes, in pieces of {size}");
        }
        let too_long = |seen: &&Seen| matches!(seen, Seen::Frame(frame) if frame.len() > limit);
        let is_bounded = !matches!(framing, Framing::Raw(_) | Framing::Fixed(_));
        assert!(!is_bounded || whole.iter().find(too_long).is_none(), "longer than {limit}: {whole:?}");
    });
}

fn bytes_of(seen: &[Seen]) -> Vec<u8> {
    let frame = |seen: &Seen| match seen {
        Seen::Frame(frame) => frame.clone(),
        Seen::Exit | Seen::Error(_) | Seen::Rest(_) => panic!("{seen:?}"),
    };
    seen.iter().flat_map(frame).collect()
}

#[test]
fn a_parsed_framing_prints_and_parses_back() {
    const WORDS: [&str; 12] = ["raw", "lines", ":", "utf8", "length", "u", "8", "16", "64", "le", "be", "fixed"];
    bolero::check!().with_iterations(ITERATIONS).with_max_len(32).for_each(|bytes: &[u8]| {
        // Half of the bytes stand for a word, so that many names are almost valid.
        let part = |byte: &u8| match *byte {
            byte if byte < 128 => char::from(byte).to_string(),
            byte => WORDS[usize::from(byte) % WORDS.len()].to_owned(),
        };
        let text: String = bytes.iter().map(part).collect();
        match text.parse::<Framing>() {
            Ok(framing) => assert_eq!(framing.to_string().parse(), Ok(framing), "{text:?}"),
            Err(unknown) => assert_eq!(unknown.name, text),
        }
    });
}
