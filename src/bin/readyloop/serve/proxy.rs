//! The settings of the PROXY protocol.

use clap::{ArgAction, Args};
use readyloop::net::TrustedProxies;

use crate::units::{switch, trusted_proxies};

/// The PROXY protocol.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "PROXY protocol")]
pub(super) struct ProxyProtocol {
    /// Require a PROXY header, version 1 or 2, at the begin of each connection and before TLS
    ///
    /// It announces the address of the client behind a proxy. Limits, logs and /connections use that address.
    /// A connection without a valid header within --handshake-timeout is closed.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, value_parser = switch, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(super) proxy_protocol: bool,

    /// Networks of the proxies [default: loopback, 127.0.0.0/8 and ::1]; repeat for more
    ///
    /// Connections from other addresses are closed. A proxy can announce any address, so name only proxies.
    /// Every process that can open a unix:/PATH address is trusted.
    #[arg(long, value_name = "CIDR", value_parser = trusted_proxies, value_delimiter = ',')]
    pub(super) proxy_from: Vec<TrustedProxies>,
}

impl ProxyProtocol {
    /// Returns the proxies that must send headers, or `None` without the protocol.
    pub(super) fn trusted(&self) -> Option<TrustedProxies> {
        if !self.proxy_protocol {
            return None;
        }
        let from = &self.proxy_from;
        Some(if from.is_empty() { TrustedProxies::default() } else { from.iter().cloned().collect() })
    }
}
