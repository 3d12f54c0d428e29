//! [`TrustedProxies`]: the networks from which PROXY headers are accepted.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

use crate::peer_address::PeerAddress;

/// The length of the prefix of an IPv4 address that is mapped into IPv6 (RFC 4291, section 2.5.5.2).
const MAPPED_PREFIX_LEN: u8 = 96;

/// The sources of connections that must begin with a PROXY header.
///
/// Each is a network such as `10.1.0.0/16` or one address. The default is the loopback of IPv4 and IPv6.
/// Peers of a Unix socket are always trusted: the permissions of its path decide which processes can connect.
///
/// A trusted source can announce any address. Trust only proxies, not networks with clients.
///
/// ```
/// use readyloop::net::{PeerAddress, TrustedProxies};
///
/// let trusted: TrustedProxies = "10.1.0.0/16, 2001:db8::7".parse()?;
/// assert!(trusted.contains(&PeerAddress::Tcp("10.1.2.3:4567".parse()?)));
/// assert!(!trusted.contains(&PeerAddress::Tcp("10.2.0.1:4567".parse()?)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

/// The text is not a network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a network or an address: {0:?}")]
pub struct NetworkError(String);

impl TrustedProxies {
    /// Whether connections from this address are trusted.
    pub fn contains(&self, address: &PeerAddress) -> bool {
        match address {
            PeerAddress::Unix => true,
            PeerAddress::Tcp(address) => {
                let ip = address.ip().to_canonical();
                self.networks.iter().any(|network| network.contains(&ip))
            }
        }
    }
}

impl Default for TrustedProxies {
    fn default() -> Self {
        let loopback =
            [Ipv4Net::new_assert([127, 0, 0, 0].into(), 8).into(), Ipv6Net::new_assert(1.into(), 128).into()];
        Self { networks: loopback.into() }
    }
}

impl FromStr for TrustedProxies {
    type Err = NetworkError;

    /// Parses networks and addresses, separated by commas.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let networks = text.split(',').map(|network| parse_network(network.trim())).collect::<Result<_, _>>()?;
        Ok(Self { networks })
    }
}

fn parse_network(text: &str) -> Result<IpNet, NetworkError> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = network.map_err(|_| NetworkError(text.to_owned()))?.trunc();
    // The address of a peer is compared in its IPv4 form.
    if let (IpAddr::V4(v4), Some(prefix_len)) =
        (network.addr().to_canonical(), network.prefix_len().checked_sub(MAPPED_PREFIX_LEN))
        && let IpNet::V6(_) = network
    {
        return Ok(Ipv4Net::new_assert(v4, prefix_len).into());
    }
    Ok(network)
}

impl FromIterator<Self> for TrustedProxies {
    /// All networks of several lists. It trusts only Unix sockets if there are none.
    fn from_iter<I: IntoIterator<Item = Self>>(lists: I) -> Self {
        Self { networks: lists.into_iter().flat_map(|list| list.networks).collect() }
    }
}

impl fmt::Display for TrustedProxies {
    /// Prints the networks, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for network in &self.networks {
            write!(f, "{separator}{network}")?;
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(networks: &str, address: &str, expected: bool) {
        let trusted: TrustedProxies = networks.parse().unwrap();
        let address = PeerAddress::Tcp(address.parse().unwrap());
        assert_eq!(trusted.contains(&address), expected, "{address} in {networks}");
    }

    #[test]
    fn an_address_is_trusted_if_it_is_in_one_of_the_networks() {
        check("10.0.0.0/8", "10.255.0.1:1", true);
        check("10.0.0.0/8", "11.0.0.1:1", false);
        check("10.0.0.0/8,11.0.0.1", "11.0.0.1:1", true);
        check("10.9.8.7/8", "10.0.0.1:1", true);
        check("0.0.0.0/0", "[2001:db8::1]:1", false);
        check("2001:db8::/32", "[2001:db8::1]:1", true);
        check("10.0.0.0/8", "[::ffff:10.0.0.1]:1", true);
        check("::ffff:10.0.0.0/104", "10.0.0.1:1", true);
        check("::ffff:10.0.0.0/104", "11.0.0.1:1", false);
    }

    #[test]
    fn the_default_is_loopback_and_a_unix_socket_is_always_trusted() {
        let trusted = TrustedProxies::default();
        assert_eq!(trusted.to_string(), "127.0.0.0/8,::1/128");
        assert_eq!(trusted.to_string().parse(), Ok(trusted.clone()));
        assert!(trusted.contains(&PeerAddress::Tcp("[::1]:1".parse().unwrap())));
        assert!(TrustedProxies::from_iter([]).contains(&PeerAddress::Unix));
    }

    #[test]
    fn a_text_that_is_no_network_is_refused() {
        for text in ["", ",", "10.0.0.0/33", "10.0.0/8", "::/129", "localhost", "10.0.0.0/-1", "10.0.0.1:80", "*"] {
            assert!(text.parse::<TrustedProxies>().is_err(), "{text}");
        }
    }
}
