//! Handshakes: who is let in, who is not, and what each side is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::net::pump::Opened;
use crate::net::tls::TlsSetupError;
use crate::net::{AddressGroup, Link};

/// What each side makes of a handshake: the client's error, the server's.
fn failures(setup: &Setup) -> (Option<TlsError>, Option<TlsError>) {
    let (mut client, mut server) = setup.ends();
    let (mut of_client, mut of_server) = (None, None);
    let tls_error = |error: io::Error| TlsError::of(&error).cloned().unwrap();
    for _ in 0..10 {
        if of_client.is_none() {
            of_client = go_on(&mut client).err().map(tls_error);
        }
        if of_server.is_none() {
            of_server = go_on(&mut server).err().map(tls_error);
        }
    }
    // In TLS 1.3 a client learns only after its handshake what the server thinks of it.
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
fn what_a_client_finds_wrong_is_told_to_both() {
    for version in VERSIONS {
        let authority = Authority::new();
        let mut setup = Setup::new().with_version(version);
        setup.client.trust = Trust::Authorities(authority.pem());
        let refuses = |alert: &str| format!("the peer refuses our certificate, or that we have none ({alert})");
        check_failures(&setup, TlsError::UnknownSigner, &refuses("UnknownCA"));

        let mut with_cert = |name: &str, span: Span, client: TlsError, alert: &str| {
            (setup.server.cert, setup.server.key) = authority.issue(name, span);
            check_failures(&setup, client, &refuses(alert));
        };
        with_cert("other.test", Span::Now, TlsError::WrongName("server.test".to_owned()), "BadCertificate");
        with_cert("server.test", Span::Past, TlsError::Expired, "CertificateExpired");
        with_cert("server.test", Span::Future, TlsError::NotYetValid, "CertificateExpired");
    }
}

#[test]
fn who_trusts_anybody_is_not_told_of_a_wrong_certificate() {
    for version in VERSIONS {
        let mut setup = Setup::new().with_version(version);
        (setup.server.cert, setup.server.key) = Authority::new().issue("other.test", Span::Past);
        setup.client.trust = Trust::Anybody;
        assert_eq!(failures(&setup), (None, None));
    }
}

#[test]
fn a_server_that_asks_for_certificates_lets_in_only_those_it_knows() {
    for version in VERSIONS {
        let mut setup = Setup::new().with_version(version);
        let authority = Authority::new();
        setup.server.client_ca = Some(authority.pem());
        let (of_client, of_server) = failures(&setup);
        assert_eq!(of_server, Some(TlsError::NoCertificate));
        assert!(matches!(of_client, Some(TlsError::Refused(_))), "{of_client:?}");

        setup.client.identity = Some(Authority::new().issue("ann", Span::Now));
        let (of_client, of_server) = failures(&setup);
        assert_eq!(of_server, Some(TlsError::UnknownSigner));
        assert!(matches!(of_client, Some(TlsError::Refused(_))), "{of_client:?}");

        setup.client.identity = Some(authority.issue("ann", Span::Now));
        assert_eq!(failures(&setup), (None, None));
    }
}

#[test]
fn a_protocol_is_agreed_on_or_none_is_asked_for() {
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
    assert_eq!(of_server, Some(TlsError::NothingInCommon("no ALPN protocol".to_owned())));
    assert_eq!(of_client, Some(TlsError::NothingInCommon("the peer says NoApplicationProtocol".to_owned())));
}

#[test]
fn plain_text_is_recognized_by_either_side() {
    let (mut plain, end) = pair(1 << 16, Weather::Fair, 0);
    let mut server = Setup::new().server(end);
    plain.write(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let error = go_on(&mut server).unwrap_err();
    assert_eq!(TlsError::of(&error), Some(&TlsError::NotTls));
    assert_eq!(plain.read(&mut [0; 100]).unwrap(), 7, "an alert");

    for answer in [&b"HTTP/1.0 400 Bad Request\r\n"[..], b"echo"] {
        let (mut plain, end) = pair(1 << 16, Weather::Fair, 0);
        let mut client = Setup::new().client(end);
        assert!(!go_on(&mut client).unwrap());
        let mut hello = vec![0; 2_000];
        let len = plain.read(&mut hello).unwrap();
        plain.write(if answer == b"echo" { &hello[..len] } else { answer }).unwrap();
        assert_eq!(TlsError::of(&go_on(&mut client).unwrap_err()), Some(&TlsError::NotTls));
    }
}

#[test]
fn who_leaves_during_the_handshake_has_cut_it_off() {
    let (mut client, mut server) = Setup::new().ends();
    assert!(!go_on(&mut client).unwrap());
    assert!(!go_on(&mut server).unwrap());
    client.beneath_mut().shutdown_write().unwrap();
    assert_eq!(go_on(&mut server).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn what_is_said_last_in_a_handshake_is_kept_until_it_can_leave() {
    for version in VERSIONS {
        let (mut client, mut server) = Setup::new().with_version(version).ends();
        assert!(!go_on(&mut client).unwrap());
        assert!(!go_on(&mut server).unwrap());
        let is_client_open = go_on(&mut client).unwrap();
        assert_eq!(is_client_open, version == TlsVersion::Tls13, "only TLS 1.2 has the server speak last");

        server.beneath_mut().resize(0);
        assert!(go_on(&mut server).unwrap());
        assert_blocks(server.flush());
        assert_eq!(go_on(&mut client).unwrap(), is_client_open);
        server.beneath_mut().resize(1 << 20);
        server.flush().unwrap();
        assert!(go_on(&mut client).unwrap());
    }
}

#[test]
fn who_cannot_write_still_reads_so_that_two_at_once_do_not_wait_for_each_other() {
    for version in VERSIONS {
        let setup = Setup::new().with_version(version);
        let (one, other) = pair(1, Weather::Fair, 0);
        open(&mut setup.client(one), &mut setup.server(other)).unwrap();
    }
}

#[test]
fn what_is_sent_right_behind_a_handshake_is_read_without_any_fact() {
    let setup = Setup::new();
    let layer = TlsServer::new(setup.server.clone()).unwrap();
    let (mut client, server) = setup.ends();
    let mut link = Link::new(server, AddressGroup::UNIX);
    while !go_on(&mut client).unwrap() {
        assert!(matches!(link.open(&layer), Opened::NotYet));
    }
    write_all(&mut client, b"at once");
    assert!(matches!(link.open(&layer), Opened::Yes));
    assert_eq!(link.readiness(), (true, true));
    let mut server = link.into_stream();
    assert_eq!(server.beneath_mut().unread(), 0, "the handshake has read it");
    assert_eq!(read_some(&mut server).unwrap(), b"at once");
}

/// A directory of its own that goes with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("readyloop-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, pem: &Pem, mode: u32) -> PathBuf {
        let Pem::Text(text) = pem else { panic!("not a text") };
        let path = self.0.join(name);
        fs::write(&path, text.as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options_of(cert: &Path, key: &Path) -> TlsServerOptions {
    TlsServerOptions { cert: Pem::File(cert.into()), key: Pem::File(key.into()), client_ca: None, alpn: Vec::new() }
}

#[test]
fn a_reload_shows_the_new_certificate_and_a_broken_one_the_old() {
    let directory = Directory::new("reload");
    let (before, after) = (Authority::new(), Authority::new());
    let install = |authority: &Authority| {
        let (cert, key) = authority.issue("server.test", Span::Now);
        (directory.write("cert.pem", &cert, 0o644), directory.write("key.pem", &key, 0o600))
    };
    let (cert, key) = install(&before);
    let mut server = TlsServer::new(options_of(&cert, &key)).unwrap();
    let is_shown = |server: &TlsServer, authority: &Authority| {
        let mut setup = Setup::new();
        setup.client.trust = Trust::Authorities(authority.pem());
        let (one, other) = pair(1 << 20, Weather::Fair, 0);
        let (mut client, mut server) = (setup.client(one), server.wrap(other).unwrap());
        open(&mut client, &mut server).is_ok()
    };
    assert!(is_shown(&server, &before));

    install(&after);
    fs::write(&cert, "-----BEGIN CERTIFICATE-----\nnonsense").unwrap();
    assert!(matches!(server.reload(), Err(TlsSetupError::NotPem { .. })));
    assert!(is_shown(&server, &before));

    install(&after);
    server.reload().unwrap();
    assert!(is_shown(&server, &after) && !is_shown(&server, &before));

    let (cert_of_another, _) = before.issue("server.test", Span::Now);
    directory.write("cert.pem", &cert_of_another, 0o644);
    assert!(matches!(server.reload(), Err(TlsSetupError::Mismatch { .. })));
    assert!(is_shown(&server, &after));
}

#[test]
fn a_key_that_others_can_read_is_refused_and_what_is_missing_is_named() {
    let directory = Directory::new("files");
    let (cert, key) = Authority::new().issue("server.test", Span::Now);
    let cert_path = directory.write("cert.pem", &cert, 0o644);
    let refused = |cert: &Path, key: &Path| TlsServer::new(options_of(cert, key)).unwrap_err().to_string();
    for mode in [0o644, 0o640, 0o604] {
        let key_path = directory.write("key.pem", &key, mode);
        let message = format!("the key {} can be read by others (mode {mode:o})", key_path.display());
        assert_eq!(refused(&cert_path, &key_path), message);
    }
    let key_path = directory.write("key.pem", &key, 0o400);
    assert!(TlsServer::new(options_of(&cert_path, &key_path)).is_ok());
    assert!(refused(&cert_path, &directory.0.join("no.pem")).ends_with("No such file or directory (os error 2)"));
    let no_key = directory.write("no-key.pem", &cert, 0o600);
    assert!(refused(&cert_path, &no_key).contains("no-key.pem holds no private key"));
}

#[test]
fn a_key_is_never_shown() {
    let (_, key) = Authority::new().issue("server.test", Span::Now);
    assert_eq!(format!("{key:?}"), "Pem((given as text))");
}
