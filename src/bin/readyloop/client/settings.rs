//! Settings: all that can be asked of `client`, as flags.

use std::time::Duration;

use clap::Args;
use readyloop::codec::{Framing, Lines, Raw};
use readyloop::net::Address;

use crate::logging::Verbosity;
use crate::units::{above_zero, count, duration};

/// All that can be asked of `client`.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// Whom to connect to: HOST:PORT, tcp://HOST:PORT, [::1]:PORT or unix:/PATH
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
    pub(super) verbosity: Verbosity,
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
