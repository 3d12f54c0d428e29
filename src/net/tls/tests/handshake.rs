//! Handshakes: which ones succeed, and which error each side gets.

use super::certs::self_signed;
use super::*;
use crate::net::Layer;
use crate::net::pump::OpenOutcome;
use crate::net::tls::{MaybeTls, TlsLayer};
use crate::net::{AddressGroup, Link};
use crate::service::Role;

/// The client's and the server's error of a handshake.
fn failures(setup: &Setup) -> (Option<TlsError>, Option<TlsError>) {
    let (mut client, mut server) = setup.ends();
    let (mut of_client, mut of_server) = (None, None);
    let tls_error = |error: io::Error| TlsError::of(&error).cloned().unwrap();
    for _ in 0..10 {
        if of_client.is_none() {
            of_client = advance(&mut client).err().map(tls_error);
        }
        if of_server.is_none() {
            of_server = advance(&mut server).err().map(tls_error);
        }
    }
    // In TLS 1.3 the server's alert reaches the client after the client's handshake.
    if of_client.is_none() && of_server.is_some() {
        of_client = read_some(&mut client).err().map(tls_error);
    }
    (of_client, of_server)
}

#[track_caller]
fn check_failures(setup: &Setup, client: TlsError, server: &str) {
    let (of_client, of_server) = failures(setup);
    assert_eq!(of_client, Some(client));
    assert_eq!(of_server.unwrap().to_string(), server);
}

#[test]
fn both_sides_report_a_certificate_that_the_client_refuses() {
    for version in VERSIONS {
        let authority = TestAuthority::new();
        let mut setup = Setup::new().with_version(version);
        setup.client.trust = Trust::Authorities(authority.pem());
        let refuses =
            |alert: &str| format!("the peer refuses our certificate, or requires one and we have none: {alert}");
        check_failures(&setup, TlsError::UnknownSigner, &refuses("unknown authority"));

        let mut with_cert = |name: &str, validity: Validity, client: TlsError, alert: &str| {
            (setup.server.cert, setup.server.key) = authority.issue(name, validity);
            check_failures(&setup, client, &refuses(alert));
        };
        with_cert("other.test", Validity::Now, TlsError::WrongName("server.test".to_owned()), "bad certificate");
        with_cert("server.test", Validity::Past, TlsError::Expired, "expired certificate");
        with_cert("server.test", Validity::Future, TlsError::NotYetValid, "expired certificate");
    }
}

#[test]
fn a_self_signed_certificate_is_trusted_if_it_is_listed_and_its_name_and_dates_fit() {
    for version in VERSIONS {
        let check = |name: &str, validity: Validity, expected: Option<TlsError>| {
            let mut setup = Setup::new().with_version(version);
            (setup.server.cert, setup.server.key) = self_signed(name, validity);
            setup.client.trust = Trust::Authorities(setup.server.cert.clone());
            assert_eq!(failures(&setup).0, expected, "{name}");
        };
        check("server.test", Validity::Now, None);
        check("other.test", Validity::Now, Some(TlsError::WrongName("server.test".to_owned())));
        check("server.test", Validity::Past, Some(TlsError::Expired));
        check("server.test", Validity::Future, Some(TlsError::NotYetValid));

        let mut setup = Setup::new().with_version(version);
        (setup.server.cert, setup.server.key) = self_signed("server.test", Validity::Now);
        assert_eq!(failures(&setup).0, Some(TlsError::Authority), "not listed");
    }
}

#[test]
fn a_client_that_accepts_any_certificate_accepts_an_invalid_one() {
    for version in VERSIONS {
        let mut setup = Setup::new().with_version(version);
        (setup.server.cert, setup.server.key) = TestAuthority::new().issue("other.test", Validity::Past);
        setup.client.trust = Trust::AnyCertificate;
        assert_eq!(failures(&setup), (None, None));
    }
}

#[test]
fn a_server_with_a_client_ca_accepts_only_clients_with_its_certificates() {
    for version in VERSIONS {
        let mut setup = Setup::new().with_version(version);
        let authority = TestAuthority::new();
        setup.server.client_ca = Some(authority.pem());
        let (of_client, of_server) = failures(&setup);
        assert_eq!(of_server, Some(TlsError::NoCertificate));
        assert!(matches!(of_client, Some(TlsError::Refused(_))), "{of_client:?}");

        setup.client.identity = Some(TestAuthority::new().issue("ann", Validity::Now));
        let (of_client, of_server) = failures(&setup);
        assert_eq!(of_server, Some(TlsError::UnknownSigner));
        assert!(matches!(of_client, Some(TlsError::Refused(_))), "{of_client:?}");

        setup.client.identity = Some(authority.issue("ann", Validity::Now));
        assert_eq!(failures(&setup), (None, None));

        let (cert, key) = self_signed("ann", Validity::Now);
        setup.client.identity = Some((cert.clone(), key));
        let not_listed = TlsError::Authority;
        assert_eq!(failures(&setup).1, Some(not_listed));
        setup.server.client_ca = Some(cert);
        assert_eq!(failures(&setup), (None, None), "it is listed itself");
    }
}

#[test]
fn alpn_selects_a_protocol_of_both_sides_if_the_client_offers_any() {
    let protocols = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut setup = Setup::new();
    setup.server.alpn = protocols(&["echo/2", "echo/1"]);
    let (client, server) = setup.open_ends();
    assert_eq!((client.alpn_protocol(), server.alpn_protocol()), (None, None), "the client offered none");

    setup.client.alpn = protocols(&["chat", "echo/1"]);
    let (client, server) = setup.open_ends();
    assert_eq!(client.alpn_protocol(), Some(&b"echo/1"[..]));
    assert_eq!(server.alpn_protocol(), Some(&b"echo/1"[..]));

    setup.client.alpn = protocols(&["chat"]);
    let (of_client, of_server) = failures(&setup);
    assert_eq!(of_server, Some(TlsError::NoAlpn));
    assert_eq!(of_client, Some(TlsError::NoAlpn));
}

#[test]
fn both_sides_recognize_plain_text() {
    let (mut plain, end) = pair(1 << 16, Transfer::Whole, 0);
    let mut server = Setup::new().server(end);
    plain.write(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let error = advance(&mut server).unwrap_err();
    assert_eq!(TlsError::of(&error), Some(&TlsError::NotTls));
    assert_eq!(plain.read(&mut [0; 100]).unwrap(), 7, "an alert");

    for answer in [&b"HTTP/1.0 400 Bad Request\r\n"[..], b"echo"] {
        let (mut plain, end) = pair(1 << 16, Transfer::Whole, 0);
        let mut client = Setup::new().client(end);
        assert!(!advance(&mut client).unwrap());
        let mut hello = vec![0; 2_000];
        let len = plain.read(&mut hello).unwrap();
        plain.write(if answer == b"echo" { &hello[..len] } else { answer }).unwrap();
        assert_eq!(TlsError::of(&advance(&mut client).unwrap_err()), Some(&TlsError::NotTls));
    }
}

#[test]
fn a_peer_that_leaves_during_the_handshake_is_an_unexpected_eof() {
    let (mut client, mut server) = Setup::new().ends();
    assert!(!advance(&mut client).unwrap());
    assert!(!advance(&mut server).unwrap());
    client.inner_mut().shutdown_write().unwrap();
    assert_eq!(advance(&mut server).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn the_last_handshake_message_is_buffered_until_it_can_be_written() {
    for version in VERSIONS {
        let (mut client, mut server) = Setup::new().with_version(version).ends();
        assert!(!advance(&mut client).unwrap());
        assert!(!advance(&mut server).unwrap());
        let is_client_open = advance(&mut client).unwrap();
        assert_eq!(is_client_open, version == TlsVersion::Tls13, "only in TLS 1.2 the server sends the last message");

        server.inner_mut().resize(0);
        assert!(advance(&mut server).unwrap());
        assert_blocks(server.flush());
        assert_eq!(advance(&mut client).unwrap(), is_client_open);
        server.inner_mut().resize(1 << 20);
        server.flush().unwrap();
        assert!(advance(&mut client).unwrap());
    }
}

#[test]
fn a_side_that_cannot_write_still_reads() {
    for version in VERSIONS {
        let setup = Setup::new().with_version(version);
        let (one, other) = pair(1, Transfer::Whole, 0);
        open(&mut setup.client(one), &mut setup.server(other)).unwrap();
    }
}

#[test]
fn bytes_right_after_a_handshake_are_read_without_an_event() {
    let setup = Setup::new();
    let layer = TlsLayer { accept: Some(TlsServer::new(setup.server.clone()).unwrap()), connect: None };
    let (one, other) = pair(1 << 20, Transfer::Whole, 0);
    let mut client = setup.client(one);
    let mut link = Link::new(layer.wrap(other, Role::Accepted).unwrap(), AddressGroup::UNIX);
    while !advance(&mut client).unwrap() {
        assert!(matches!(link.open(&layer), OpenOutcome::WouldBlock));
    }
    write_all(&mut client, b"at once");
    assert!(matches!(link.open(&layer), OpenOutcome::Open));
    assert_eq!(link.readiness(), (true, true));
    let MaybeTls::Tls(mut server) = link.into_stream() else { panic!("the server has a certificate") };
    assert_eq!(server.inner_mut().unread(), 0, "the handshake has read the bytes");
    assert_eq!(read_some(&mut server).unwrap(), b"at once");
}
