//! The header itself, as a pure function of the bytes received so far.
//!
//! It reports how many bytes are certainly missing. A reader that never reads more than that cannot take a
//! byte that follows the header, so nothing has to be kept for the layer above.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use crate::peer_address::PeerAddress;

/// The longest header that is accepted, in bytes. Version 2 allows 64 KiB. Real ones with a client
/// certificate have a few KiB, and a TLS handshake holds about as much memory.
pub(super) const HEADER_LEN_MAX: usize = 16 * 1024;

/// The shortest header of all: `PROXY UNKNOWN\r\n`.
const SHORTEST: usize = 15;

const V1_BEGIN: &[u8] = b"PROXY ";
/// The longest header of version 1 (section 2.1).
const V1_LEN_MAX: usize = 107;

/// The first bytes of version 2 (section 2.2).
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family, and the length of the rest.
const V2_FIXED_LEN: usize = 16;
/// The length of two addresses of Unix sockets.
const UNIX_ADDRESSES_LEN: usize = 216;
/// The type of the field with the checksum of the header (section 2.2.3).
const TYPE_CRC32C: u8 = 3;

/// Why a connection has no valid PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// The first bytes are not those of a header.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// The header breaks the rules of its version.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// The header is longer than 107 bytes in version 1, or 16 KiB in version 2.
    #[error("the PROXY header is too long")]
    TooLong,
    /// The checksum in the header is wrong.
    #[error("the PROXY header has a wrong checksum")]
    WrongChecksum,
    /// The connection ended inside the header.
    #[error("the connection ended inside the PROXY header")]
    Incomplete,
}

use ProxyHeaderError::{Malformed, Missing, TooLong, WrongChecksum};

/// How far a header is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderProgress {
    /// At least this many bytes are missing. It is never 0.
    Missing(usize),
    /// The header is complete. The address of the client follows, unless the proxy announced none.
    Complete(Option<PeerAddress>),
}

/// Reads the bytes received so far, which must not be more than the header.
pub(super) fn parse(bytes: &[u8]) -> Result<HeaderProgress, ProxyHeaderError> {
    match bytes.first() {
        None => Ok(HeaderProgress::Missing(SHORTEST)),
        Some(b'P') => parse_v1(bytes),
        Some(_) => parse_v2(bytes),
    }
}

/// Whether the bytes and the constant agree as far as both go.
fn begins_like(bytes: &[u8], constant: &[u8]) -> bool {
    bytes.iter().zip(constant).all(|(byte, wanted)| byte == wanted)
}

fn parse_v1(bytes: &[u8]) -> Result<HeaderProgress, ProxyHeaderError> {
    if !begins_like(bytes, V1_BEGIN) {
        return Err(Missing);
    }
    if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let line = bytes[..end].strip_suffix(b"\r").filter(|_| end + 1 == bytes.len()).ok_or(Malformed)?;
        return parse_line(line).map(HeaderProgress::Complete);
    }
    if bytes.len() >= V1_LEN_MAX {
        return Err(TooLong);
    }
    let missing = if bytes.len() < SHORTEST { SHORTEST - bytes.len() } else { missing_in_line(bytes)? };
    // The last byte is the line feed, so a header of the greatest length is still read whole.
    Ok(HeaderProgress::Missing(missing.min(V1_LEN_MAX - bytes.len())))
}

/// The least number of bytes that complete a line of version 1, of which at least [`SHORTEST`] are here.
fn missing_in_line(bytes: &[u8]) -> Result<usize, ProxyHeaderError> {
    let rest = &bytes[V1_BEGIN.len()..];
    let line_end = if bytes.ends_with(b"\r") { 1 } else { 2 };
    let address_len = match rest {
        [b'U', b'N', b'K', b'N', b'O', b'W', b'N', ..] => return Ok(line_end),
        [b'T', b'C', b'P', b'4', b' ', ..] => "0.0.0.0".len(),
        [b'T', b'C', b'P', b'6', b' ', ..] => "::".len(),
        _ => return Err(Malformed),
    };
    // Each field that has not begun needs a space and its shortest form.
    let fields_begun = rest.iter().filter(|byte| **byte == b' ').count();
    let fields = [address_len, address_len, 1, 1];
    let not_begun = fields.get(fields_begun..).ok_or(Malformed)?;
    Ok(not_begun.iter().map(|shortest| 1 + shortest).sum::<usize>() + line_end)
}

/// Parses a whole line of version 1, without its end.
fn parse_line(line: &[u8]) -> Result<Option<PeerAddress>, ProxyHeaderError> {
    let text = std::str::from_utf8(line).map_err(|_| Malformed)?;
    let mut words = text.split(' ').skip(1);
    match words.next() {
        // A receiver must ignore the rest of such a line.
        Some("UNKNOWN") => Ok(None),
        Some("TCP4") => addresses_of::<Ipv4Addr>(words),
        Some("TCP6") => addresses_of::<Ipv6Addr>(words),
        _ => Err(Malformed),
    }
}

fn addresses_of<'a, A: FromStr + Into<std::net::IpAddr>>(
    mut words: impl Iterator<Item = &'a str>,
) -> Result<Option<PeerAddress>, ProxyHeaderError> {
    let mut next = || words.next().ok_or(Malformed);
    let (source, destination) = (next()?, next()?);
    let (source_port, destination_port) = (port(next()?)?, port(next()?)?);
    let source: A = source.parse().map_err(|_| Malformed)?;
    destination.parse::<A>().map_err(|_| Malformed)?;
    let _ = destination_port;
    match words.next() {
        None => Ok(Some(PeerAddress::Tcp(SocketAddr::new(source.into(), source_port)))),
        Some(_) => Err(Malformed),
    }
}

/// A port in decimal, without leading zeros.
fn port(text: &str) -> Result<u16, ProxyHeaderError> {
    let port: u16 = text.parse().map_err(|_| Malformed)?;
    if port.to_string() == text { Ok(port) } else { Err(Malformed) }
}

fn parse_v2(bytes: &[u8]) -> Result<HeaderProgress, ProxyHeaderError> {
    if !begins_like(bytes, V2_SIGNATURE) {
        return Err(Missing);
    }
    // An unknown version or command cannot be skipped (section 2.2).
    let is_local = match bytes.get(12) {
        None | Some(0x21) => false,
        Some(0x20) => true,
        Some(_) => return Err(Malformed),
    };
    let Some(rest) = bytes.get(V2_FIXED_LEN..) else {
        return Ok(HeaderProgress::Missing(V2_FIXED_LEN - bytes.len()));
    };
    let rest_len = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if V2_FIXED_LEN + rest_len > HEADER_LEN_MAX {
        return Err(TooLong);
    }
    if rest.len() < rest_len {
        return Ok(HeaderProgress::Missing(rest_len - rest.len()));
    }
    if is_local {
        // The proxy itself connects, for a health check. The rest must be ignored.
        return Ok(HeaderProgress::Complete(None));
    }
    parse_addresses(bytes, bytes[13], rest).map(HeaderProgress::Complete)
}

fn parse_addresses(header: &[u8], family: u8, rest: &[u8]) -> Result<Option<PeerAddress>, ProxyHeaderError> {
    let address =
        |ip: std::net::IpAddr, port: [u8; 2]| Some(PeerAddress::Tcp(SocketAddr::new(ip, u16::from_be_bytes(port))));
    let (address, fields) = match family {
        // The protocol is not specified. The length of the addresses is not known, so all is ignored.
        0x00 => return Ok(None),
        0x11 | 0x12 => {
            let (addresses, fields) = rest.split_first_chunk::<12>().ok_or(Malformed)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *addresses;
            (address(Ipv4Addr::new(a, b, c, d).into(), [high, low]), fields)
        }
        0x21 | 0x22 => {
            let (addresses, fields) = rest.split_first_chunk::<36>().ok_or(Malformed)?;
            let (source, others) = addresses.split_first_chunk::<16>().ok_or(Malformed)?;
            (address(Ipv6Addr::from(*source).into(), [others[16], others[17]]), fields)
        }
        0x31 | 0x32 => (Some(PeerAddress::Unix), rest.get(UNIX_ADDRESSES_LEN..).ok_or(Malformed)?),
        _ => return Err(Malformed),
    };
    check_fields(header, fields)?;
    Ok(address)
}

/// Checks the additional fields: each has a type, a length and a value. All but the checksum are ignored.
fn check_fields(header: &[u8], mut fields: &[u8]) -> Result<(), ProxyHeaderError> {
    while let [kind, high, low, rest @ ..] = fields {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, next) = rest.split_at_checked(len).ok_or(Malformed)?;
        if *kind == TYPE_CRC32C {
            let wanted = u32::from_be_bytes(value.try_into().map_err(|_| Malformed)?);
            let start = header.len() - rest.len();
            let parts = [&header[..start], &[0; 4], &header[start + 4..]];
            if crc32c(parts.into_iter().flatten().copied()) != wanted {
                return Err(WrongChecksum);
            }
        }
        fields = next;
    }
    if fields.is_empty() { Ok(()) } else { Err(Malformed) }
}

/// CRC-32C of RFC 4960, Appendix B, bit by bit: a header has a few hundred bytes.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let add = |sum: u32, byte: u8| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg()))
    };
    !bytes.fold(!0, add)
}

#[cfg(test)]
mod tests;
