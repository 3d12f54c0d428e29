//! SIGHUP: certificate and key are read again, and nobody who is connected notices.

use std::fs;
use std::time::{Duration, Instant};

use readyloop::net::tls::TlsClientOptions;

use crate::support::certs::Authority;
use crate::support::tls::{Hand, Secure, VERSIONS};
use crate::support::{Role, TIMEOUT, connect};

/// How long a new certificate may take to be shown.
const RELOAD: Duration = Duration::from_secs(1);

/// Whether a newcomer that trusts this authority is shown a certificate of it.
fn is_shown(secure: &Secure, authority: &Authority) -> bool {
    let trust = readyloop::net::tls::Trust::Authorities(authority.pem());
    let options = TlsClientOptions { trust, ..secure.options(None) };
    Hand::open(connect(secure.address()), &options).is_ok()
}

/// How often the log says this.
fn count(secure: &Secure, text: &str) -> usize {
    secure.server.log.all().iter().filter(|line| line.contains(text)).count()
}

/// Signals, and waits until the server has done what that asks for.
#[track_caller]
fn reload(secure: &Secure, answer: &str) {
    let before = count(secure, answer);
    secure.server.signal("HUP");
    let answered =
        secure.server.log.wait_for(RELOAD, |lines| lines.iter().filter(|line| line.contains(answer)).count() > before);
    assert!(answered, "not within {RELOAD:?}: {answer}");
}

const NEW: &str = "the certificate as it is now";
const OLD: &str = "the certificate of before";

#[test]
fn a_new_certificate_is_shown_to_newcomers_and_a_broken_one_to_nobody() {
    let secure = Secure::start("");
    let mut here = secure.hand(VERSIONS[1]);
    let next = Authority::new();
    secure.files.install(&next);
    assert!(is_shown(&secure, &secure.authority), "nothing is read before the signal");
    reload(&secure, NEW);
    assert!(is_shown(&secure, &next) && !is_shown(&secure, &secure.authority));

    fs::write(secure.files.path("cert.pem"), "-----BEGIN CERTIFICATE-----\nno\n").expect("it is ours");
    reload(&secure, OLD);
    fs::remove_file(secure.files.path("cert.pem")).expect("it is ours");
    reload(&secure, OLD);
    // The key of another certificate.
    let half = Authority::new();
    let (cert, _) = half.issue("localhost");
    crate::support::tls::write(&secure.files.path("cert.pem"), &cert, 0o644);
    reload(&secure, OLD);
    assert!(is_shown(&secure, &next) && !is_shown(&secure, &half));

    here.send(b"still here");
    here.expect(b"still here");
    here.finish();
    here.expect_end();
    secure.server.drain();
}

#[test]
fn a_hundred_reloads_under_load_drop_nobody() {
    let secure = Secure::start("");
    let mut old = secure.talks(VERSIONS[1]);
    old.join(50, Role::Repeats(5_000));
    let mut old12 = secure.talks(VERSIONS[0]);
    old12.join(50, Role::Repeats(5_000));
    for talks in [&mut old, &mut old12] {
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.is_open)));
    }
    let authorities = [Authority::new(), Authority::new()];
    let started = Instant::now();
    for round in 0..100 {
        let is_broken = round % 10 == 9;
        if is_broken {
            fs::write(secure.files.path("cert.pem"), "no certificate").expect("it is ours");
        } else {
            secure.files.install(&authorities[round % 2]);
        }
        reload(&secure, if is_broken { OLD } else { NEW });
        old.run_for(Duration::from_millis(1));
        old12.run_for(Duration::from_millis(1));
        if round % 10 >= 8 {
            assert!(is_shown(&secure, &authorities[0]), "the last good one, round {round}");
            assert!(!is_shown(&secure, &authorities[1]), "round {round}");
        }
    }
    for talks in [&mut old, &mut old12] {
        let before = talks.received();
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().map(|talk| talk.received).sum::<u64>() > before));
        assert!(talks.all().iter().all(|talk| talk.is_open && talk.reason.is_none()), "after {:?}", started.elapsed());
    }
    secure.server.signal("TERM");
    for talks in [&mut old, &mut old12] {
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.reason.is_some())));
    }
    let ended = secure.server.wait(TIMEOUT);
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
}

#[test]
fn a_reload_without_tls_is_no_matter() {
    let server = crate::support::Serve::new().start();
    server.signal("HUP");
    server.signal("USR1");
    server.logs("closed: none");
    assert!(crate::support::exchange(&mut server.connect(), b"hello", 5).0 == b"hello");
    server.drain();
}
