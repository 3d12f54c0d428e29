//! `Authority`: issues certificates for development, in PEM. It knows no files.
//!
//! Its subject name contains a part of its public key, so that two authorities never have the same name.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::cli_error::CliError;

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Long, because every client has to trust a new authority again.
const AUTHORITY_VALID_FOR: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The validity for `never`. The year in a certificate has four digits.
const VALID_FOR_MAX: Duration = Duration::from_secs(1000 * 365 * 24 * 60 * 60);

/// Certificates are valid from this long ago, because the clocks of machines differ.
const CLOCK_SKEW: Duration = DAY;

/// A certificate authority.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert: String,
}

/// A certificate and its key, in PEM.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) cert: String,
    pub(super) key: String,
}

impl Authority {
    /// Makes a new authority.
    pub(super) fn new() -> Result<Self, CliError> {
        let key = KeyPair::generate().map_err(failed)?;
        let params = params_of(&key)?;
        let cert = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), cert })
    }

    /// Restores an authority from its certificate and key.
    ///
    /// # Errors
    /// The files do not belong together, or another program made them.
    pub(super) fn from_pem(cert: &str, key: &str) -> Result<Self, CliError> {
        let key = KeyPair::from_pem(key).map_err(|_| foreign_files())?;
        let der = CertificateDer::from_pem_slice(cert.as_bytes()).map_err(|_| foreign_files())?;
        let holds = |bytes: &[u8]| der.windows(bytes.len()).any(|window| window == bytes);
        if !holds(key.public_key_raw()) || !holds(name_of(&key).as_bytes()) {
            return Err(foreign_files());
        }
        Ok(Self { issuer: Issuer::new(params_of(&key)?, key), cert: cert.to_owned() })
    }

    /// Its own certificate and key.
    pub(super) fn issued(&self) -> Issued {
        Issued { cert: self.cert.clone(), key: self.issuer.key().serialize_pem() }
    }

    /// Issues a certificate for these names, for a server or a client.
    pub(super) fn issue(&self, names: &[String], valid_for: Duration) -> Result<Issued, CliError> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(names).map_err(|_| {
            CliError::usage(
                format!("cannot issue a certificate for {}", names.join(", ")),
                "type ASCII host names or IP addresses",
            )
        })?;
        // RFC 5280 allows no longer common name. Clients read the other list of names.
        if let Some(name) = names.iter().find(|name| name.len() <= 64) {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        limit_validity(&mut params, valid_for);
        let cert = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Issued { cert: cert.pem(), key: key.serialize_pem() })
    }
}

/// The contents of the certificate of the authority with this key.
fn params_of(key: &KeyPair) -> Result<CertificateParams, CliError> {
    let mut params = CertificateParams::new([]).map_err(failed)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name_of(key));
    limit_validity(&mut params, AUTHORITY_VALID_FOR);
    Ok(params)
}

/// The name of the authority with this key.
///
/// Clients find an authority by its name. With two of one name, signatures would fail to verify.
fn name_of(key: &KeyPair) -> String {
    // The first byte is the same in every key: the encoding of the point.
    let start: String = key.public_key_raw().iter().skip(1).take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("readyloop development {start}")
}

fn limit_validity(params: &mut CertificateParams, valid_for: Duration) {
    let epoch = date_time_ymd(1970, 1, 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = epoch + now.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + now + valid_for.min(VALID_FOR_MAX);
}

fn failed(_: rcgen::Error) -> CliError {
    CliError::failure(
        "cannot make a certificate: the random generator of the system or the encoding failed",
        "try again; if it stays, this is a bug in readyloop: please report it",
    )
}

fn foreign_files() -> CliError {
    CliError::usage(
        "ca.pem and ca-key.pem in the directory were not made by `readyloop cert`",
        "type --dir with another directory",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_restored_from_its_own_files_only() {
        let [one, other] = [(); 2].map(|()| Authority::new().unwrap().issued());
        assert!(Authority::from_pem(&one.cert, &one.key).is_ok());
        assert!(Authority::from_pem(&one.cert, &other.key).is_err());
        assert!(Authority::from_pem("", &one.key).is_err());
        assert!(Authority::from_pem(&one.cert, "").is_err());
    }

    #[test]
    fn a_certificate_is_for_hosts_and_addresses_and_any_validity() {
        let authority = Authority::new().unwrap();
        let names = ["localhost", "::1", "10.0.0.1"].map(ToOwned::to_owned);
        for span in [Duration::from_secs(1), DAY, Duration::MAX] {
            assert!(authority.issue(&names, span).unwrap().cert.starts_with("-----BEGIN CERTIFICATE-----"));
        }
        assert!(authority.issue(&["größe".to_owned()], DAY).is_err());
    }
}
