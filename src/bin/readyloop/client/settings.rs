//! Settings: all that can be asked of `client`, as flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use readyloop::codec::{Framing, Lines, Raw};
use readyloop::net::Address;

use crate::logging::Verbosity;
use crate::units::{above_zero, count, duration};

/// All that can be asked of `client`.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// Whom to connect to: HOST:PORT, tcp://HOST:PORT, [::1]:PORT, tls://HOST:PORT or unix:/PATH
    ///
    /// A name may stand for several addresses: both families are tried, 250 ms apart, and whoever
    /// answers first is taken.
    #[arg(value_name = "ADDRESS")]
    pub(super) address: Address,

    /// Where a frame ends: raw, lines, length, length:u16le, fixed:N ... [default: raw in a pipe, lines at a prompt]
    ///
    /// raw: bytes go out and come in as they are. Any other: each line of the input is sent as a
    /// frame, and each frame of the peer is printed on a line.
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
    pub(super) tls: Tls,

    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}

/// Whom to trust at a tls:// address, and what to show there.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS")]
pub(super) struct Tls {
    /// Trust servers whose certificate one of these has signed (PEM) [default: those this machine trusts]
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,

    /// Trust whoever answers: for trials, since anybody in between can read and change everything
    #[arg(long, conflicts_with = "ca")]
    pub(super) insecure: bool,

    /// Certificate to show to servers that ask for one (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) cert: Option<PathBuf>,

    /// The private key of that certificate, which only its owner may be able to read (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) key: Option<PathBuf>,

    /// A protocol to offer (ALPN); may be repeated, the best first
    #[arg(long, value_name = "PROTOCOL")]
    pub(super) alpn: Vec<String>,
}

impl Tls {
    /// The first flag that was given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--ca", self.ca.is_some()),
            ("--insecure", self.insecure),
            ("--cert", self.cert.is_some()),
            ("--alpn", !self.alpn.is_empty()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag)
    }
}

impl Settings {
    /// The framing that was asked for; in a pipe bytes are bytes.
    pub(super) fn framing_in_a_pipe(&self) -> Framing {
        self.framing.unwrap_or(Framing::Raw(Raw))
    }

    /// The framing that was asked for; who types, types lines.
    pub(super) fn framing_at_a_prompt(&self) -> Framing {
        self.framing.unwrap_or(Framing::Lines(Lines::new()))
    }
}
