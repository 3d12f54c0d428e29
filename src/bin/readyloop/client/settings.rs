//! Settings: all that can be asked of `client`, as flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use readyloop::codec::{Framing, Lines, Raw};
use readyloop::net::Address;

use crate::cli_error::CliError;
use crate::logging::Verbosity;
use crate::units::{above_zero, count, duration, size};

/// All that can be asked of `client`.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// Whom to talk to: HOST:PORT, tcp://HOST:PORT, [::1]:PORT, tls://HOST:PORT, udp://HOST:PORT or unix:/PATH
    ///
    /// A name may stand for several addresses: both families are tried, 250 ms apart, and whoever
    /// answers first is taken. Where datagrams are refused, the first one goes to the next address.
    #[arg(value_name = "ADDRESS")]
    address: Address,

    /// Where a frame ends: raw, lines, length, length:u16le, fixed:N ... [default: raw in a pipe, lines at a prompt]
    ///
    /// raw: bytes go out and come in as they are. Any other: each line of the input is sent as a
    /// frame, and each frame of the peer is printed on a line. Over UDP: lines by default, each a
    /// datagram; raw: all of the input is one; fixed:N: so many bytes are one.
    #[arg(long, value_name = "FRAMING")]
    framing: Option<Framing>,

    /// Give up when there is no connection within this time, retries and all
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = above_zero(duration))]
    pub(super) connect_timeout: Duration,

    /// Try again this often when nobody answers
    ///
    /// After about 100 ms, then twice that, and so on up to 5 s. Only connecting is tried again:
    /// nothing is ever sent twice.
    #[arg(long, value_name = "COUNT", default_value = "3", value_parser = count::<u32>)]
    pub(super) retries: u32,

    /// Print what comes as a dump, 16 bytes a line
    #[arg(long)]
    pub(super) hex: bool,

    #[command(flatten)]
    pub(super) datagrams: Datagrams,

    #[command(flatten)]
    pub(super) tls: Tls,

    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}

/// How datagrams are sent, and how long replies are awaited.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "UDP")]
pub(super) struct Datagrams {
    /// Talk in datagrams: the same as udp:// before host and port
    #[arg(long)]
    udp: bool,

    /// Send so many numbered datagrams instead of the input, and check what comes back
    ///
    /// Each has 8 bytes that are the same throughout this run, 8 with its number, and a pattern.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<u64>))]
    pub(super) count: Option<u64>,

    /// How long each of them is: 16B to 65507B [default: 64B]
    #[arg(long, value_name = "SIZE", value_parser = size::<usize>, requires = "count")]
    pub(super) size: Option<usize>,

    /// The time from one datagram to the next [default: 1s with --count, else as replies come]
    ///
    /// As replies come: up to 16 are awaited at once, and no two leave within 200 µs.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) interval: Option<Duration>,

    /// How long to wait for each reply; 0s: for none [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) reply_timeout: Option<Duration>,
}

impl Datagrams {
    /// The first flag that was given of those that only datagrams have.
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

/// Whom to trust at a tls:// address, and what to show there.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS")]
pub(crate) struct Tls {
    /// Trust servers whose certificate one of these has signed (PEM) [default: those this machine trusts]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Trust whoever answers: for trials, since anybody in between can read and change everything
    #[arg(long, conflicts_with = "ca")]
    pub(crate) insecure: bool,

    /// Certificate to show to servers that ask for one (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of that certificate, which only its owner may be able to read (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// A protocol to offer (ALPN); may be repeated, the best first
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) alpn: Vec<String>,
}

impl Tls {
    /// The first flag that was given.
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
    /// Whom to talk to.
    ///
    /// # Errors
    /// There are flags that an address of this kind has no use for.
    pub(super) fn address(&self) -> Result<Address, CliError> {
        let address = match (&self.address, self.datagrams.udp) {
            (Address::Tcp(host_port), true) => Address::Udp(host_port.clone()),
            (Address::Tls(_) | Address::Unix(_), true) => {
                return Err(CliError::usage(
                    format!("--udp is for datagrams, and {} is for connections", self.address),
                    "leave --udp out, or type udp://host:port",
                ));
            }
            (address, _) => address.clone(),
        };
        match (&address, self.datagrams.given(), self.tls.given()) {
            (Address::Tcp(_) | Address::Tls(_) | Address::Unix(_), Some(flag), _) => Err(CliError::usage(
                format!("{flag} is for datagrams, and {address} is for connections"),
                format!("leave {flag} out, or type udp://host:port"),
            )),
            (Address::Tcp(_) | Address::Udp(_) | Address::Unix(_), _, Some(flag)) => Err(CliError::usage(
                format!("{flag} is for tls:// addresses, and {address} is none"),
                format!("leave {flag} out, or type tls:// before host and port"),
            )),
            (_, _, _) => Ok(address),
        }
    }

    /// How the input is cut into datagrams; who says nothing means lines.
    pub(super) fn datagram_framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::Lines(Lines::new()))
    }

    /// The framing that was asked for; in a pipe bytes are bytes.
    pub(super) fn pipe_framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::Raw(Raw))
    }

    /// The framing that was asked for; who types, types lines.
    pub(super) fn prompt_framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::Lines(Lines::new()))
    }
}
