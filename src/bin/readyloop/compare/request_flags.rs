//! `RequestFlags`: the flags of `compare` about the requests of every trial.

use clap::Args;
use readyloop::Framing;

use crate::units::{above_zero, count, framing, rate};

/// How requests are sent and on how many cores, in every trial.
#[derive(Args, Clone, Copy, Debug, PartialEq)]
pub(super) struct RequestFlags {
    /// Framing of requests and answers, also that of the designs of `serve`
    #[arg(long, value_name = "FRAMING", default_value = "raw", value_parser = framing)]
    pub(super) framing: Framing,

    /// Maximum number of requests in flight on one connection
    #[arg(short, long, value_name = "COUNT", default_value = "1", value_parser = above_zero(count::<usize>))]
    pub(super) pipeline: usize,

    /// Planned requests per second over all connections (open loop)
    #[arg(short, long, value_name = "RATE", value_parser = rate)]
    pub(super) rate: Option<f64>,

    /// Use TLS: a certificate is made for the servers. Of the designs, only the reactor has TLS
    #[arg(long = "tls")]
    pub(super) is_tls: bool,

    /// Number of threads of the generator, with a core for each
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = above_zero(count::<usize>))]
    pub(super) threads: usize,

    /// Number of cores of each server
    ///
    /// The generator has other cores if the machine has enough.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = above_zero(count::<usize>))]
    pub(super) server_cores: usize,
}
