//! Authorities and certificates for tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use readyloop::net::tls::Pem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority that signs any certificate.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Valid {
    Now,
    /// Expired yesterday.
    Expired,
}

impl Authority {
    pub(crate) fn new() -> Self {
        // Verification finds an authority by its name, so each needs a unique one.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::new([]).expect("an empty list of names is valid");
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("the system has randomness");
        Self(CertifiedIssuer::self_signed(params, key).expect("the key can sign"))
    }

    pub(crate) fn pem(&self) -> Pem {
        Pem::Text(self.0.pem().into())
    }

    /// A certificate for `name` and its key.
    pub(crate) fn issue(&self, name: &str) -> (Pem, Pem) {
        self.issue_for(name, Valid::Now)
    }

    pub(crate) fn issue_for(&self, name: &str, valid: Valid) -> (Pem, Pem) {
        let key = KeyPair::generate().expect("the system has randomness");
        let mut params = CertificateParams::new([name.to_owned()]).expect("the name is valid");
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
        let now = date_time_ymd(1970, 1, 1) + since_epoch;
        (params.not_before, params.not_after) = match valid {
            Valid::Now => (now - DAY, now + DAY),
            Valid::Expired => (now - 2 * DAY, now - DAY),
        };
        let cert = params.signed_by(&key, &self.0).expect("the key can sign");
        (Pem::Text(cert.pem().into()), Pem::Text(key.serialize_pem().into()))
    }
}
