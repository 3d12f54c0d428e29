//! The door of a server: where it is, who may come in, what happens when accepting fails, and the
//! count of all who came.
//!
//! It accepts nobody by itself: whatever drives the peers asks here first, so that every design of
//! a server keeps the same rules and the same books.

mod accept;
mod admission;
mod limits;
mod log_throttle;
mod totals;

use crate::connection::Limits;
#[cfg(feature = "tls")]
use crate::net::tls::TlsServer;
use crate::net::{Address, ListenOptions};

pub(crate) use accept::{AcceptError, AcceptRetry};
pub(crate) use admission::{Admission, Rejection};
pub use limits::{ServerLimits, WhenFull};
pub(crate) use log_throttle::{LogThrottle, repeated_suffix};
pub use totals::Totals;

/// Where an endpoint listens, how its sockets are set, and what each of its peers may use.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// How its sockets are set.
    pub socket: ListenOptions,
    /// What each peer may use.
    pub limits: Limits,
    /// What is shown at a `tls://` address, which cannot do without; other addresses ignore it.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsServer>,
}

impl From<Address> for Listen {
    fn from(address: Address) -> Self {
        Self {
            address,
            socket: ListenOptions::default(),
            limits: Limits::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}
