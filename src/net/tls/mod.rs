//! TLS as a [`Layer`](super::Layer): over a socket, or over a simulated stream.
//!
//! rustls implements the protocol and ring the cryptography. This module adapts them to readiness.
//! Timeouts belong to the connection, as for every stream.

mod client;
mod error;
mod layer;
mod pem;
mod sections;
mod server;
mod stream;
#[cfg(test)]
mod tests;
mod trust;

pub use client::{TlsClient, TlsClientOptions, TlsTarget, TlsVersion};
pub use error::{Alert, TlsError};
pub use layer::{MaybeTls, TlsLayer};
pub use pem::{Pem, TlsSetupError};
pub use sections::{PemItem, PemProblem};
pub use server::{TlsServer, TlsServerOptions};
pub use stream::TlsStream;
pub use trust::Trust;
