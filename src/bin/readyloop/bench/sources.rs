//! The addresses to connect from, as they are typed: `127.0.0.2-127.0.0.9,10.0.0.1`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::units::ParseError;

/// More would be a slip of the finger; each gives 28,000 connections.
const SOURCES_MAX: u128 = 65_536;

/// Addresses to connect from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sources(pub(super) Vec<IpAddr>);

/// Reads single addresses and ranges, with commas between.
pub(super) fn sources(text: &str) -> Result<Sources, ParseError> {
    let mut addresses = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) => {
                let range = numbers(first.to_bits().into(), last.to_bits().into())?;
                addresses.extend(range.map(|number| IpAddr::V4(Ipv4Addr::from_bits(number as u32))));
            }
            (Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))) => {
                let range = numbers(first.to_bits(), last.to_bits())?;
                addresses.extend(range.map(|number| IpAddr::V6(Ipv6Addr::from_bits(number))));
            }
            (Ok(_), Ok(_)) => return Err(parse_error("a range from one family to the other")),
            (Err(_), _) | (_, Err(_)) => return Err(parse_error("no address")),
        }
    }
    Ok(Sources(addresses))
}

fn numbers(first: u128, last: u128) -> Result<impl Iterator<Item = u128>, ParseError> {
    match last.checked_sub(first) {
        None => Err(parse_error("a range that ends before it begins")),
        Some(steps) if steps >= SOURCES_MAX => Err(parse_error("more than 65536 addresses")),
        Some(_) => Ok(first..=last),
    }
}

fn parse_error(what: &str) -> ParseError {
    ParseError::new(what, "type addresses of this machine, such as 127.0.0.2-127.0.0.9 or 10.0.0.1,10.0.0.2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let addresses = sources(text).unwrap().0;
        assert_eq!(addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    #[track_caller]
    fn check_wrong(text: &str, what: &str) {
        assert_eq!(sources(text).unwrap_err().to_string(), what, "{text}");
    }

    #[test]
    fn a_range_has_both_its_ends() {
        check("127.0.0.2-127.0.0.4", &["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
        check("10.0.0.255-10.0.1.0,::1", &["10.0.0.255", "10.0.1.0", "::1"]);
        check("fd00::9-fd00::a", &["fd00::9", "fd00::a"]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        check_wrong("127.0.0.2-", "no address");
        check_wrong("localhost", "no address");
        check_wrong("127.0.0.9-127.0.0.2", "a range that ends before it begins");
        check_wrong("127.0.0.1-::1", "a range from one family to the other");
        check_wrong("127.0.0.1-128.0.0.1", "more than 65536 addresses");
    }
}
