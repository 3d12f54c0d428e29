//! Tests of the parsers and printers.

use super::*;

#[track_caller]
fn check<T: PartialEq + std::fmt::Debug>(parse: fn(&str) -> Result<T, ParseError>, text: &str, expected: T) {
    assert_eq!(parse(text), Ok(expected), "{text}");
}

#[track_caller]
fn check_wrong<T: std::fmt::Debug>(parse: impl Fn(&str) -> Result<T, ParseError>, text: &str, message: &str) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.to_string(), message, "{text}");
    assert!(error.hint.starts_with("type "), "{}", error.hint);
}

#[test]
fn counts_are_decimal() {
    check(count::<usize>, "0", 0);
    check(count::<usize>, "1000", 1_000);
    check(count::<usize>, "10k", 10_000);
    check(count::<u64>, "2M", 2_000_000);
    check(count::<u32>, "4G", 4_000_000_000);
}

#[test]
fn other_texts_are_not_counts() {
    for text in ["", "k", "-1", "1.5k", "1 k", "10K", "1KiB", "ten", "1k1", "١"] {
        check_wrong(count::<usize>, text, "not a whole number");
    }
    check_wrong(count::<u8>, "256", "must be at most 255");
    check_wrong(count::<u32>, "5G", "must be at most 4294967295");
    check_wrong(count::<u64>, "99999999999999999999", "must be at most 18446744073709551615");
    check_wrong(count::<u64>, "99999999999G", "must be at most 18446744073709551615");
}

#[test]
fn sizes_have_binary_and_decimal_units() {
    check(size::<usize>, "512", 512);
    check(size::<usize>, "64B", 64);
    check(size::<usize>, "4KiB", 4_096);
    check(size::<usize>, "1MiB", 1_048_576);
    check(size::<usize>, "2GiB", 2_147_483_648);
    check(size::<usize>, "64kB", 64_000);
    check(size::<usize>, "64KB", 64_000);
    check(size::<usize>, "3MB", 3_000_000);
    for text in ["", "64k", "64K", "1mib", "-1B", "KiB", "1.5MiB"] {
        check_wrong(size::<usize>, text, "not a size");
    }
}

#[test]
fn rates_may_have_a_fraction() {
    check(rate, "1000", 1_000.0);
    check(rate, "0.5", 0.5);
    check(rate, "2.5k", 2_500.0);
    check(rate, "1M", 1_000_000.0);
    for text in ["", "k", "-1", "1e3", "fast", "1.2.3", "10K"] {
        check_wrong(rate, text, "not a rate");
    }
    check_wrong(rate, "0", ZERO);
    let range = "must be 0.000001 to 1G";
    check_wrong(rate, "0.0000001", range);
    check_wrong(rate, "1.1G", range);
    check_wrong(rate, &"9".repeat(400), range);
}

#[test]
fn a_printed_size_can_be_parsed_again() {
    for text in ["0B", "1B", "1000B", "4KiB", "1025B", "1MiB", "3GiB"] {
        assert_eq!(print_size(size(text).unwrap()), text);
    }
}

#[test]
fn a_switch_is_on_or_off() {
    check(switch, "true", true);
    check(switch, "1", true);
    check(switch, "off", false);
    check_wrong(switch, "maybe", "not a switch");
}

#[test]
fn durations_need_a_unit_or_never() {
    check(duration, "500ms", Duration::from_millis(500));
    check(duration, "2s", Duration::from_secs(2));
    check(duration, "1m", Duration::from_secs(60));
    check(duration, "1h", Duration::from_secs(3_600));
    check(duration, "1m 30s", Duration::from_secs(90));
    check(duration, "0s", Duration::ZERO);
    check(duration, "never", Duration::MAX);
    check(duration, "off", Duration::MAX);
    check_wrong(duration, "5", "a duration needs a unit");
    check(duration, "1m30s", Duration::from_secs(90));
    check(duration, "2weeks 1day", Duration::from_secs(15 * 86_400));
    check(duration, " 2 hours 1 min ", Duration::from_secs(7_260));
    check(duration, "7µs", Duration::from_micros(7));
    check(duration, "36525d", DURATION_MAX);
    for text in ["", " ", "s", "-1s", "5 parsecs", "5 5s", "NEVER", "1.5s", "1e3s", "s5", "5s5", "\u{661}s"] {
        check_wrong(duration, text, "not a duration");
    }
    let range = "must be at most 36525d (100 years), or never";
    for text in ["36526d", "18446744073709551615s 1000000000ns", "18446744073709551616ns", "36525d 1ns"] {
        check_wrong(duration, text, range);
    }
}

#[test]
fn a_printed_duration_or_count_can_be_parsed_again() {
    for text in ["0s", "5m", "90s", "1500ms", "2w", "never"] {
        assert_eq!(print_duration(duration(text).unwrap()), text);
    }
    for text in ["0", "4096", "10k", "1M"] {
        assert_eq!(print_count(count(text).unwrap()), text);
    }
}

#[test]
fn a_value_outside_of_its_range_is_refused() {
    check_wrong(within(count::<u32>, 1..=10), "11", "must be 1 to 10");
    check_wrong(within(count::<u32>, 1..=10), "0", "must be 1 to 10");
    assert_eq!(within(count::<u32>, 1..=10)("10"), Ok(10));
}

#[test]
fn above_zero_refuses_zero() {
    check_wrong(above_zero(duration), "0s", ZERO);
    check_wrong(above_zero(count::<usize>), "0", ZERO);
    assert_eq!(above_zero(size::<usize>)("1"), Ok(1));
}

#[test]
fn any_text_is_a_value_or_gets_a_hint() {
    let words: Vec<&str> =
        "1|0|500|18446744073709551615|.|k|M|G|KiB|B|ns|ms|s|m|h|,| |never|on|[|::1|]:|fixed:|length:"
            .split('|')
            .collect();
    fn check<T>(parse: impl Fn(&str) -> Result<T, ParseError>, text: &str) {
        if let Err(error) = parse(text) {
            assert!(error.hint.starts_with("type ") && !error.to_string().is_empty(), "{text:?}: {error:?}");
        }
    }
    bolero::check!().with_iterations(3_000).with_max_len(12).for_each(|bytes: &[u8]| {
        // Half of the byte values stand for a word, so that many inputs are nearly valid.
        let part = |byte: &u8| match *byte {
            byte if byte < 128 => char::from(byte).to_string(),
            byte => words[usize::from(byte) % words.len()].to_owned(),
        };
        let text: String = bytes.iter().map(part).collect();
        check(count::<u64>, &text);
        check(count::<u8>, &text);
        check(above_zero(size::<usize>), &text);
        check(switch, &text);
        check(above_zero(duration), &text);
        check(keepalive, &text);
        check(rate, &text);
        check(address, &text);
        check(framing, &text);
        if let Ok(duration) = duration(&text) {
            assert!(duration <= DURATION_MAX || duration == Duration::MAX, "{text:?}");
            assert_eq!(super::duration(&print_duration(duration)), Ok(duration), "{text:?}");
        }
        if let Ok(bytes) = size::<usize>(&text) {
            assert_eq!(size(&print_size(bytes)), Ok(bytes), "{text:?}");
        }
    });
}

#[test]
fn keepalive_has_three_values() {
    let sixty = Keepalive { after: Duration::from_secs(60), every: Duration::from_secs(10), probes: 6 };
    check(keepalive, "60s,10s,6", sixty);
    check(keepalive, "1m, 10s, 6", sixty);
    check_wrong(keepalive, "60s", "not three values separated by commas");
    check_wrong(keepalive, "60s,10s,6,7", "not three values separated by commas");
    check_wrong(keepalive, "60,10s,6", "a duration needs a unit");
    check_wrong(keepalive, "1500ms,10s,6", "`1500ms` is not a whole number of seconds from 1 to 32767");
    check_wrong(keepalive, "60s,never,6", "`never` is not a whole number of seconds from 1 to 32767");
    check_wrong(keepalive, "60s,10s,0", "the number of probes must be 1 to 127, not 0");
    check_wrong(keepalive, "60s,10s,many", "not a whole number");
}
