//! The settings of the PROXY protocol.

use clap::{ArgAction, Args};
use readyloop::Address;
use readyloop::net::TrustedProxies;

use crate::cli_error::CliError;
use crate::units::{switch, trusted_proxies};

use super::settings::{Design, Settings};

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
    /// Returns the proxies whose headers are required, or `None` without the protocol.
    pub(super) fn trusted(&self) -> Option<TrustedProxies> {
        if !self.proxy_protocol {
            return None;
        }
        let from = &self.proxy_from;
        Some(if from.is_empty() { TrustedProxies::default() } else { from.iter().cloned().collect() })
    }
}

/// Checks the settings against the others.
pub(super) fn check(settings: &Settings) -> Result<(), CliError> {
    let is_on = settings.proxy.proxy_protocol;
    if !is_on && !settings.proxy.proxy_from.is_empty() {
        return Err(CliError::usage(
            "--proxy-from needs --proxy-protocol",
            "add --proxy-protocol, or remove --proxy-from",
        ));
    }
    if is_on && settings.threads.design != Design::Reactor {
        return Err(CliError::usage(
            "--proxy-protocol needs --design reactor",
            "remove --design, or remove --proxy-protocol",
        ));
    }
    let datagrams = settings.endpoints.listen.iter().find(|address| matches!(address, Address::Udp(_)));
    match datagrams.filter(|_| is_on) {
        Some(address) => Err(CliError::usage(
            format!("--proxy-protocol cannot be used with {address}: datagrams have no PROXY header"),
            "start another process for the udp:// address",
        )),
        None => Ok(()),
    }
}
