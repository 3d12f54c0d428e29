//! SIGHUP: certificate and key are read again, without effect on open connections.

use std::fs;
use std::time::{Duration, Instant};

use readyloop::net::tls::{TlsClientOptions, Trust};

use crate::reload::shows_last_reload;
use crate::support::certs::Authority;
use crate::support::tls::{ManualClient, Secure, VERSIONS, write};
use crate::support::{Role, Serve, TIMEOUT, connect, exchange};

/// How long a reload may take.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether a new connection gets a certificate of this authority.
fn is_in_use(secure: &Secure, authority: &Authority) -> bool {
    let trust = Trust::Authorities(authority.pem());
    let options = TlsClientOptions { trust, ..secure.options(None) };
    ManualClient::open(connect(secure.address()), &options).is_ok()
}

/// Sends SIGHUP, and waits for the log line.
#[track_caller]
fn reload(secure: &Secure, answer: &str) {
    let count = |lines: &[String]| lines.iter().filter(|line| line.contains(answer)).count();
    let before = count(&secure.server.log.all());
    secure.server.signal("HUP");
    let answered = secure.server.log.wait_for(RELOAD_TIMEOUT, |lines| count(lines) > before);
    assert!(answered, "not within {RELOAD_TIMEOUT:?}: {answer}");
}

const NEW: &str = "reloaded TLS certificate for";
const OLD: &str = "kept the previous TLS certificate for";

#[test]
fn a_reload_affects_new_connections_and_keeps_the_old_certificate_if_the_new_is_broken() {
    let secure = Secure::start("--admin 127.0.0.1:0");
    let mut open = secure.client(VERSIONS[1]);
    let next = Authority::new();
    secure.files.install(&next);
    assert!(is_in_use(&secure, &secure.authority), "nothing is read before the signal");
    reload(&secure, NEW);
    shows_last_reload(&secure.server, true);
    assert!(is_in_use(&secure, &next) && !is_in_use(&secure, &secure.authority));

    fs::write(secure.files.path("cert.pem"), "-----BEGIN CERTIFICATE-----\nno\n").expect("we own the file");
    reload(&secure, OLD);
    shows_last_reload(&secure.server, false);
    fs::remove_file(secure.files.path("cert.pem")).expect("we own the file");
    reload(&secure, OLD);
    // The key of another certificate.
    let mismatched = Authority::new();
    let (cert, _) = mismatched.issue("localhost");
    write(&secure.files.path("cert.pem"), &cert, 0o644);
    reload(&secure, OLD);
    assert!(is_in_use(&secure, &next) && !is_in_use(&secure, &mismatched));

    open.echoes(b"still open");
    open.finish();
    open.expect_end();
    secure.server.drain();
}

#[test]
fn a_hundred_reloads_under_load_close_no_connection() {
    let secure = Secure::start("");
    let mut old = VERSIONS.map(|version| secure.talks(version));
    for talks in &mut old {
        talks.join(50, Role::Repeats(5_000));
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.is_open)));
    }
    let authorities = [Authority::new(), Authority::new()];
    let started = Instant::now();
    for round in 0..100 {
        let is_broken = round % 10 == 9;
        if is_broken {
            fs::write(secure.files.path("cert.pem"), "no certificate").expect("we own the file");
        } else {
            secure.files.install(&authorities[round % 2]);
        }
        reload(&secure, if is_broken { OLD } else { NEW });
        old.iter_mut().for_each(|talks| talks.run_for(Duration::from_millis(1)));
        if round % 10 >= 8 {
            assert!(is_in_use(&secure, &authorities[0]), "not the last valid certificate, round {round}");
            assert!(!is_in_use(&secure, &authorities[1]), "round {round}");
        }
    }
    for talks in &mut old {
        let before = talks.received();
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().map(|talk| talk.received).sum::<u64>() > before));
        assert!(talks.all().iter().all(|talk| talk.is_open && talk.reason.is_none()), "after {:?}", started.elapsed());
    }
    secure.server.signal("TERM");
    for talks in &mut old {
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.reason.is_some())));
    }
    let ended = secure.server.wait(TIMEOUT);
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
}

#[test]
fn a_reload_without_tls_does_nothing() {
    let server = Serve::new().start();
    server.signal("HUP");
    server.signal("USR1");
    server.logs("closed: none");
    assert_eq!(exchange(&mut server.connect(), b"hello", 5).0, b"hello");
    server.drain();
}
