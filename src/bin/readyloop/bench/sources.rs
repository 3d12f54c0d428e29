//! Parser for the value of `--source`: `127.0.0.2-127.0.0.9,10.0.0.1`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::units::ParseError;

/// Maximum number of source addresses. One address has about 28,000 ports.
const SOURCES_MAX: u128 = 65_536;

/// Source addresses of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sources(pub(super) Vec<IpAddr>);

/// Parses single addresses and ranges, separated by commas.
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
            (Ok(_), Ok(_)) => return Err(parse_error("a range that mixes IPv4 and IPv6")),
            (Err(_), _) | (_, Err(_)) => return Err(parse_error("not an IP address")),
        }
    }
    match addresses.iter().find(|address| !is_of_one_host(address)) {
        Some(_) => Err(parse_error("not the address of one host")),
        None => Ok(Sources(addresses)),
    }
}

/// Whether the kernel can send from this address.
fn is_of_one_host(address: &IpAddr) -> bool {
    !address.is_multicast() && !address.is_unspecified() && *address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn numbers(first: u128, last: u128) -> Result<impl Iterator<Item = u128>, ParseError> {
    match last.checked_sub(first) {
        None => Err(parse_error("a range with its end below its start")),
        Some(steps) if steps >= SOURCES_MAX => Err(parse_error("more than 65536 addresses")),
        Some(_) => Ok(first..=last),
    }
}

fn parse_error(what: &str) -> ParseError {
    ParseError::new(what, "use addresses of this machine, such as 127.0.0.2-127.0.0.9 or 10.0.0.1,10.0.0.2")
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
    fn a_range_includes_both_ends() {
        check("127.0.0.2-127.0.0.4", &["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
        check("10.0.0.255-10.0.1.0,::1", &["10.0.0.255", "10.0.1.0", "::1"]);
        check("fd00::9-fd00::a", &["fd00::9", "fd00::a"]);
    }

    #[test]
    fn an_invalid_range_is_rejected() {
        check_wrong("127.0.0.2-", "not an IP address");
        check_wrong("localhost", "not an IP address");
        check_wrong("127.0.0.9-127.0.0.2", "a range with its end below its start");
        check_wrong("127.0.0.1-::1", "a range that mixes IPv4 and IPv6");
        check_wrong("127.0.0.1-128.0.0.1", "more than 65536 addresses");
        for text in ["224.0.0.1", "127.0.0.1,0.0.0.0", "::", "ff02::1", "255.255.255.255", "223.255.255.255-224.0.0.9"]
        {
            check_wrong(text, "not the address of one host");
        }
    }
}
