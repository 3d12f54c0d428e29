//! Addresses of servers as text, such as `tcp://host:port` and `unix:/path`.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// The address of a server, at which it listens and to which clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `host:port`; the host may be a name, an IPv4 address, or an IPv6 address in brackets.
    Tcp(String),
    /// `host:port`, with TLS.
    Tls(String),
    /// `host:port`, for datagrams.
    Udp(String),
    /// A path in the file system.
    Unix(PathBuf),
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// No `:port` at the end, or the port is not a number up to 65535.
    #[error("`{0}` has no port (0 to 65535): write host:port, such as 127.0.0.1:7007")]
    NoPort(String),
    /// An empty host, or an IPv6 address without brackets.
    #[error("`{0}` has no host: write host:port, such as 127.0.0.1:7007 or [::1]:7007")]
    NoHost(String),
    /// An unknown `scheme://`.
    #[error("`{0}` is not an address scheme: use tcp://host:port, tls://host:port, udp://host:port or unix:/path")]
    UnknownScheme(String),
    /// `unix:` without a path.
    #[error("`unix:` needs a path: write unix:/run/readyloop.sock")]
    NoPath,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(AddressError::NoPath) } else { Ok(Self::Unix(path.into())) };
        }
        let (kind, host_port): (fn(String) -> Self, _) = match text.split_once("://") {
            Some(("tcp", rest)) => (Self::Tcp, rest),
            Some(("tls", rest)) => (Self::Tls, rest),
            Some(("udp", rest)) => (Self::Udp, rest),
            Some((scheme, _)) => return Err(AddressError::UnknownScheme(scheme.to_owned())),
            None => (Self::Tcp, text),
        };
        let (host, port) = host_port.rsplit_once(':').ok_or_else(|| AddressError::NoPort(text.to_owned()))?;
        let is_bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
        if host.is_empty() || (host.contains(':') && !is_bracketed) {
            return Err(AddressError::NoHost(text.to_owned()));
        }
        if port.parse::<u16>().is_err() {
            return Err(AddressError::NoPort(text.to_owned()));
        }
        Ok(kind(host_port.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host_port) => write!(f, "tcp://{host_port}"),
            Self::Tls(host_port) => write!(f, "tls://{host_port}"),
            Self::Udp(host_port) => write!(f, "udp://{host_port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address.to_string())
    }
}

impl Address {
    /// The socket addresses of `host:port`. Blocks while a name is looked up.
    ///
    /// # Errors
    /// The name cannot be resolved.
    pub(crate) fn resolve(host_port: &str) -> std::io::Result<Vec<SocketAddr>> {
        Ok(host_port.to_socket_addrs()?.collect())
    }

    /// The same kind of address, with the socket address it was bound to.
    pub(crate) fn bound_to(&self, address: SocketAddr) -> Self {
        match self {
            Self::Tls(_) => Self::Tls(address.to_string()),
            Self::Udp(_) => Self::Udp(address.to_string()),
            Self::Tcp(_) | Self::Unix(_) => Self::Tcp(address.to_string()),
        }
    }

    /// Whether other machines may be able to connect, because it is not a loopback address. `false` for
    /// a name that cannot be resolved. Blocks while a name is looked up.
    pub fn is_public(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Tcp(host_port) | Self::Tls(host_port) | Self::Udp(host_port) => Self::resolve(host_port)
                .is_ok_and(|addresses| addresses.iter().any(|address| !address.ip().to_canonical().is_loopback())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, printed: &str) {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), printed);
    }

    #[test]
    fn an_address_is_parsed_and_printed_in_one_form() {
        check("127.0.0.1:7007", "tcp://127.0.0.1:7007");
        check("tcp://localhost:0", "tcp://localhost:0");
        check("[::1]:0", "tcp://[::1]:0");
        check("tls://example.org:443", "tls://example.org:443");
        check("udp://127.0.0.1:7007", "udp://127.0.0.1:7007");
        check("unix:/tmp/a.sock", "unix:/tmp/a.sock");
        check("unix:///tmp/a.sock", "unix:/tmp/a.sock");
    }

    #[test]
    fn an_invalid_address_has_a_specific_error() {
        let error = |text: &str| text.parse::<Address>().unwrap_err();
        assert!(matches!(error("localhost"), AddressError::NoPort(_)));
        assert!(matches!(error("localhost:70000"), AddressError::NoPort(_)));
        assert!(matches!(error(":7007"), AddressError::NoHost(_)));
        assert!(matches!(error("::1:7007"), AddressError::NoHost(_)));
        assert!(matches!(error("http://a:1"), AddressError::UnknownScheme(_)));
        assert!(matches!(error("unix:"), AddressError::NoPath));
    }
}
