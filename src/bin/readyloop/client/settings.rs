//! The settings of `client` as flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use readyloop::codec::Framing;
use readyloop::net::Address;

use crate::cli_error::CliError;
use crate::logging::Verbosity;
use crate::units::{above_zero, address, alpn, count, duration, framing, size};

/// All settings of `client`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Server address: HOST:PORT, tcp://HOST:PORT, [::1]:PORT, tls://HOST:PORT, udp://HOST:PORT or unix:/PATH
    ///
    /// If a name has several addresses, the client tries them 250 ms apart and uses the first
    /// connection. Over UDP, it tries the next address when a datagram is refused.
    #[arg(value_name = "ADDRESS", value_parser = address)]
    address: Address,

    /// Framing: raw, lines, length, length:u16le, fixed:N ... [default: raw in a pipe, lines at a prompt]
    ///
    /// With raw, bytes are sent and printed unchanged. With any other framing, each line of the input
    /// is sent as a frame, and each received frame is printed on a line. Over UDP, a datagram is one line (the
    /// default), the whole input (raw) or N bytes (fixed:N).
    #[arg(long, value_name = "FRAMING", value_parser = framing)]
    pub(super) framing: Option<Framing>,

    /// Time to connect, including retries
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = above_zero(duration))]
    pub(super) connect_timeout: Duration,

    /// Number of retries when connecting fails
    ///
    /// The first retry follows after about 100 ms, and the pause doubles up to 5 s. Only connecting is
    /// retried; data is never sent twice.
    #[arg(long, value_name = "COUNT", default_value = "3", value_parser = count::<u32>)]
    pub(super) retries: u32,

    /// Print replies as a hex dump, 16 bytes per line
    #[arg(long)]
    pub(super) hex: bool,

    #[command(flatten)]
    pub(super) datagrams: Datagrams,

    #[command(flatten)]
    pub(super) tls: Tls,

    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}

/// Settings for datagrams.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "UDP")]
pub(super) struct Datagrams {
    /// Use UDP, like udp:// before host and port
    #[arg(long)]
    udp: bool,

    /// Send this many numbered datagrams instead of the input, and verify the replies
    ///
    /// Each datagram is 8 bytes that identify the run, 8 bytes with its number, and a pattern.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<u64>))]
    pub(super) count: Option<u64>,

    /// Size of each numbered datagram: 16B to 65507B [default: 64B]
    #[arg(long, value_name = "SIZE", value_parser = size::<usize>, requires = "count")]
    pub(super) size: Option<usize>,

    /// Time between datagrams [default: 1s with --count, else paced by replies]
    ///
    /// Paced by replies: up to 16 datagrams are in flight, at least 200 µs apart.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) interval: Option<Duration>,

    /// Time to wait for each reply; 0s expects no replies [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) reply_timeout: Option<Duration>,
}

impl Datagrams {
    /// Returns the first given flag that needs UDP.
    fn given(&self) -> Option<&'static str> {
        let given = [
            ("--count", self.count.is_some()),
            ("--interval", self.interval.is_some()),
            ("--reply-timeout", self.reply_timeout.is_some()),
        ];
        first_set(&given)
    }
}

fn first_set(given: &[(&'static str, bool)]) -> Option<&'static str> {
    given.iter().find(|(_, is_given)| *is_given).map(|(flag, _)| *flag)
}

/// Settings for TLS.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS")]
pub(crate) struct Tls {
    /// Certificate authorities to trust (PEM) [default: those of this machine]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Accept any server certificate, for tests only: an attacker can read and change everything
    #[arg(long, conflicts_with = "ca")]
    pub(crate) insecure: bool,

    /// Client certificate for servers that request one (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// Private key of the client certificate; only its owner may have read permission (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// Protocol to offer (ALPN); repeat in order of preference
    #[arg(long, value_name = "PROTOCOL", value_parser = alpn)]
    pub(crate) alpn: Vec<String>,
}

impl Tls {
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--ca", self.ca.is_some()),
            ("--insecure", self.insecure),
            ("--cert", self.cert.is_some()),
            ("--alpn", !self.alpn.is_empty()),
        ];
        first_set(&given)
    }
}

impl Settings {
    /// Returns the address of the server.
    ///
    /// # Errors
    /// A flag does not fit this kind of address.
    pub(super) fn address(&self) -> Result<Address, CliError> {
        let address = match (&self.address, self.datagrams.udp) {
            (Address::Tcp(host_port), true) => Address::Udp(host_port.clone()),
            (Address::Tls(_) | Address::Unix(_), true) => {
                return Err(CliError::usage(
                    format!("--udp cannot be used with {}, which is not a UDP address", self.address),
                    "remove --udp, or type udp://HOST:PORT",
                ));
            }
            (address, _) => address.clone(),
        };
        match (&address, self.datagrams.given(), self.tls.given()) {
            (Address::Tcp(_) | Address::Tls(_) | Address::Unix(_), Some(flag), _) => Err(CliError::usage(
                format!("{flag} is for datagrams, and {address} is not a udp:// address"),
                format!("remove {flag}, or type udp://HOST:PORT"),
            )),
            (Address::Tcp(_) | Address::Udp(_) | Address::Unix(_), _, Some(flag)) => Err(CliError::usage(
                format!("{flag} is for tls:// addresses, and {address} is not one"),
                format!("remove {flag}, or type tls://HOST:PORT"),
            )),
            (_, _, _) => Ok(address),
        }
    }
}
