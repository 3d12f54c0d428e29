//! Certificates and keys in PEM, from files or from memory.
//!
//! A key file that other users can read is refused before it is read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};

use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// Read permission for group and others.
const OTHERS_CAN_READ: u32 = 0o044;

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
    #[error("{name} contains no {what}: {problem}")]
    NotPem {
        /// The file, or a placeholder for text from memory.
        name: String,
        /// The expected kind of item.
        what: &'static str,
        /// The fault in the text.
        problem: &'static str,
    },
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
    /// This machine has no file of trusted authorities in a known place.
    #[error("this machine has no list of trusted authorities")]
    NoSystemRoots,
    /// A certificate, key or option cannot be used.
    #[error("{0}")]
    Unusable(String),
}

impl Pem {
    /// The certificates, in their order; at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
        let text = self.read()?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match read {
            Ok(certificates) if certificates.is_empty() => Err(self.not_pem("certificate", &pem::Error::NoItemsFound)),
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(self.not_pem("certificate", &error)),
        }
    }

    /// The first private key.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
        if let Self::File(path) = self {
            check_permissions(path)?;
        }
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|error| self.not_pem("private key", &error))
    }

    /// The certificates, as trusted authorities.
    pub(super) fn authorities(&self) -> Result<RootCertStore, TlsSetupError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| TlsSetupError::Unusable(format!("{self}: {error}")))?;
        }
        Ok(roots)
    }

    fn read(&self) -> Result<Vec<u8>, TlsSetupError> {
        match self {
            Self::File(path) => fs::read(path).map_err(|error| TlsSetupError::Unreadable { path: path.clone(), error }),
            Self::Text(text) => Ok(text.as_bytes().to_vec()),
        }
    }

    /// The error in words that quote nothing from the text, which may be a key.
    fn not_pem(&self, what: &'static str, error: &pem::Error) -> TlsSetupError {
        let problem = match error {
            pem::Error::NoItemsFound => "there is no such section",
            pem::Error::MissingSectionEnd { .. } => "an END line is missing",
            pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
            pem::Error::Base64Decode(_) => "a section is not valid base64",
            pem::Error::SectionTooLarge => "a section is too long",
            pem::Error::Io(_) => "it cannot be read",
            _ => "the text cannot be parsed",
        };
        TlsSetupError::NotPem { name: self.to_string(), what, problem }
    }
}

/// Refuses a key file that other users can read: its reader can impersonate the server.
fn check_permissions(path: &Path) -> Result<(), TlsSetupError> {
    let unreadable = |error| TlsSetupError::Unreadable { path: path.to_owned(), error };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & OTHERS_CAN_READ != 0 {
        return Err(TlsSetupError::KeyIsPublic { path: path.to_owned(), mode });
    }
    Ok(())
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
