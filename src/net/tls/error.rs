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
    /// The peer's certificate belongs to an authority that is not trusted itself.
    #[error("the peer's certificate is that of an authority, and is not itself in the list of trusted certificates")]
    Authority,
    /// The peer's certificate is unusable for another reason.
    #[error("the peer's certificate {0}")]
    BadCertificate(&'static str),
    /// A certificate is required of the peer, and it sent none.
    #[error("the peer sent no certificate")]
    NoCertificate,
    /// The peer refused our certificate.
    #[error("the peer refuses our certificate, or requires one and we have none: {0}")]
    Refused(Alert),
    /// The two sides have no protocol of ALPN in common.
    #[error("no common TLS parameters: no ALPN protocol")]
    NoAlpn,
    /// The two sides have no version in common.
    #[error("no common TLS parameters: the peer has neither TLS 1.2 nor TLS 1.3, or not the version that is required")]
    NoVersion,
    /// The two sides have another parameter not in common, such as the cipher suite.
    #[error("no common TLS parameters: {0}")]
    NothingInCommon(&'static str),
    /// The peer sent this alert.
    #[error("the peer aborted TLS: {0}")]
    Aborted(Alert),
    /// Any other failure.
    #[error("{0}")]
    Other(&'static str),
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
            rustls::Error::NoApplicationProtocol => Self::NoAlpn,
            rustls::Error::PeerIncompatible(why) => Self::from(why),
            rustls::Error::DecryptError => Self::Other("a record of the peer cannot be decrypted"),
            rustls::Error::FailedToGetCurrentTime | rustls::Error::FailedToGetRandomBytes => {
                Self::Other("the system clock or the random generator of the system failed")
            }
            rustls::Error::InappropriateMessage { .. }
            | rustls::Error::InappropriateHandshakeMessage { .. }
            | rustls::Error::InvalidMessage(_)
            | rustls::Error::PeerMisbehaved(_)
            | rustls::Error::PeerSentOversizedRecord => Self::Other("the peer broke the rules of TLS"),
            _ => Self::Other("TLS failed here"),
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
            CertificateError::BadEncoding => "is damaged",
            CertificateError::Revoked => "is revoked",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "is not made for this side of a connection (extended key usage)"
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                "is signed with an algorithm that is not supported"
            }
            CertificateError::Other(other) => match other.0.downcast_ref() {
                Some(webpki::Error::CaUsedAsEndEntity) => return Self::Authority,
                Some(webpki::Error::UnsupportedCertVersion) => "has another version than X.509 version 3",
                _ => "has a property that is not supported",
            },
            _ => "has a property that is not supported",
        };
        Self::BadCertificate(fault)
    }
}

impl From<&PeerIncompatible> for TlsError {
    fn from(why: &PeerIncompatible) -> Self {
        let missing = match why {
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled => return Self::NoVersion,
            PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite",
            PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoEcPointFormatsInCommon
            | PeerIncompatible::UncompressedEcPointsRequired => "no key exchange group",
            PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => "no signature scheme",
            _ => "the peer lacks a required extension",
        };
        Self::NothingInCommon(missing)
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
                Self::NothingInCommon("the peer reports a failed handshake")
            }
            AlertDescription::ProtocolVersion => Self::NoVersion,
            AlertDescription::NoApplicationProtocol => Self::NoAlpn,
            _ => Self::Aborted(alert),
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
