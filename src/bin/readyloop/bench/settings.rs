//! Settings: all that can be asked of `bench`, as flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use readyloop::codec::{Framing, Raw};
use readyloop::load::Plan;
use readyloop::load::plan::{ConnectionReuse, Pace, PlanError, RunLength, Verify};
use readyloop::net::Address;

use crate::cli_error::CliError;
use crate::client::TlsFlags;
use crate::logging::Verbosity;
use crate::units::{above_zero, count, duration, rate, size};

use super::sources::{Sources, sources};
use super::threshold::Threshold;

/// All that can be asked of `bench`.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// The server: HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT, udp://HOST:PORT or unix:/PATH
    #[arg(value_name = "ADDRESS")]
    address: Address,

    /// Connections that carry requests
    #[arg(short, long, value_name = "COUNT", default_value = "50", value_parser = above_zero(count::<usize>))]
    connections: usize,

    /// For how long to measure
    #[arg(short, long, value_name = "DURATION", default_value = "10s", value_parser = above_zero(duration))]
    #[arg(conflicts_with = "requests")]
    duration: Duration,

    /// How many requests to measure, in place of a time
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = above_zero(count::<u64>))]
    requests: Option<u64>,

    /// For how long to ask before anything counts [default: 1s, with -n 0s]
    #[arg(short, long, value_name = "DURATION", value_parser = duration)]
    warm_up: Option<Duration>,

    /// The length of a request, without what the framing puts around it
    #[arg(short, long, value_name = "SIZE", default_value = "64B", value_parser = above_zero(size::<usize>))]
    size: usize,

    /// How many requests each connection may have under way at once
    #[arg(short, long, value_name = "COUNT", default_value = "1", value_parser = above_zero(count::<usize>))]
    pipeline: usize,

    /// Requests a second, of all connections together, whatever the server does (open loop)
    #[arg(short, long, value_name = "RATE", value_parser = rate)]
    rate: Option<f64>,

    /// How requests are framed: raw, lines, length, length:u16le, fixed:N ...
    #[arg(long, value_name = "FRAMING", default_value = "raw")]
    framing: Framing,

    /// Give up on an answer, or a connection, after this time [default: 5s, over UDP 1s]
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    timeout: Option<Duration>,

    /// Do not compare what comes back, only count it
    #[arg(long)]
    no_verify: bool,

    #[command(flatten)]
    connecting: Connecting,

    #[command(flatten)]
    pub(super) tls: TlsFlags,

    #[command(flatten)]
    pub(super) output: Output,

    /// The number of the server's process: what the run costs it is told as well
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,

    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}

/// Which connections there are.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connections")]
struct Connecting {
    /// Connections beside those that carry requests, which carry nothing
    #[arg(long, value_name = "COUNT", default_value = "0", value_parser = count::<usize>)]
    idle: usize,

    /// The most connections to begin in a second [default: as many as the kernel takes]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    connect_rate: Option<f64>,

    /// A connection for each request: connect, one echo, close
    #[arg(long)]
    churn: bool,

    /// Addresses to connect from, in turn: 127.0.0.2-127.0.0.9, or several with commas between
    ///
    /// Each has some 28,000 ports to one destination.
    #[arg(long, value_name = "ADDRESSES", value_parser = sources)]
    source: Option<Sources>,

    /// Take ADDRESS as one for TLS
    #[arg(long = "tls", conflicts_with = "udp")]
    is_tls: bool,

    /// Take ADDRESS as one for datagrams
    #[arg(long = "udp", id = "udp")]
    is_udp: bool,
}

/// What is printed, and where.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Print the run as JSON, with its histograms, in place of a text
    #[arg(long)]
    pub(super) json: bool,

    /// Write the percentiles of the latency to this file, as HdrHistogram prints them
    #[arg(long, value_name = "FILE")]
    pub(super) hgrm: Option<PathBuf>,

    /// Write one page that loads nothing else: latency by percentile, answers and latency over time
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Exit with status 3 when this is so: p99>5ms, max>=1s, rate<10k, lost>1%; may be repeated
    #[arg(long, value_name = "CONDITION")]
    pub(super) fail_if: Vec<Threshold>,

    /// What the run is called in reports [default: its address]
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
}

impl Settings {
    /// The plan that the flags describe.
    pub(super) fn plan(&self) -> Result<Plan, CliError> {
        let run_length = self.requests.map_or(RunLength::Time(self.duration), RunLength::Requests);
        // Where every request counts, none is made before.
        let warm_up = if self.requests.is_some() { Duration::ZERO } else { Duration::from_secs(1) };
        let address = self.address()?;
        // A datagram that is lost holds up those behind it for so long.
        let timeout = Duration::from_secs(if matches!(address, Address::Udp(_)) { 1 } else { 5 });
        let plan = Plan {
            address,
            framing: self.framing,
            connections: self.connections,
            idle: self.connecting.idle,
            message_len: self.message_len(),
            pipeline: self.pipeline,
            pace: self.rate.map_or(Pace::Closed, Pace::Open),
            reuse: if self.connecting.churn { ConnectionReuse::PerRequest } else { ConnectionReuse::Persistent },
            connect_rate: self.connecting.connect_rate,
            sources: self.connecting.source.clone().map(|sources| sources.0).unwrap_or_default(),
            run_length,
            warm_up: self.warm_up.unwrap_or(warm_up),
            timeout: self.timeout.unwrap_or(timeout),
            verify: if self.no_verify { Verify::Length } else { Verify::EveryByte },
        };
        self.check_tls_flags(&plan)?;
        plan.check().map_err(|error| CliError::usage(error.to_string(), hint(&error)))?;
        Ok(plan)
    }

    /// What the run is called.
    pub(super) fn name(&self) -> String {
        self.output.name.clone().unwrap_or_else(|| self.address().unwrap_or_else(|_| self.address.clone()).to_string())
    }

    fn check_tls_flags(&self, plan: &Plan) -> Result<(), CliError> {
        match (&plan.address, self.tls.given()) {
            (Address::Tcp(_) | Address::Udp(_) | Address::Unix(_), Some(flag)) => Err(CliError::usage(
                format!("{flag} is for tls:// addresses, and {} is none", plan.address),
                format!("leave {flag} out, or type --tls"),
            )),
            (_, _) => Ok(()),
        }
    }

    /// A frame of a fixed length says how long a message is.
    fn message_len(&self) -> usize {
        match self.framing {
            Framing::Fixed(fixed) => fixed.len(),
            Framing::Raw(Raw) | Framing::Lines(_) | Framing::Length(_) => self.size,
        }
    }

    fn address(&self) -> Result<Address, CliError> {
        let (flag, scheme): (_, fn(String) -> Address) = match (self.connecting.is_tls, self.connecting.is_udp) {
            (false, false) => return Ok(self.address.clone()),
            (true, _) => ("--tls", Address::Tls),
            (false, true) => ("--udp", Address::Udp),
        };
        match &self.address {
            Address::Tcp(host_port) => Ok(scheme(host_port.clone())),
            Address::Tls(_) if self.connecting.is_tls => Ok(self.address.clone()),
            Address::Udp(_) if self.connecting.is_udp => Ok(self.address.clone()),
            Address::Tls(_) | Address::Udp(_) | Address::Unix(_) => Err(CliError::usage(
                format!("{flag} does not go with {}", self.address),
                format!("leave {flag} out, or type HOST:PORT alone"),
            )),
        }
    }
}

fn hint(error: &PlanError) -> &'static str {
    match error {
        PlanError::NoConnections(_) => "type -c 1 or more",
        PlanError::MessageLen { .. } => "type another --size",
        PlanError::FrameLen { .. } => "leave --size out: the frame tells it",
        PlanError::Unframable { .. } => "type a smaller --size, or a wider length such as length:u32",
        PlanError::PipelineNeedsReuse => "leave --pipeline out; -c says how many connections there are at once",
        PlanError::Rate => "type a rate such as 1000 or 10k",
        PlanError::NeedsConnections(_) => "leave it out, or leave out udp:// and --udp",
        PlanError::UnixSource => "leave --source out",
    }
}
