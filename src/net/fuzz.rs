//! Any text at all where an address, a group or a certificate is expected.
//!
//! `cargo test` tries some thousand texts drawn afresh; `cargo bolero test net::fuzz::…` goes on
//! from there, and from the few inputs in `__fuzz__`, which are always tried.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use super::{Address, MulticastGroup};

/// What one run of the tests can afford.
const ITERATIONS: usize = 3_000;

/// Every other byte stands for a word, so that much of what is tried is nearly right.
fn text_of(bytes: &[u8], words: &[&str]) -> String {
    let part = |byte: &u8| match *byte {
        byte if byte < 128 => char::from(byte).to_string(),
        byte => words[usize::from(byte) % words.len()].to_owned(),
    };
    bytes.iter().map(part).collect()
}

/// What can be read is printed so that it is read as the same again; what cannot is told in words.
#[track_caller]
fn check<T: FromStr<Err: Debug + Display> + Display + PartialEq + Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            let again = printed.parse::<T>().unwrap_or_else(|error| panic!("{text:?}, {printed:?}: {error}"));
            assert_eq!(again, value, "{text:?}, {printed:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty(), "{text:?}"),
    }
}

#[test]
fn an_address_that_can_be_read_can_be_printed_and_read_again() {
    const WORDS: [&str; 16] = [
        "tcp",
        "udp",
        "tls",
        "unix",
        "://",
        ":",
        "127.0.0.1",
        "[::1]",
        "[",
        "]",
        "localhost",
        "65535",
        "65536",
        "0",
        "/",
        "ß",
    ];
    bolero::check!()
        .with_iterations(ITERATIONS)
        .with_max_len(24)
        .for_each(|bytes: &[u8]| check::<Address>(&text_of(bytes, &WORDS)));
}

#[test]
fn a_group_that_can_be_read_can_be_printed_and_read_again() {
    const WORDS: [&str; 8] = ["239.1.1.1", "ff02::1", "@", "127.0.0.1", "0", "4294967296", "::", "224.0.0.0"];
    bolero::check!()
        .with_iterations(ITERATIONS)
        .with_max_len(12)
        .for_each(|bytes: &[u8]| check::<MulticastGroup>(&text_of(bytes, &WORDS)));
}

#[cfg(feature = "tls")]
#[test]
fn what_is_no_certificate_and_no_key_is_refused_in_words() {
    use super::tls::{Pem, TlsServer, TlsServerOptions};

    const WORDS: [&str; 10] =
        ["-----BEGIN ", "-----END ", "CERTIFICATE", "PRIVATE KEY", "-----", "\n", "\r\n", "MIIB", "AAAA", "="];
    bolero::check!().with_iterations(ITERATIONS).with_max_len(40).for_each(|bytes: &[u8]| {
        let pem = Pem::Text(text_of(bytes, &WORDS).into());
        let options = TlsServerOptions { cert: pem.clone(), key: pem, client_ca: None, alpn: Vec::new() };
        let refusal = TlsServer::new(options).expect_err("nobody draws a key by chance");
        assert!(!refusal.to_string().is_empty());
    });
}
