//! The PROXY protocol, versions 1 and 2: a proxy announces the address of its client in a header before
//! the first byte of the connection.
//!
//! The specification is `doc/proxy-protocol.txt` of HAProxy. This module only receives headers. They are
//! required at an endpoint with [`TrustedProxies`], and come before a TLS handshake.

mod header;
mod layer;
mod trusted;

pub use header::ProxyHeaderError;
pub(crate) use layer::ProxyLayer;
pub use trusted::{NetworkError, TrustedProxies};
