//! Certificates and keys in PEM, from files or from memory.
//!
//! A key file that other users can read is refused before it is read. No message quotes a file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use super::sections::{self, PemItem, PemProblem, Section, sections};

/// Read permission for group and others.
const OTHERS_CAN_READ: u32 = 0o044;

/// The longest file that is read. The list of all public authorities is 60 times shorter.
const LEN_MAX: u64 = 16 * 1024 * 1024;

/// The object identifier of the curve P-521 in DER (RFC 5480, section 2.1.1.1).
const P521_OID: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];

/// The source of certificates or of a key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Pem {
    /// A file. It is read again on every reload.
    File(PathBuf),
    /// The text itself.
    Text(Arc<str>),
}

/// Why TLS cannot be set up with the given options.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsSetupError {
    /// A file cannot be read.
    #[error("cannot read {name}: {error}", name = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Users other than the owner can read the key file.
    #[error("the key {name} can be read by others (mode {mode:03o})", name = .path.display())]
    KeyIsPublic {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The text is not PEM, or does not contain the expected kind of item.
    #[error("{name} {problem}")]
    NotPem {
        /// The file, or a placeholder for text from memory.
        name: String,
        /// The fault in the text.
        problem: PemProblem,
    },
    /// A certificate has the form of PEM, and its contents cannot be parsed.
    #[error("certificate number {number} in {name} is damaged")]
    BadCertificate {
        /// The source of the certificates.
        name: String,
        /// Its place among the certificates, counted from 1.
        number: usize,
    },
    /// The key is on the curve P-521.
    #[error("the key {0} is on the curve P-521, which is not supported")]
    KeyOnP521(String),
    /// The key is damaged, or of a type that is not supported.
    #[error("the key {0} is damaged, or its type is not supported")]
    UnsupportedKey(String),
    /// The key does not belong to the certificate.
    #[error("the key {key} is not that of the certificate {cert}")]
    Mismatch {
        /// The source of the certificate.
        cert: String,
        /// The source of the key.
        key: String,
    },
    /// The server's name is neither a host name nor an IP address.
    #[error("`{0}` is neither a host name nor an IP address")]
    BadName(String),
    /// The name of an ALPN protocol is empty or too long (RFC 7301, section 3.1).
    #[error("the name of an ALPN protocol has {0} bytes, and must have 1 to 255")]
    BadAlpn(usize),
    /// This machine has no file of trusted authorities in a known place.
    #[error("this machine has no list of trusted authorities")]
    NoSystemRoots,
}

impl Pem {
    /// The certificates, in their order; at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
        let text = self.read(PemItem::Certificate)?;
        let all = sections(&text).map_err(|problem| self.not_pem(problem))?;
        let found = sections::certificates(&all).map_err(|problem| self.not_pem(problem))?;
        found.into_iter().map(|section| self.decode(section, "CERTIFICATE")).collect()
    }

    /// The first private key.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
        let text = self.read(PemItem::PrivateKey)?;
        let all = sections(&text).map_err(|problem| self.not_pem(problem))?;
        let section = sections::private_key(&all).map_err(|problem| self.not_pem(problem))?;
        let key: PrivateKeyDer<'static> = self.decode(section, section.label)?;
        if key.secret_der().windows(P521_OID.len()).any(|window| window == P521_OID) {
            return Err(TlsSetupError::KeyOnP521(self.to_string()));
        }
        Ok(key)
    }

    fn decode<T: PemObject>(&self, section: &Section<'_>, label: &str) -> Result<T, TlsSetupError> {
        let decoded = T::from_pem_slice(section.as_pem(label).as_bytes());
        decoded.map_err(|_| self.not_pem(PemProblem::NotBase64(section.line)))
    }

    fn read(&self, item: PemItem) -> Result<String, TlsSetupError> {
        let path = match self {
            Self::File(path) => path,
            Self::Text(text) => return Ok(text.to_string()),
        };
        let unreadable = |error| TlsSetupError::Unreadable { path: path.clone(), error };
        let file = File::open(path).map_err(unreadable)?;
        if item == PemItem::PrivateKey {
            check_permissions(&file, path)?;
        }
        let mut bytes = Vec::new();
        file.take(LEN_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        self.text_of(&bytes)
    }

    fn text_of(&self, bytes: &[u8]) -> Result<String, TlsSetupError> {
        let problem = match bytes {
            _ if bytes.len() as u64 > LEN_MAX => PemProblem::TooLong(LEN_MAX),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => PemProblem::Utf16,
            _ if bytes.contains(&0) => PemProblem::Binary,
            // Comments of old files are in other encodings.
            _ => return Ok(String::from_utf8_lossy(bytes).into_owned()),
        };
        Err(self.not_pem(problem))
    }

    fn not_pem(&self, problem: PemProblem) -> TlsSetupError {
        TlsSetupError::NotPem { name: self.to_string(), problem }
    }
}

/// Refuses a key file that other users can read: its reader can impersonate the server.
fn check_permissions(file: &File, path: &Path) -> Result<(), TlsSetupError> {
    let unreadable = |error| TlsSetupError::Unreadable { path: path.to_owned(), error };
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & OTHERS_CAN_READ != 0 {
        return Err(TlsSetupError::KeyIsPublic { path: path.to_owned(), mode });
    }
    Ok(())
}

/// The names of protocols as ALPN sends them.
pub(super) fn alpn_protocols(names: &[String]) -> Result<Vec<Vec<u8>>, TlsSetupError> {
    let check = |name: &String| match name.len() {
        1..=255 => Ok(name.clone().into_bytes()),
        len => Err(TlsSetupError::BadAlpn(len)),
    };
    names.iter().map(check).collect()
}

/// The error for a certificate and a key that rustls does not accept.
pub(super) fn identity_error(error: &rustls::Error, cert: &Pem, key: &Pem) -> TlsSetupError {
    if let rustls::Error::InconsistentKeys(_) = error {
        TlsSetupError::Mismatch { cert: cert.to_string(), key: key.to_string() }
    } else if let rustls::Error::InvalidCertificate(_) = error {
        TlsSetupError::BadCertificate { name: cert.to_string(), number: 1 }
    } else {
        TlsSetupError::UnsupportedKey(key.to_string())
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Text(_) => f.write_str("(given as text)"),
        }
    }
}

/// Never prints the text, which may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({self})")
    }
}
