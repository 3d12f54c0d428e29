//! Admission: the settings of listening endpoints, the caps on connections, and the totals.
//!
//! It accepts no connection itself. Every server design asks here before it admits one, so that all
//! of them follow the same rules and report the same counters.

mod accept;
mod caps;
mod handshake_counters;
mod limits;
mod log_throttle;
mod totals;

use crate::connection::Limits;
#[cfg(feature = "proxy-protocol")]
use crate::net::TrustedProxies;
#[cfg(feature = "tls")]
use crate::net::tls::{TlsServer, TlsTarget};
use crate::net::{Address, AddressError, ListenOptions};

pub(crate) use accept::{AcceptError, AcceptRetry};
pub use caps::ADMINISTRATION_MAX;
pub(crate) use caps::{Admission, AdmissionRefusal};
pub use handshake_counters::HandshakeCounters;
pub use limits::{ServerLimits, WhenFull};
pub(crate) use log_throttle::{LogThrottle, repeated_suffix};
pub(crate) use totals::Count;
pub use totals::Totals;

/// Where an endpoint listens, and the settings of its sockets and peers.
///
/// An [`Address`] converts into a `Listen` with default settings.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The address to bind.
    pub address: Address,
    /// Options of the listening socket and of the sockets it accepts.
    pub socket: ListenOptions,
    /// Limits of each peer.
    pub limits: Limits,
    /// What its connections are for.
    pub purpose: EndpointPurpose,
    /// Requires a PROXY header, version 1 or 2, before the first byte and before TLS. Connections from
    /// other sources than these proxies are closed. `None`: no header is expected. Only an event loop reads it.
    ///
    /// Until the header is complete, [`Limits::handshake_timeout`] and [`ServerLimits::handshakes_max`] apply.
    /// The address in it is that of the peer from then on: for the limit per address, the service and the log.
    #[cfg(feature = "proxy-protocol")]
    pub proxy: Option<TrustedProxies>,
    /// Certificate and key. Required at a `tls://` address, ignored at any other.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsServer>,
    /// TLS of the connections that the service orders; `None` for plain ones.
    #[cfg(feature = "tls")]
    pub connect_tls: Option<TlsTarget>,
}

/// What the connections of an endpoint are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointPurpose {
    /// The work of the server.
    #[default]
    Service,
    /// Its administration: at most [`ADMINISTRATION_MAX`] connections over all such endpoints.
    ///
    /// They are accepted even while the server is full, and the totals do not count them. The endpoint goes
    /// on during a shutdown, and its peers are closed when the last peer of the other endpoints is gone.
    Administration,
}

impl From<Address> for Listen {
    fn from(address: Address) -> Self {
        Self {
            address,
            socket: ListenOptions::default(),
            limits: Limits::default(),
            purpose: EndpointPurpose::Service,
            #[cfg(feature = "proxy-protocol")]
            proxy: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            connect_tls: None,
        }
    }
}

impl TryFrom<&str> for Listen {
    type Error = AddressError;

    fn try_from(address: &str) -> Result<Self, AddressError> {
        Ok(Self::from(address.parse::<Address>()?))
    }
}
