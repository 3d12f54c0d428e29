//! Fuzz tests: arbitrary text in place of an address, a multicast group or a certificate.
//!
//! `cargo test` tries a few thousand random texts; `cargo bolero test net::fuzz::…` tries more. Both
//! always try the inputs in `__fuzz__`.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use super::{Address, MulticastGroup};

/// The number of texts in one run of the tests.
const ITERATIONS: usize = 3_000;

/// Maps each byte above 127 to a word, so that many of the texts are almost valid.
fn text_of(bytes: &[u8], words: &[&str]) -> String {
    let part = |byte: &u8| match *byte {
        byte if byte < 128 => char::from(byte).to_string(),
        byte => words[usize::from(byte) % words.len()].to_owned(),
    };
    bytes.iter().map(part).collect()
}

/// A text that parses prints as a text that parses to the same value. Any other has a message.
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
fn an_address_survives_printing_and_parsing() {
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
fn a_multicast_group_survives_printing_and_parsing() {
    const WORDS: [&str; 8] = ["239.1.1.1", "ff02::1", "@", "127.0.0.1", "0", "4294967296", "::", "224.0.0.0"];
    bolero::check!()
        .with_iterations(ITERATIONS)
        .with_max_len(12)
        .for_each(|bytes: &[u8]| check::<MulticastGroup>(&text_of(bytes, &WORDS)));
}

#[cfg(feature = "tls")]
#[test]
fn an_invalid_certificate_or_key_is_refused_with_a_message() {
    use super::tls::{Pem, TlsServer, TlsServerOptions};

    const WORDS: [&str; 15] = [
        "-----BEGIN ",
        "-----END ",
        "CERTIFICATE",
        "PRIVATE KEY",
        "-----",
        "\n",
        "\r\n",
        "MIIB",
        "AAAA",
        "=",
        "TRUSTED ",
        "ENCRYPTED ",
        "Proc-Type: 4,ENCRYPTED",
        "\u{feff}",
        "  ",
    ];
    bolero::check!().with_iterations(ITERATIONS).with_max_len(40).for_each(|bytes: &[u8]| {
        let pem = Pem::Text(text_of(bytes, &WORDS).into());
        let options = TlsServerOptions { cert: pem.clone(), key: pem, client_ca: None, alpn: Vec::new() };
        let refusal = TlsServer::new(options).expect_err("a random text is not a key");
        assert!(!refusal.to_string().is_empty());
    });
}
