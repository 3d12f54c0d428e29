//! Certificates and keys as people keep them: PEM, in files or at hand.
//!
//! A key that others may read is refused before it is read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};

use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// Read permission for anybody but the owner.
const OTHERS_MAY_READ: u32 = 0o044;

/// Where certificates or a key come from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Pem {
    /// A file, read whenever it is needed.
    File(PathBuf),
    /// The text itself.
    Text(Arc<str>),
}

/// Why TLS cannot be set up as asked.
#[derive(Debug, Error)]
pub enum TlsSetupError {
    /// A file cannot be read.
    #[error("cannot read {name}: {error}", name = .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The key can be read by others than its owner.
    #[error("the key {name} can be read by others (mode {mode:03o})", name = .path.display())]
    KeyIsPublic {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not PEM, or holds nothing of the kind.
    #[error("{name} holds no {what}: {error}")]
    NotPem {
        /// Which.
        name: String,
        /// What was looked for.
        what: &'static str,
        /// What was found wrong.
        error: pem::Error,
    },
    /// The key is another certificate's.
    #[error("the key {key} is not that of the certificate {cert}")]
    Mismatch {
        /// Where the certificate came from.
        cert: String,
        /// Where the key came from.
        key: String,
    },
    /// The name of the server is neither a name nor an address.
    #[error("`{0}` can be in no certificate")]
    BadName(String),
    /// No bundle of authorities was found on this machine.
    #[error("this machine has no list of trusted authorities")]
    NoSystemRoots,
    /// They can be read and yet not be used.
    #[error("{0}")]
    Unusable(String),
}

impl Pem {
    /// The certificates in it, in their order: at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
        let text = self.read()?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match read {
            Ok(certificates) if certificates.is_empty() => Err(self.not_pem("certificate", pem::Error::NoItemsFound)),
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(self.not_pem("certificate", error)),
        }
    }

    /// The first private key in it.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
        if let Self::File(path) = self {
            check_permissions(path)?;
        }
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|error| self.not_pem("private key", error))
    }

    /// The certificates in it as authorities to trust.
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

    fn not_pem(&self, what: &'static str, error: pem::Error) -> TlsSetupError {
        TlsSetupError::NotPem { name: self.to_string(), what, error }
    }
}

/// Whoever can read the key can be taken for this server.
fn check_permissions(path: &Path) -> Result<(), TlsSetupError> {
    let unreadable = |error| TlsSetupError::Unreadable { path: path.to_owned(), error };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & OTHERS_MAY_READ != 0 {
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

/// Never shows the text: it may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({self})")
    }
}
