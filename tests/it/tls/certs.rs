//! `readyloop cert`, and the errors of `serve` and `client` about certificates.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::support::certs::Authority;
use crate::support::tls::{CertFiles, Secure, has_program, write};
use crate::support::{Ended, Program, ScratchPath, Serve, TIMEOUT, read_exactly};

#[track_caller]
fn refused(ended: &Ended, code: i32, parts: &[&str]) {
    check_error(&ended.log_text(), ended.code, code, parts);
}

/// Checks the exit status and the error message of a command.
#[track_caller]
fn check_error(text: &str, status: Option<i32>, code: i32, parts: &[&str]) {
    assert_eq!(status, Some(code), "{text}");
    for part in ["readyloop: error: ", "hint: "].iter().chain(parts) {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

/// Runs `readyloop client` with one line of input. Returns its output, its errors and its status.
fn client(args: &[&str]) -> (String, String, Option<i32>) {
    let file = ScratchPath::with_text("input", "hello\n");
    let input = fs::File::open(file.text()).expect("the file exists");
    let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
    command.arg("client").args(args).env_remove("RUST_LOG").stdin(Stdio::from(input));
    let output = command.output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// The output of [`client`] for an echo.
fn echoed() -> (String, String, Option<i32>) {
    ("hello\n".to_owned(), String::new(), Some(0))
}

#[test]
fn what_cert_makes_serves_and_is_trusted() {
    let directory = ScratchPath::directory("made");
    let path = |name: &str| format!("{}/{name}", directory.text());
    let made = Serve::command("cert --dir").arg(directory.text()).run();
    assert_eq!((made.code, made.out.len()), (Some(0), 4), "{}", made.log_text());
    for (name, mode) in [("ca.pem", 0o644), ("ca-key.pem", 0o600), ("cert.pem", 0o644), ("cert-key.pem", 0o600)] {
        let found = fs::metadata(path(name)).expect("the file exists").permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    let ann = Serve::command("cert ann --stem ann --dir").arg(directory.text()).run();
    assert_eq!(ann.out.len(), 2, "the second certificate uses the same authority");

    let serve = Serve::bare().listen("tls://127.0.0.1:0").arg("--cert").arg(&path("cert.pem"));
    let server = serve.arg("--key").arg(&path("cert-key.pem")).arg("--client-ca").arg(&path("ca.pem")).start();
    let ann =
        ["--ca", &path("ca.pem"), "--cert", &path("ann.pem"), "--key", &path("ann-key.pem"), &server.addresses[0]];
    assert_eq!(client(&ann), echoed());
    server.drain();
    if has_program("openssl") {
        let verified = Command::new("openssl")
            .args(["verify", "-x509_strict", "-CAfile", &path("ca.pem"), &path("cert.pem"), &path("ann.pem")])
            .output()
            .expect("openssl is installed");
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
}

#[test]
fn cert_overwrites_files_only_with_the_flag_replace() {
    let directory = ScratchPath::directory("kept");
    let cert = || Serve::command("cert --dir").arg(directory.text());
    assert_eq!(cert().run().code, Some(0));
    let read = || fs::read_to_string(format!("{}/cert.pem", directory.text())).expect("the file exists");
    let first = read();
    refused(&cert().run(), 2, &["cert.pem already exists", "--replace"]);
    assert_eq!(read(), first);
    assert_eq!(cert().with("--replace").run().code, Some(0));
    assert_ne!(read(), first);
    fs::write(format!("{}/ca.pem", directory.text()), "another file").expect("we own the file");
    refused(&cert().with("--stem other").run(), 2, &["were not made by `readyloop cert`"]);
}

#[test]
fn a_server_does_not_start_with_a_certificate_that_it_cannot_use() {
    let authority = Authority::new();
    let files = CertFiles::of(&authority);
    fs::set_permissions(files.path("key.pem"), fs::Permissions::from_mode(0o640)).expect("we own the file");
    refused(&files.serve().run(), 1, &["key.pem can be read by others (mode 640)", "chmod 600"]);
    fs::remove_file(files.path("key.pem")).expect("we own the file");
    refused(&files.serve().run(), 1, &["cannot read", "key.pem"]);
    write(&files.path("key.pem"), &authority.issue("localhost").1, 0o600);
    refused(&files.serve().run(), 1, &["is not that of the certificate"]);
    fs::write(files.path("cert.pem"), "nothing").expect("we own the file");
    refused(&files.serve().run(), 1, &["cert.pem contains no certificate"]);
    refused(&Serve::bare().listen("tls://127.0.0.1:0").run(), 2, &["needs a certificate", "readyloop cert"]);
}

#[test]
fn the_client_reports_why_it_refuses_the_server() {
    let secure = Secure::start("");
    let address = secure.server.addresses[0].clone();
    let named = address.replace("127.0.0.1", "localhost");
    let ca = secure.files.text("ca.pem");
    assert_eq!(client(&["--ca", &ca, &named]), echoed());
    assert_eq!(client(&["--insecure", &address]), echoed());

    let check = |args: &[&str], code: i32, parts: &[&str]| {
        let (out, errors, status) = client(args);
        assert_eq!(out, "");
        check_error(&errors, status, code, parts);
    };
    check(&["--ca", &ca, &address], 1, &["is not for `127.0.0.1`", "--insecure"]);
    let untrusted = CertFiles::of(&Authority::new());
    check(&["--ca", &untrusted.text("ca.pem"), &named], 1, &["not signed by a trusted authority", "--ca FILE"]);
    check(&["--ca", "/nonexistent.pem", &named], 1, &["cannot read /nonexistent.pem"]);
    let plain = Serve::new().start();
    let plain_tls = format!("tls://{}", plain.address());
    check(&["--insecure", &plain_tls], 1, &["the peer does not speak TLS", "tcp://"]);
    check(&["--insecure", &plain.addresses[0]], 2, &["--insecure is for tls:// addresses"]);
    plain.drain();
    secure.server.drain();
}

#[test]
fn the_client_selects_a_protocol_by_alpn_or_reports_that_none_matches() {
    let secure = Secure::start("--alpn echo/2 --alpn echo/1");
    let (ca, named) = (secure.files.text("ca.pem"), secure.server.addresses[0].replace("127.0.0.1", "localhost"));
    let offer = |alpn: &[&str]| {
        let flags: Vec<&str> = alpn.iter().flat_map(|protocol| ["--alpn", protocol]).collect();
        client(&[&["--ca", &ca, &named][..], &flags].concat())
    };
    for offered in [&["echo/1"][..], &["chat", "echo/2"], &[]] {
        assert_eq!(offer(offered), echoed(), "{offered:?}");
    }
    let (out, errors, status) = offer(&["chat"]);
    assert_eq!(out, "");
    check_error(&errors, status, 1, &["--alpn"]);
    secure.server.drain();
}

#[test]
fn the_client_sends_a_host_name_in_sni_but_no_ip_address() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("the listener is bound").port();
    for (host, is_named) in [("localhost", true), ("127.0.0.1", false)] {
        let address = format!("tls://{host}:{port}");
        let running = Program::start(env!("CARGO_BIN_EXE_readyloop"), &["client", "--insecure", &address]);
        let (mut peer, _) = listener.accept().expect("the client connects");
        peer.set_read_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
        // The fourth and fifth byte of a record are its length (RFC 8446, section 5.1).
        let header = read_exactly(&mut peer, 5);
        let hello = read_exactly(&mut peer, usize::from(u16::from_be_bytes([header[3], header[4]])));
        let has = |name: &[u8]| hello.windows(name.len()).any(|window| window == name);
        // SNI is unencrypted: two bytes with the length, then the name (RFC 6066, section 3).
        assert_eq!(has(b"\0\x09localhost"), is_named, "{host}");
        assert!(!has(b"127.0.0.1"));
        drop(peer);
        assert_eq!(running.ends(), Some(1));
    }
}

#[test]
fn the_client_reports_a_truncated_connection() {
    let secure = Secure::start("");
    let address = secure.server.addresses[0].replace("127.0.0.1", "localhost");
    let ca = secure.files.text("ca.pem");
    let mut client = Program::start(env!("CARGO_BIN_EXE_readyloop"), &["client", "--ca", &ca, &address]);
    client.type_in("hello\n");
    client.prints("hello");
    // A killed server sends no close_notify.
    drop(secure.server);
    let errors = client.errors.clone();
    assert_eq!(client.ends(), Some(1));
    let errors = errors.all().join("\n");
    assert!(errors.contains("without the close_notify of TLS"), "{errors}");
}
