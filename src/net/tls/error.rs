//! [`TlsError`]: why TLS with a peer failed, in terms of what can be fixed.
//!
//! No text of a peer or of another crate is quoted, so a log line stays one line of plain words.

#![expect(clippy::wildcard_enum_match_arm, reason = "the enums of rustls are non-exhaustive")]

use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, HandshakeType, InvalidMessage, PeerIncompatible};
use thiserror::Error;

/// Why TLS with a peer failed, in the handshake or later.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
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
    #[error("the peer's certificate {0}")]
    BadCertificate(CertificateFault),
    /// A certificate is required of the peer, and it sent none.
    #[error("the peer sent no certificate")]
    NoCertificate,
    /// The peer refused our certificate.
    #[error("the peer refuses our certificate, or requires one and we have none: {0}")]
    Refused(Alert),
    /// The two sides have no version, cipher suite or protocol in common.
    #[error("no common TLS parameters: {0}")]
    NothingInCommon(Incompatibility),
    /// Any other failure.
    #[error("{0}")]
    Other(TlsFault),
}

/// Why a certificate of the peer is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It is damaged.
    #[error("is damaged")]
    Damaged,
    /// It belongs to an authority that is not trusted itself.
    #[error("is that of an authority, and is not itself in the list of trusted certificates")]
    Authority,
    /// It has another version than 3.
    #[error("has another version than X.509 version 3")]
    Version,
    /// It is made for another purpose.
    #[error("is not made for this side of a connection (extended key usage)")]
    Purpose,
    /// It is revoked.
    #[error("is revoked")]
    Revoked,
    /// It is signed with an algorithm that is not supported.
    #[error("is signed with an algorithm that is not supported")]
    Algorithm,
    /// It has a critical extension or a constraint that is not supported.
    #[error("has a property that is not supported")]
    Unsupported,
}

/// What two sides do not have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Incompatibility {
    /// No protocol of ALPN.
    #[error("no ALPN protocol")]
    Alpn,
    /// No version of TLS.
    #[error("the peer has neither TLS 1.2 nor TLS 1.3, or not the version that is required")]
    Version,
    /// No cipher suite.
    #[error("no cipher suite")]
    CipherSuite,
    /// No way to exchange keys.
    #[error("no key exchange group")]
    KeyExchange,
    /// No signature scheme.
    #[error("no signature scheme")]
    Signature,
    /// The peer sent an alert about it, without a reason.
    #[error("the peer reports a failed handshake")]
    Reported,
    /// The peer lacks a required extension.
    #[error("the peer lacks a required extension")]
    Extension,
}

/// A failure of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// The peer sent this alert.
    #[error("the peer aborted TLS: {0}")]
    Aborted(Alert),
    /// A record cannot be decrypted.
    #[error("a record of the peer cannot be decrypted")]
    BadRecord,
    /// The peer broke the rules of the protocol.
    #[error("the peer broke the rules of TLS")]
    Misbehaved,
    /// The system has no time or no random bytes.
    #[error("the system clock or the random generator of the system failed")]
    System,
    /// TLS itself failed.
    #[error("TLS failed here")]
    Internal,
}

/// An alert of the peer (RFC 8446, section 6.2). It is shown by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert(u8);

impl Alert {
    /// Whether the peer requires a certificate that we did not send.
    pub fn is_certificate_required(self) -> bool {
        self == Self(u8::from(AlertDescription::CertificateRequired))
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match AlertDescription::from(self.0) {
            AlertDescription::UnexpectedMessage => "unexpected message",
            AlertDescription::BadRecordMac => "bad record",
            AlertDescription::RecordOverflow => "record too long",
            AlertDescription::HandshakeFailure => "handshake failure",
            AlertDescription::BadCertificate => "bad certificate",
            AlertDescription::UnsupportedCertificate => "unsupported certificate",
            AlertDescription::CertificateRevoked => "revoked certificate",
            AlertDescription::CertificateExpired => "expired certificate",
            AlertDescription::CertificateUnknown => "unacceptable certificate",
            AlertDescription::IllegalParameter => "illegal parameter",
            AlertDescription::UnknownCA => "unknown authority",
            AlertDescription::AccessDenied => "access denied",
            AlertDescription::DecodeError => "a message cannot be decoded",
            AlertDescription::DecryptError => "a signature or key is wrong",
            AlertDescription::InternalError => "internal error",
            AlertDescription::UserCanceled => "canceled by the user",
            AlertDescription::UnrecognisedName => "unknown server name",
            AlertDescription::CertificateRequired => "certificate required",
            _ => return write!(f, "alert {}", self.0),
        };
        f.write_str(name)
    }
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
            rustls::Error::NoApplicationProtocol => Self::NothingInCommon(Incompatibility::Alpn),
            rustls::Error::PeerIncompatible(why) => Self::NothingInCommon(Incompatibility::from(why)),
            rustls::Error::DecryptError => Self::Other(TlsFault::BadRecord),
            rustls::Error::FailedToGetCurrentTime | rustls::Error::FailedToGetRandomBytes => {
                Self::Other(TlsFault::System)
            }
            rustls::Error::InappropriateMessage { .. }
            | rustls::Error::InappropriateHandshakeMessage { .. }
            | rustls::Error::InvalidMessage(_)
            | rustls::Error::PeerMisbehaved(_)
            | rustls::Error::PeerSentOversizedRecord => Self::Other(TlsFault::Misbehaved),
            _ => Self::Other(TlsFault::Internal),
        }
    }
}

impl From<&CertificateError> for TlsError {
    fn from(error: &CertificateError) -> Self {
        let fault = match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => return Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => return Self::NotYetValid,
            CertificateError::NotValidForNameContext { expected, .. } => {
                return Self::WrongName(expected.to_str().into());
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => return Self::UnknownSigner,
            CertificateError::BadEncoding => CertificateFault::Damaged,
            CertificateError::Revoked => CertificateFault::Revoked,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                CertificateFault::Purpose
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => CertificateFault::Algorithm,
            CertificateError::Other(other) => match other.0.downcast_ref() {
                Some(webpki::Error::CaUsedAsEndEntity) => CertificateFault::Authority,
                Some(webpki::Error::UnsupportedCertVersion) => CertificateFault::Version,
                _ => CertificateFault::Unsupported,
            },
            _ => CertificateFault::Unsupported,
        };
        Self::BadCertificate(fault)
    }
}

impl From<&PeerIncompatible> for Incompatibility {
    fn from(why: &PeerIncompatible) -> Self {
        match why {
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled => Self::Version,
            PeerIncompatible::NoCipherSuitesInCommon => Self::CipherSuite,
            PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoEcPointFormatsInCommon
            | PeerIncompatible::UncompressedEcPointsRequired => Self::KeyExchange,
            PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => Self::Signature,
            _ => Self::Extension,
        }
    }
}

impl From<AlertDescription> for TlsError {
    fn from(description: AlertDescription) -> Self {
        let alert = Alert(u8::from(description));
        match description {
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA => Self::Refused(alert),
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
                Self::NothingInCommon(Incompatibility::Reported)
            }
            AlertDescription::ProtocolVersion => Self::NothingInCommon(Incompatibility::Version),
            AlertDescription::NoApplicationProtocol => Self::NothingInCommon(Incompatibility::Alpn),
            _ => Self::Other(TlsFault::Aborted(alert)),
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
