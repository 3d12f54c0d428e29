//! What can go wrong between two ends of TLS, in words that say who can mend it.
//!
//! Nothing that a peer sent is quoted, so that a log line stays one line.

#![expect(clippy::wildcard_enum_match_arm, reason = "what is matched here is rustls's, and it says that more may come")]

use std::io;

use rustls::{AlertDescription, CertificateError, HandshakeType, InvalidMessage};
use thiserror::Error;

/// Why TLS with a peer did not come about, or broke.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsError {
    /// What came is no TLS.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// The peer's certificate is for other names.
    #[error("the peer's certificate is not for `{0}`")]
    WrongName(String),
    /// The peer's certificate is out of date.
    #[error("the peer's certificate has expired")]
    Expired,
    /// The peer's certificate is for later.
    #[error("the peer's certificate is not valid yet")]
    NotYetValid,
    /// Nobody whom we trust has signed the peer's certificate.
    #[error("the peer's certificate is signed by nobody who is trusted here")]
    UnknownSigner,
    /// Something else is wrong with the peer's certificate.
    #[error("the peer's certificate is refused: {0}")]
    BadCertificate(String),
    /// The peer was asked for a certificate and has none.
    #[error("the peer shows no certificate")]
    NoCertificate,
    /// The peer wants a certificate of ours, or another one.
    #[error("the peer refuses our certificate, or that we have none ({0:?})")]
    Refused(AlertDescription),
    /// Nothing of what we offer to agree on suits the peer, or the other way round.
    #[error("nothing to agree on: {0}")]
    NothingInCommon(String),
    /// Something rarer.
    #[error("{0}")]
    Other(String),
}

impl From<&rustls::Error> for TlsError {
    fn from(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            // An echo of our own greeting.
            rustls::Error::InappropriateHandshakeMessage { got_type: HandshakeType::ClientHello, .. } => Self::NotTls,
            rustls::Error::InvalidCertificate(fault) => Self::from(fault),
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::AlertReceived(alert) => Self::from(*alert),
            rustls::Error::NoApplicationProtocol => Self::NothingInCommon("no ALPN protocol".to_owned()),
            rustls::Error::PeerIncompatible(why) => Self::NothingInCommon(format!("{why:?}")),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<&CertificateError> for TlsError {
    fn from(fault: &CertificateError) -> Self {
        match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForNameContext { expected, .. } => Self::WrongName(expected.to_str().into()),
            CertificateError::UnknownIssuer => Self::UnknownSigner,
            other => Self::BadCertificate(format!("{other:?}")),
        }
    }
}

impl From<AlertDescription> for TlsError {
    fn from(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA => Self::Refused(alert),
            AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity
            | AlertDescription::ProtocolVersion
            | AlertDescription::NoApplicationProtocol => Self::NothingInCommon(format!("the peer says {alert:?}")),
            other => Self::Other(format!("the peer broke off ({other:?})")),
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl TlsError {
    /// What an error of a stream says of TLS, if it does.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}
