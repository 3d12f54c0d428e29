//! Numbers for people: three digits and a unit.

pub(super) use crate::quantity::{counted, grouped};

/// A rate per second: `127.4 k/s`.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate < 1_000.0 => format!("{rate:.1} /s"),
        rate if rate < 1_000_000.0 => format!("{:.1} k/s", rate / 1e3),
        rate => format!("{:.2} M/s", rate / 1e6),
    }
}

/// A duration: `850 ns`, `97 µs`, `1.16 ms`, `12.3 s`.
pub(super) fn span(nanos: u64) -> String {
    let (value, unit) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        1_000_000_000.. => (nanos as f64 / 1e9, "s"),
    };
    // A tenth of a microsecond is the finest useful digit.
    let digits = match value {
        value if value >= 99.95 || unit == "µs" && value >= 9.95 => 0,
        value if value >= 9.995 || unit == "µs" => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

/// A number of bytes: `712 B`, `7.8 MiB`.
pub(super) fn bytes(count: f64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = count;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let nanos = [0, 850, 1_234, 9_960, 31_499, 999_400, 1_163_000, 12_345_000, 123_456_000, 12_345_678_900];
        let texts = ["0 ns", "850 ns", "1.2 µs", "10 µs", "31 µs", "999 µs", "1.16 ms", "12.3 ms", "123 ms", "12.3 s"];
        assert_eq!(nanos.map(span), texts);
    }

    #[test]
    fn rates_and_sizes_have_a_unit() {
        assert_eq!([0.0, 0.5, 127_412.0, 2_500_000.0].map(rate), ["0.0 /s", "0.5 /s", "127.4 k/s", "2.50 M/s"]);
        assert_eq!([12.0, 1536.0, 8_178_892.8].map(bytes), ["12 B", "1.5 KiB", "7.8 MiB"]);
    }
}
