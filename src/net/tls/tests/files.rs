//! Certificates and keys from files and texts: which are read, which are refused, and with what message.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::certs::text;
use super::*;
use crate::net::tls::TlsSetupError;

/// A directory with certificate files, removed on drop.
struct CertDir(PathBuf);

impl CertDir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("readyloop-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, pem: &Pem, mode: u32) -> PathBuf {
        let Pem::Text(text) = pem else { panic!("not PEM from memory") };
        let path = self.0.join(name);
        fs::write(&path, text.as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for CertDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options_of(cert: &Path, key: &Path) -> TlsServerOptions {
    TlsServerOptions { cert: Pem::File(cert.into()), key: Pem::File(key.into()), client_ca: None, alpn: Vec::new() }
}

#[test]
fn a_reload_uses_the_new_certificate_or_keeps_the_old_one_if_it_is_broken() {
    let directory = CertDir::new("reload");
    let (before, after) = (TestAuthority::new(), TestAuthority::new());
    let install = |authority: &TestAuthority| {
        let (cert, key) = authority.issue("server.test", Validity::Now);
        (directory.write("cert.pem", &cert, 0o644), directory.write("key.pem", &key, 0o600))
    };
    let (cert, key) = install(&before);
    let mut server = TlsServer::new(options_of(&cert, &key)).unwrap();
    let presents = |server: &TlsServer, authority: &TestAuthority| {
        let mut setup = Setup::new();
        setup.client.trust = Trust::Authorities(authority.pem());
        let (one, other) = pair(1 << 20, Transfer::Whole, 0);
        let (mut client, mut server) = (setup.client(one), server.wrap(other).unwrap());
        open(&mut client, &mut server).is_ok()
    };
    assert!(presents(&server, &before));

    install(&after);
    fs::write(&cert, "-----BEGIN CERTIFICATE-----\nnonsense").unwrap();
    assert!(matches!(server.reload(), Err(TlsSetupError::NotPem { .. })));
    assert!(presents(&server, &before));

    install(&after);
    server.reload().unwrap();
    assert!(presents(&server, &after) && !presents(&server, &before));

    let (cert_of_another, _) = before.issue("server.test", Validity::Now);
    directory.write("cert.pem", &cert_of_another, 0o644);
    assert!(matches!(server.reload(), Err(TlsSetupError::Mismatch { .. })));
    assert!(presents(&server, &after));
}

#[test]
fn a_key_that_others_can_read_or_that_is_missing_is_refused() {
    let directory = CertDir::new("files");
    let (cert, key) = TestAuthority::new().issue("server.test", Validity::Now);
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
    assert!(refused(&cert_path, &no_key).ends_with("no-key.pem contains no private key, but a section CERTIFICATE"));
}

#[test]
fn a_key_is_never_printed() {
    let (_, key) = TestAuthority::new().issue("server.test", Validity::Now);
    assert_eq!(format!("{key:?}"), "Pem((given as text))");
}

/// The text of a key and of its certificate.
fn identity() -> (String, String) {
    let (cert, key) = TestAuthority::new().issue("server.test", Validity::Now);
    let text = |pem: &Pem| match pem {
        Pem::Text(text) => text.to_string(),
        Pem::File(path) => panic!("{} is not PEM from memory", path.display()),
    };
    (text(&cert), text(&key))
}

fn refusal_of(cert: &str, key: &str) -> Option<String> {
    let (cert, key) = (text(cert.to_owned()), text(key.to_owned()));
    TlsServer::new(TlsServerOptions { cert, key, client_ca: None, alpn: Vec::new() })
        .err()
        .map(|error| error.to_string())
}

#[test]
fn marks_and_indentation_in_pem_files_are_ignored() {
    let (cert, key) = identity();
    let bundle = format!("\u{feff}{cert}\u{feff}{cert}");
    assert_eq!(text(bundle.clone()).certificates().unwrap().len(), 2);
    assert_eq!(refusal_of(&bundle.replace('\n', "\r\n    "), &format!("\u{feff}  {key}")), None);
}

#[test]
fn no_damage_of_a_key_file_makes_a_message_that_quotes_it() {
    let (cert, key) = identity();
    let secret = key.lines().nth(1).unwrap();
    let in_one_line = key.replace('\n', "");
    let mut damaged = vec![
        in_one_line.clone(),
        in_one_line.replace("-----", ""),
        key.replace("-----END", "-----BEGIN"),
        key.replace("PRIVATE KEY", "PUBLIC KEY"),
        key.replace("PRIVATE KEY", secret),
        key.replace(secret, &format!("{secret}!")),
        key.replace(secret, &format!("{secret}: x")),
        key.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        secret.to_owned(),
    ];
    damaged.extend((0..key.len() - 1).map(|len| key[..len].to_owned()));
    for text in damaged {
        for message in [refusal_of(&cert, &text).expect(&text), refusal_of(&text, &text).expect(&text)] {
            let quotes = |part: &[u8]| message.as_bytes().windows(part.len()).any(|window| window == part);
            assert!(!secret.as_bytes().windows(8).any(quotes), "{message}");
            assert!(!message.contains('"'), "{message}");
        }
    }
}

#[test]
fn a_damaged_certificate_and_an_unsupported_key_have_their_own_messages() {
    let (cert, key) = identity();
    let section = |label: &str, base64: &str| format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n");
    let refused = |cert: &str, key: &str| refusal_of(cert, key).unwrap();
    assert_eq!(refused(&section("CERTIFICATE", "AAAA"), &key), "certificate number 1 in (given as text) is damaged");
    let no_key = "the key (given as text) is damaged, or its type is not supported";
    assert_eq!(refused(&cert, &section("PRIVATE KEY", "AAAA")), no_key);
    // The object identifier of the curve alone.
    let p521 = "the key (given as text) is on the curve P-521, which is not supported";
    assert_eq!(refused(&cert, &section("PRIVATE KEY", "BgUrgQQAIw==")), p521);
    let authorities = text(cert + &section("CERTIFICATE", "AAAA"));
    let options = TlsClientOptions { trust: Trust::Authorities(authorities), ..TlsClientOptions::default() };
    let error = TlsClient::new(&options).unwrap_err().to_string();
    assert_eq!(error, "certificate number 2 in (given as text) is damaged");
}

#[test]
fn a_binary_or_endless_file_is_not_pem() {
    let directory = CertDir::new("binary");
    let check = |bytes: &[u8], expected: &str| {
        let path = directory.0.join("file.pem");
        fs::write(&path, bytes).unwrap();
        let error = Pem::File(path).certificates().unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    };
    check(&[0x30, 0x82, 0x01, 0x00], "is a binary file, such as DER or PKCS#12, and not PEM");
    check(&[0xff, 0xfe, b'-', 0], "is text in UTF-16, and not in UTF-8");
    check(b"", "contains no certificate");
    let endless = Pem::File("/dev/zero".into()).certificates().unwrap_err().to_string();
    assert_eq!(endless, "/dev/zero is longer than 16 MiB");
}

#[test]
fn a_client_key_that_is_not_that_of_the_certificate_is_a_mismatch() {
    let (cert, _) = TestAuthority::new().issue("ann", Validity::Now);
    let (_, key) = TestAuthority::new().issue("ann", Validity::Now);
    let options =
        TlsClientOptions { trust: Trust::AnyCertificate, identity: Some((cert, key)), ..TlsClientOptions::default() };
    assert!(matches!(TlsClient::new(&options), Err(TlsSetupError::Mismatch { .. })));
}

#[test]
fn an_alpn_name_has_1_to_255_bytes() {
    for (len, is_accepted) in [(0, false), (1, true), (255, true), (256, false)] {
        let options = TlsClientOptions {
            trust: Trust::AnyCertificate,
            alpn: vec!["x".repeat(len)],
            ..TlsClientOptions::default()
        };
        assert_eq!(TlsClient::new(&options).is_ok(), is_accepted, "{len}");
    }
}
