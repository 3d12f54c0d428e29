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
fn cert_refuses_a_wrong_name_or_stem_before_it_makes_a_file() {
    let directory = ScratchPath::directory("refused");
    let cert = |args: &[&str]| {
        let serve = Serve::command("cert --dir").arg(directory.text());
        args.iter().fold(serve, |serve, arg| serve.arg(arg)).run()
    };
    for stem in ["ca", "ca-key", "", "../x"] {
        refused(&cert(&["--stem", stem]), 2, &["--stem"]);
    }
    for name in ["localhost:7443", "", "a b", "größe"] {
        refused(&cert(&[name]), 2, &["NAME"]);
    }
    assert_eq!(fs::read_dir(directory.text()).expect("the directory exists").count(), 0);
    assert_eq!(cert(&["[::1]"]).code, Some(0));
}

#[test]
fn cert_reports_that_its_output_is_full() {
    let directory = ScratchPath::directory("full");
    let full = fs::File::options().write(true).open("/dev/full").expect("every Linux has it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_readyloop"));
    let ended = command.args(["cert", "--dir", directory.text()]).stdout(full).output().expect("the command starts");
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    check_error(&errors, ended.status.code(), 1, &["cannot write to standard output"]);
    assert!(fs::exists(format!("{}/cert.pem", directory.text())).expect("the directory can be read"));
}

#[test]
fn certs_that_are_made_at_once_are_signed_by_one_authority() {
    for _ in 0..5 {
        let directory = ScratchPath::directory("at-once");
        let run = |stem: &str| Serve::command("cert --stem").arg(stem).arg("--dir").arg(directory.text()).run();
        let ended: Vec<Ended> = std::thread::scope(|scope| {
            let running = ["a", "b", "c", "d"].map(|stem| scope.spawn(move || run(stem)));
            running.map(|running| running.join().expect("no panic")).into()
        });
        assert!(ended.iter().all(|ended| ended.code == Some(0)));
        let made = ended.iter().filter(|ended| ended.out.iter().any(|line| line.contains("new certificate authority")));
        assert_eq!(made.count(), 1, "the others use the same one");
        assert_eq!(fs::read_dir(directory.text()).expect("the directory exists").count(), 10);
    }
}

/// Runs `openssl` in a directory.
#[track_caller]
fn openssl(directory: &ScratchPath, args: &str) {
    let run = Command::new("openssl").args(args.split_whitespace()).current_dir(directory.text()).output();
    let run = run.expect("openssl is installed");
    assert!(run.status.success(), "{args}: {}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn a_self_signed_certificate_of_openssl_is_trusted_by_its_own_file() {
    if !has_program("openssl") {
        return;
    }
    let directory = ScratchPath::directory("self-signed");
    let request = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost";
    openssl(&directory, &format!("{request} -addext subjectAltName=DNS:localhost"));
    let path = |name: &str| format!("{}/{name}", directory.text());
    fs::set_permissions(path("key.pem"), fs::Permissions::from_mode(0o600)).expect("we own the file");
    let serve = Serve::bare().listen("tls://127.0.0.1:0").arg("--cert").arg(&path("cert.pem"));
    let server = serve.arg("--key").arg(&path("key.pem")).start();
    let address = &server.addresses[0];
    let named = address.replace("127.0.0.1", "localhost");
    assert_eq!(client(&["--ca", &path("cert.pem"), &named]), echoed());
    let (_, errors, status) = client(&["--ca", &path("cert.pem"), address]);
    check_error(&errors, status, 1, &["is not for `127.0.0.1`"]);
    openssl(&directory, &format!("{request} -keyout other-key.pem -out other.pem"));
    let (_, errors, status) = client(&["--ca", &path("other.pem"), &named]);
    check_error(&errors, status, 1, &["is that of an authority", "--ca FILE with this very certificate"]);
    server.drain();
}

#[test]
fn each_kind_of_file_that_is_no_usable_key_or_certificate_has_its_own_message() {
    if !has_program("openssl") {
        return;
    }
    let directory = ScratchPath::directory("kinds");
    openssl(&directory, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem");
    openssl(&directory, "req -x509 -key key.pem -out cert.pem -days 2 -subj /CN=localhost");
    openssl(&directory, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out p521.pem");
    openssl(&directory, "pkcs8 -topk8 -in key.pem -out encrypted.pem -passout pass:secret");
    openssl(&directory, "pkey -in key.pem -pubout -out public.pem");
    openssl(&directory, "pkey -in key.pem -outform der -out key.der");
    openssl(&directory, "x509 -in cert.pem -trustout -out trusted.pem");
    openssl(&directory, "genpkey -algorithm ed448 -out ed448.pem");
    let path = |name: &str| format!("{}/{name}", directory.text());
    let key = fs::read_to_string(path("key.pem")).expect("it was just written");
    fs::write(path("one-line.pem"), key.replace('\n', "")).expect("we own the directory");
    for file in fs::read_dir(directory.text()).expect("the directory exists") {
        let path = file.expect("the directory can be read").path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("we own the file");
    }
    let secret = key.lines().nth(1).expect("a key has several lines");
    let check = |cert: &str, key: &str, parts: &[&str]| {
        let serve = Serve::bare().listen("tls://127.0.0.1:0").arg("--cert").arg(&path(cert));
        let ended = serve.arg("--key").arg(&path(key)).run();
        refused(&ended, 1, parts);
        assert!(!ended.log_text().contains(secret), "{}", ended.log_text());
    };
    check("cert.pem", "one-line.pem", &["its line breaks may be lost"]);
    check("cert.pem", "p521.pem", &["is on the curve P-521", "P-256"]);
    check("cert.pem", "ed448.pem", &["its type is not supported", "Ed25519"]);
    check("cert.pem", "encrypted.pem", &["has an encrypted private key on line 1", "openssl pkey -in"]);
    check("cert.pem", "public.pem", &["contains no private key, but a section PUBLIC KEY"]);
    check("cert.pem", "key.der", &["is a binary file", "openssl"]);
    check("trusted.pem", "key.pem", &["in the TRUSTED format of OpenSSL on line 1", "openssl x509 -in"]);
    check("key.pem", "cert.pem", &["contains no certificate, but a section PRIVATE KEY", "not exchanged"]);
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
