//! Addresses of servers as text, such as `tcp://host:port` and `unix:/path`.

use std::ffi::OsStr;
use std::mem::offset_of;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, io};

use socket2::SockAddr;
use thiserror::Error;

/// The address of a server, at which it listens and to which clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub enum Address {
    /// `host:port`; the host may be a name, an IPv4 address, or an IPv6 address in brackets.
    Tcp(String),
    /// `host:port`, with TLS.
    Tls(String),
    /// `host:port`, for datagrams.
    Udp(String),
    /// A path in the file system. On Linux, `@name` is a name in the abstract namespace (unix(7)), which
    /// has no file.
    Unix(PathBuf),
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// No text at all.
    #[error("the address is empty; write host:port")]
    Empty,
    /// No `:port` at the end.
    #[error("`{0}` has no port (0 to 65535): write host:port, such as 127.0.0.1:7007")]
    NoPort(String),
    /// The port is a number above 65535.
    #[error("port {0} is too large: a port is 0 to 65535")]
    PortTooLarge(String),
    /// The port is not a number. Names of services are not looked up.
    #[error("`{0}` is not a port: write a number from 0 to 65535")]
    BadPort(String),
    /// A `/` after the port.
    #[error("`{0}` has a `/` in it: write host:port without a path")]
    HasPath(String),
    /// An empty host.
    #[error("`{0}` has no host: write host:port, such as 127.0.0.1:7007 or [::1]:7007")]
    NoHost(String),
    /// An IPv6 address without brackets, or brackets around something else.
    #[error("`{0}` is not an IPv6 address in brackets: write one such as [::1]:7007 or [fe80::1%eth0]:7007")]
    BadIpv6(String),
    /// A space or another character that no host name has.
    #[error("`{0}` is not a host: write a name or an IP address")]
    BadHost(String),
    /// An unknown `scheme://`.
    #[error("`{0}` is not an address scheme: use tcp://host:port, tls://host:port, udp://host:port or unix:/path")]
    UnknownScheme(String),
    /// `unix:` without a path.
    #[error("`unix:` needs a path: write unix:/run/readyloop.sock")]
    NoPath,
    /// A path that does not fit the address of a socket (unix(7)).
    #[error("the path of a Unix socket has at most {UNIX_PATH_LEN_MAX} bytes, none of them zero")]
    BadPath,
    /// `unix:@name` on a system other than Linux.
    #[error("a Unix socket needs a path here: names such as `@{0}` exist on Linux only")]
    AbstractName(String),
}

/// The longest path of a Unix socket, which ends with a zero byte.
const UNIX_PATH_LEN_MAX: usize = size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path) - 1;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path.strip_prefix("//").unwrap_or(path)).map(Self::Unix);
        }
        let (kind, host_port): (fn(String) -> Self, _) = match text.split_once("://") {
            Some(("tcp", rest)) => (Self::Tcp, rest),
            Some(("tls", rest)) => (Self::Tls, rest),
            Some(("udp", rest)) => (Self::Udp, rest),
            Some((scheme, _)) => return Err(AddressError::UnknownScheme(scheme.to_owned())),
            None => (Self::Tcp, text),
        };
        if host_port.is_empty() {
            return Err(AddressError::Empty);
        }
        if host_port.contains('/') {
            return Err(AddressError::HasPath(text.to_owned()));
        }
        let no_port = || AddressError::NoPort(text.to_owned());
        let (host, port) = host_port.rsplit_once(':').filter(|_| !host_port.ends_with(']')).ok_or_else(no_port)?;
        check_port(port).map_err(|error| if port.is_empty() { no_port() } else { error })?;
        check_host(host, text)?;
        Ok(kind(host_port.to_owned()))
    }
}

fn unix_path(path: &str) -> Result<PathBuf, AddressError> {
    match path.strip_prefix('@') {
        _ if path.len() > UNIX_PATH_LEN_MAX || path.contains('\0') => Err(AddressError::BadPath),
        Some("") => Err(AddressError::NoPath),
        Some(name) if !cfg!(target_os = "linux") => Err(AddressError::AbstractName(name.to_owned())),
        None if path.is_empty() => Err(AddressError::NoPath),
        Some(_) | None => Ok(path.into()),
    }
}

/// A port consists of digits. `str::parse` would accept a plus sign, too.
fn check_port(port: &str) -> Result<(), AddressError> {
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(_) if is_number => Ok(()),
        Err(_) if is_number => Err(AddressError::PortTooLarge(port.to_owned())),
        Ok(_) | Err(_) => Err(AddressError::BadPort(port.to_owned())),
    }
}

fn check_host(host: &str, text: &str) -> Result<(), AddressError> {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let (address, zone) = address.split_once('%').map_or((address, None), |(address, zone)| (address, Some(zone)));
        let has_zone = |zone: &str| !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_graphic());
        return match address.parse::<Ipv6Addr>() {
            Ok(_) if zone.is_none_or(has_zone) => Ok(()),
            Ok(_) | Err(_) => Err(AddressError::BadIpv6(text.to_owned())),
        };
    }
    let is_odd = |char: char| char.is_whitespace() || char.is_control() || matches!(char, '[' | ']' | '%' | '@');
    match host {
        "" => Err(AddressError::NoHost(text.to_owned())),
        host if host.contains(':') => Err(AddressError::BadIpv6(text.to_owned())),
        host if host.contains(is_odd) => Err(AddressError::BadHost(host.to_owned())),
        _ => Ok(()),
    }
}

/// The address of a Unix socket. A path that begins with `@` is a name in the abstract namespace of Linux.
pub(crate) fn unix_address(path: &Path) -> io::Result<SockAddr> {
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => SockAddr::unix(OsStr::from_bytes(&[b"\0", name].concat())),
        None => SockAddr::unix(path),
    }
}

/// Whether the path is a file, rather than a name in the abstract namespace of Linux.
pub(crate) fn is_file_path(path: &Path) -> bool {
    !path.as_os_str().as_bytes().starts_with(b"@")
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
    pub(crate) fn resolve(host_port: &str) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = host_port.rsplit_once(':').unwrap_or((host_port, ""));
        let port: u16 = port.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no port"))?;
        // The resolver knows the zones of IPv6 addresses, such as `fe80::1%eth0`, but no brackets.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok((host, port).to_socket_addrs()?.collect())
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
        check("udp://[fe80::1%eth0]:7", "udp://[fe80::1%eth0]:7");
        check("unix:./@a", "unix:./@a");
        #[cfg(target_os = "linux")]
        check("unix:@a", "unix:@a");
    }

    #[track_caller]
    fn check_error(text: &str, expected: impl Fn(String) -> AddressError, part: &str) {
        assert_eq!(text.parse::<Address>(), Err(expected(part.to_owned())));
    }

    #[test]
    fn each_kind_of_mistake_has_its_own_error() {
        use AddressError::{
            BadHost, BadIpv6, BadPath, BadPort, Empty, HasPath, NoHost, NoPath, NoPort, PortTooLarge, UnknownScheme,
        };
        check_error("", |_| Empty, "");
        check_error("tcp://", |_| Empty, "");
        for text in ["localhost", "localhost:", "[::1]", "[::1]:"] {
            check_error(text, NoPort, text);
        }
        check_error(":65536", PortTooLarge, "65536");
        check_error("a:99999999999999999999", PortTooLarge, "99999999999999999999");
        for (text, port) in
            [(":http", "http"), ("a:+7107", "+7107"), ("a:-1", "-1"), ("a: 1", " 1"), ("a:\u{661}", "\u{661}")]
        {
            check_error(text, BadPort, port);
        }
        check_error(":7007", NoHost, ":7007");
        for text in ["127.0.0.1:7007/", "tcp://a:1/b", "/tmp/a.sock"] {
            check_error(text, HasPath, text);
        }
        for text in ["::1:7007", "[]:1", "[a]:1", "[127.0.0.1]:1", "[::1%]:1", "[::1%a b]:1"] {
            check_error(text, BadIpv6, text);
        }
        for host in ["a b", "[a", "user@a", "fe80%eth0", "a\u{1b}"] {
            check_error(&format!("{host}:1"), BadHost, host);
        }
        check_error("http://a:1", UnknownScheme, "http");
        check_error("unix:", |_| NoPath, "");
        check_error("unix://", |_| NoPath, "");
        check_error("unix:@", |_| NoPath, "");
        check_error("unix:/a\0b", |_| BadPath, "");
        check_error(&format!("unix:/{}", "a".repeat(UNIX_PATH_LEN_MAX)), |_| BadPath, "");
        assert!(format!("unix:/{}", "a".repeat(UNIX_PATH_LEN_MAX - 1)).parse::<Address>().is_ok());
    }

    #[test]
    fn an_ipv6_address_in_brackets_is_resolved_with_its_zone() {
        let resolved = Address::resolve("[fe80::1%1]:7007").unwrap();
        let SocketAddr::V6(address) = resolved[0] else { panic!("{resolved:?}") };
        assert_eq!((address.port(), address.scope_id()), (7007, 1));
        assert_eq!(Address::resolve("[::1]:1").unwrap(), ["[::1]:1".parse().unwrap()]);
    }
}
