//! Authorities and certificates for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::net::tls::Pem;

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority that signs any certificate.
pub(super) struct TestAuthority(CertifiedIssuer<'static, KeyPair>);

/// When a certificate is valid, relative to the current time.
pub(super) enum Validity {
    Now,
    Past,
    Future,
}

impl TestAuthority {
    pub(super) fn new() -> Self {
        // Verification finds an authority by its name, so each needs a unique one.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::new([]).unwrap();
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> Pem {
        text(self.0.pem())
    }

    /// A certificate for `name`, and its key.
    pub(super) fn issue(&self, name: &str, validity: Validity) -> (Pem, Pem) {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let cert = params(name, validity).signed_by(&key, &self.0).unwrap();
        (text(cert.pem()), text(key.serialize_pem()))
    }
}

/// The certificate of an authority that is for `name` itself, as `openssl req -x509` makes it, and its key.
pub(super) fn self_signed(name: &str, validity: Validity) -> (Pem, Pem) {
    let key = KeyPair::generate().unwrap();
    let mut params = params(name, validity);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let cert = params.self_signed(&key).unwrap();
    (text(cert.pem()), text(key.serialize_pem()))
}

fn params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    let now = date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (params.not_before, params.not_after) = match validity {
        Validity::Now => (now - DAY, now + DAY),
        Validity::Past => (now - 2 * DAY, now - DAY),
        Validity::Future => (now + DAY, now + 2 * DAY),
    };
    params
}

pub(super) fn text(pem: String) -> Pem {
    Pem::Text(Arc::from(pem))
}
