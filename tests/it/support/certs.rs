//! Authorities and certificates for tests, out of thin air.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use readyloop::net::tls::Pem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority that signs whatever it is asked to.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Valid {
    Now,
    /// Until yesterday.
    NoMore,
}

impl Authority {
    pub(crate) fn new() -> Self {
        // An authority is known by its name first: no two may share one.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::new([]).expect("no names");
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("randomness");
        Self(CertifiedIssuer::self_signed(params, key).expect("a key that signs"))
    }

    pub(crate) fn pem(&self) -> Pem {
        Pem::Text(self.0.pem().into())
    }

    /// A certificate for that name and its key.
    pub(crate) fn issue(&self, name: &str) -> (Pem, Pem) {
        self.issue_for(name, Valid::Now)
    }

    pub(crate) fn issue_for(&self, name: &str, valid: Valid) -> (Pem, Pem) {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
        let now = date_time_ymd(1970, 1, 1) + since_epoch;
        (params.not_before, params.not_after) = match valid {
            Valid::Now => (now - DAY, now + DAY),
            Valid::NoMore => (now - 2 * DAY, now - DAY),
        };
        let cert = params.signed_by(&key, &self.0).expect("a key that signs");
        (Pem::Text(cert.pem().into()), Pem::Text(key.serialize_pem().into()))
    }
}
