//! Other TLS implementations as peers: `openssl s_client` and `curl`.

use crate::support::Program;
use crate::support::certs::Authority;
use crate::support::tls::{CertFiles, SERVER_NAME, Secure, has_program};

#[test]
fn openssl_exchanges_lines_in_both_versions_and_ends_cleanly() {
    if !has_program("openssl") {
        return;
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let secure = Secure::start("--alpn echo/2 --alpn echo/1");
        let (address, ca) = (secure.address().to_string(), secure.files.text("ca.pem"));
        let args = [
            &["s_client", "-connect", &address, "-CAfile", &ca, "-servername", SERVER_NAME, "-verify_hostname"][..],
            &[SERVER_NAME, "-verify_return_error", "-alpn", "echo/1,chat", version],
        ]
        .concat();
        let mut client = Program::start("openssl", &args);
        for line in ["hello", "how are you"] {
            client.type_in(&format!("{line}\n"));
            client.prints(line);
        }
        client.prints("Verification: OK");
        client.prints("ALPN protocol: echo/1");
        assert_eq!(client.ends(), Some(0));
        let summary = secure.server.drain().summary();
        assert_eq!((summary.closed("finished"), summary.bytes_in), (1, 18), "{version}");
    }
}

#[test]
fn openssl_with_a_client_certificate_is_accepted_and_without_is_refused() {
    if !has_program("openssl") {
        return;
    }
    let secure = Secure::start_with_client_ca();
    let (address, ca) = (secure.address().to_string(), secure.files.text("ca.pem"));
    let (cert, key) = (secure.files.text("cert.pem"), secure.files.text("key.pem"));
    for version in ["-tls1_2", "-tls1_3"] {
        let plain = ["s_client", "-connect", &address, "-CAfile", &ca, version, "-quiet"];
        let mut trusted =
            Program::start("openssl", &[&plain[..], &["-no_ign_eof", "-cert", &cert, "-key", &key]].concat());
        trusted.type_in("accepted\n");
        trusted.prints("accepted");
        assert_eq!(trusted.ends(), Some(0));
        let refused = Program::start("openssl", &plain);
        let errors = refused.errors.clone();
        assert_ne!(refused.ends(), Some(0));
        assert!(errors.all().join("\n").contains("alert"), "{}", errors.all().join("\n"));
    }
    let summary = secure.server.drain().summary();
    assert_eq!((summary.closed("finished"), summary.closed("bad-tls")), (2, 2));
}

#[test]
fn curl_receives_its_own_request_and_a_clean_end() {
    if !has_program("curl") {
        return;
    }
    for version in ["1.2", "1.3"] {
        // curl gets an echo instead of a response, and waits until the server closes.
        let secure = Secure::start("--idle-timeout 500ms");
        let (ca, port) = (secure.files.text("ca.pem"), secure.address().port());
        let url = format!("https://{SERVER_NAME}:{port}/anything");
        let resolve = format!("{SERVER_NAME}:{port}:127.0.0.1");
        let args =
            ["-sS", "--http0.9", "--cacert", &ca, "--resolve", &resolve, "--tls-max", version, "--tlsv1.2", &url];
        let curl = Program::start("curl", &args);
        curl.prints("GET /anything HTTP/1.1");
        let errors = curl.errors.clone();
        assert_eq!(curl.ends(), Some(0), "{}", errors.all().join("\n"));

        // Status 60 of curl: the certificate cannot be verified.
        let other = CertFiles::of(&Authority::new());
        let untrusting = Program::start("curl", &["-sS", "--cacert", &other.text("ca.pem"), &url]);
        assert_eq!(untrusting.ends(), Some(60));
        let summary = secure.server.drain().summary();
        assert_eq!((summary.closed("idle-timeout"), summary.closed("bad-tls")), (1, 1), "TLS {version}");
    }
}
