//! [`TlsError`]: why TLS with a peer failed, in terms of what can be fixed.
//!
//! No text that a peer sent is quoted, so a log line stays one line.

#![expect(clippy::wildcard_enum_match_arm, reason = "the enums of rustls are non-exhaustive")]

use std::io;

use rustls::{AlertDescription, CertificateError, HandshakeType, InvalidMessage};
use thiserror::Error;

/// Why TLS with a peer failed, in the handshake or later.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsError {
    /// The received bytes are not TLS.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// The peer's certificate is for other names than this one.
    #[error("the peer's certificate is not for `{0}`")]
    WrongName(String),
    /// The peer's certificate has expired.
    #[error("the peer's certificate has expired")]
    Expired,
    /// The peer's certificate is not valid yet.
    #[error("the peer's certificate is not valid yet")]
    NotYetValid,
    /// No trusted authority has signed the peer's certificate.
    #[error("the peer's certificate is not signed by a trusted authority")]
    UnknownSigner,
    /// The peer's certificate is unusable for another reason.
    #[error("the peer's certificate is not acceptable: {0}")]
    BadCertificate(String),
    /// A certificate is required of the peer, and it sent none.
    #[error("the peer sent no certificate")]
    NoCertificate,
    /// The peer refused our certificate, or requires one and we have none.
    #[error("the peer refuses our certificate, or requires one and we have none ({0:?})")]
    Refused(AlertDescription),
    /// The two sides have no version, cipher suite or protocol in common.
    #[error("no common TLS parameters: {0}")]
    NothingInCommon(String),
    /// Any other failure.
    #[error("{0}")]
    Other(String),
}

impl From<&rustls::Error> for TlsError {
    fn from(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            // A plain echo server returns our own ClientHello.
            rustls::Error::InappropriateHandshakeMessage { got_type: HandshakeType::ClientHello, .. } => Self::NotTls,
            rustls::Error::InvalidCertificate(error) => Self::from(error),
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::AlertReceived(alert) => Self::from(*alert),
            rustls::Error::NoApplicationProtocol => Self::NothingInCommon("no ALPN protocol".to_owned()),
            rustls::Error::PeerIncompatible(why) => Self::NothingInCommon(format!("{why:?}")),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<&CertificateError> for TlsError {
    fn from(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForNameContext { expected, .. } => Self::WrongName(expected.to_str().into()),
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownSigner,
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
            | AlertDescription::NoApplicationProtocol => Self::NothingInCommon(format!("the peer reports {alert:?}")),
            other => Self::Other(format!("the peer aborted TLS ({other:?})")),
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl TlsError {
    /// The TLS error inside an error of a stream, if there is one.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}
