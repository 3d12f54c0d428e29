//! TLS, as a stream over a stream: the same over a socket and over a simulated one.
//!
//! The protocol is rustls's and its cryptography ring's, here is only how it meets readiness. Who
//! may wait how long is decided by the connection machine, as for every stream.

mod client;
mod error;
mod pem;
mod server;
mod stream;
#[cfg(test)]
mod tests;

pub use client::{TlsClient, TlsClientOptions, TlsTarget, TlsVersion, Trust};
pub use error::TlsError;
pub use pem::{Pem, TlsSetupError};
pub use server::{TlsServer, TlsServerOptions};
pub use stream::TlsStream;
