//! Authorities and certificates for tests, out of thin air.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::net::tls::Pem;

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority that signs whatever it is asked to.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// From when until when, counted from now.
pub(super) enum Span {
    Now,
    Past,
    Future,
}

impl Authority {
    pub(super) fn new() -> Self {
        // An authority is known by its name first: no two may share one.
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

    /// A certificate for that name, and its key.
    pub(super) fn issue(&self, name: &str, span: Span) -> (Pem, Pem) {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        let now = date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        (params.not_before, params.not_after) = match span {
            Span::Now => (now - DAY, now + DAY),
            Span::Past => (now - 2 * DAY, now - DAY),
            Span::Future => (now + DAY, now + 2 * DAY),
        };
        let cert = params.signed_by(&key, &self.0).unwrap();
        (text(cert.pem()), text(key.serialize_pem()))
    }
}

pub(super) fn text(pem: String) -> Pem {
    Pem::Text(Arc::from(pem))
}
