//! Headers in pieces of every length, valid and not.

use std::net::SocketAddr;

use super::*;

/// Reads as much of `sent` as the parser asks for, at most `chunk_max` bytes at a time.
///
/// Returns the result and the number of bytes that were read.
fn read(sent: &[u8], chunk_max: usize) -> (Result<Option<PeerAddress>, ProxyHeaderError>, usize) {
    let mut received = 0;
    loop {
        match parse(&sent[..received]) {
            Ok(HeaderProgress::Missing(len)) => {
                assert!(len > 0, "after {received} bytes");
                let count = len.min(chunk_max).min(sent.len() - received);
                if count == 0 {
                    return (Err(ProxyHeaderError::Incomplete), received);
                }
                received += count;
            }
            Ok(HeaderProgress::Complete(address)) => return (Ok(address), received),
            Err(error) => return (Err(error), received),
        }
    }
}

/// Checks a header in pieces of every length, with application bytes behind it.
#[track_caller]
fn check(header: &[u8], expected: Option<&str>) {
    let expected = expected.map(|text| match text {
        "unix" => PeerAddress::Unix,
        address => PeerAddress::Tcp(address.parse::<SocketAddr>().unwrap()),
    });
    let sent = [header, b"\n application bytes \r\n"].concat();
    for chunk_max in 1..=header.len() + 1 {
        assert_eq!(read(&sent, chunk_max), (Ok(expected), header.len()), "{}, {chunk_max}", header.escape_ascii());
    }
    for cut in 0..header.len() {
        let (outcome, received) = read(&header[..cut], usize::MAX);
        assert_eq!((outcome, received), (Err(ProxyHeaderError::Incomplete), cut), "{}", header.escape_ascii());
    }
}

#[track_caller]
fn check_refused(sent: &[u8], expected: ProxyHeaderError) {
    for chunk_max in [1, 2, 7, usize::MAX] {
        let (outcome, received) = read(sent, chunk_max);
        assert_eq!(outcome, Err(expected), "{}, {chunk_max}", sent.escape_ascii());
        assert!(received <= HEADER_LEN_MAX);
    }
}

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2_SIGNATURE, &[command, family], &len, rest].concat()
}

const V4: [u8; 12] = [10, 1, 2, 3, 192, 168, 0, 1, 0x10, 0x92, 0, 80];

#[test]
fn version_1_announces_an_address_in_text() {
    check(b"PROXY TCP4 10.1.2.3 192.168.0.1 4242 80\r\n", Some("10.1.2.3:4242"));
    check(b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", Some("0.0.0.0:0"));
    check(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255:65535"));
    check(b"PROXY TCP6 :: :: 1 1\r\n", Some("[::]:1"));
    check(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", Some("[2001:db8::1]:1"));
    let long = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    check(
        format!("PROXY TCP6 {long} {long} 65535 65535\r\n").as_bytes(),
        Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
    );
    check(b"PROXY UNKNOWN\r\n", None);
    check(b"PROXY UNKNOWN ffff::1 any \t thing\r\n", None);
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_LEN_MAX - 16));
    assert_eq!(longest.len(), V1_LEN_MAX);
    check(longest.as_bytes(), None);
}

#[test]
fn version_2_announces_an_address_in_bytes() {
    check(&v2(0x21, 0x11, &V4), Some("10.1.2.3:4242"));
    check(&v2(0x21, 0x12, &V4), Some("10.1.2.3:4242"));
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0, 9, 0, 80]].concat();
    check(&v2(0x21, 0x21, &v6), Some("[2001:db8::1]:9"));
    check(&v2(0x21, 0x31, &[b'/'; 216]), Some("unix"));
    // Fields of unknown types are ignored.
    check(
        &v2(0x21, 0x11, &[&V4[..], &[0xe0, 0, 2, 1, 2], &[4, 0, 0], &[5, 1, 0], &[7; 256]].concat()),
        Some("10.1.2.3:4242"),
    );
    check(&v2(0x21, 0x00, b"anything"), None);
    check(&v2(0x20, 0x00, b""), None);
    // The family and the rest of a local connection are ignored, even if they make no sense.
    check(&v2(0x20, 0xff, b"x"), None);
    check(&v2(0x20, 0x11, &V4), None);
}

#[test]
fn the_checksum_of_version_2_is_checked() {
    // RFC 3720, B.4.
    assert_eq!(crc32c((0..32).map(|_| 0)), 0x8a91_36aa);
    assert_eq!(crc32c(0..32), 0x46dd_794e);
    let header = |sum: u32| v2(0x21, 0x11, &[&V4[..], &[3, 0, 4], &sum.to_be_bytes(), &[4, 0, 1, 0]].concat());
    let sum = crc32c(header(0).into_iter());
    check(&header(sum), Some("10.1.2.3:4242"));
    check_refused(&header(sum ^ 1), WrongChecksum);
    check_refused(&v2(0x21, 0x11, &[&V4[..], &[3, 0, 3, 0, 0, 0]].concat()), Malformed);
}

#[test]
fn a_wrong_header_is_refused_as_soon_as_it_is_seen() {
    for sent in
        [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01\x02\x00", b"\r\n\r\n\0\r\nQUIT\r", b"PROXX", b"PROXY\t", b"\0"]
    {
        check_refused(sent, Missing);
    }
    let texts = [
        "PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1 1 1 11111\r\n",
        "PROXY TCP4 ::1 ::1 1 1 1 1 1 1 1 1\r\n",
        "PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n",
        "PROXY TCP4 1.1.1.\n 1.1.1.1 1 1\r\n",
        "PROXY TCP4 \u{661}.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY \r\n\r\n\r\n\r\n\r\n",
        "PROXY UNKNOW\r\n\r\n",
    ];
    texts.iter().for_each(|text| check_refused(text.as_bytes(), Malformed));
    check_refused(&[b"PROXY UNKNOWN ", &[b'x'; 1000][..]].concat(), TooLong);
    check_refused(&[b"PROXY TCP4 ", &[b'1'; 1000][..]].concat(), TooLong);
    for (command, family, rest) in [
        (0x11, 0x11, &V4[..]),
        (0x22, 0x11, &V4),
        (0x21, 0x13, &V4),
        (0x21, 0x41, &V4),
        (0x21, 0x11, &V4[..11]),
        (0x21, 0x21, &V4),
        (0x21, 0x31, &V4),
    ] {
        check_refused(&v2(command, family, rest), Malformed);
    }
    check_refused(&v2(0x21, 0x11, &[&V4[..], &[5, 0, 2, 0]].concat()), Malformed);
    check_refused(&v2(0x21, 0x11, &[&V4[..], &[5]].concat()), Malformed);
    check_refused(&v2(0x20, 0, &[0; HEADER_LEN_MAX]), TooLong);
    check_refused(&v2(0x21, 0x11, &[0; HEADER_LEN_MAX]), TooLong);
}

/// Any bytes are a header, not one, or the beginning of one, whatever the pieces are.
#[test]
fn any_bytes_have_the_same_meaning_in_pieces_of_any_length() {
    bolero::check!().with_iterations(20_000).with_max_len(80).for_each(|bytes: &[u8]| {
        let [choice, rest @ ..] = bytes else { return };
        let sent = match choice % 4 {
            0 => rest.to_vec(),
            1 => [b"PROXY TCP4 ", rest].concat(),
            2 => [V2_SIGNATURE, &[0x21, 0x11, 0, (choice >> 2) + 12], rest].concat(),
            _ => [
                b"PROXY ",
                &rest.iter().map(|byte| b"TCP46UNKNOW .:01\r\n"[usize::from(byte % 18)]).collect::<Vec<_>>()[..],
            ]
            .concat(),
        };
        let whole = read(&sent, usize::MAX);
        assert_eq!(read(&sent, 1).0, whole.0, "{}", sent.escape_ascii());
        assert!(whole.1 <= sent.len());
        if whole.0.is_ok() {
            assert_eq!(read(&sent[..whole.1], 3), whole, "{}", sent.escape_ascii());
        }
    });
}
