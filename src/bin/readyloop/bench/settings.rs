//! The flags of `bench`, and the plan that they describe.

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
use crate::units::{above_zero, address, count, duration, framing, rate};

use super::shape_values::{Ends, connections, sizes};
use super::shapes::Shapes;
use super::sources::{Sources, sources};
use super::threshold::{Goal, Threshold};

/// The flags of `bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Server address: HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT, udp://HOST:PORT or unix:/PATH
    #[arg(value_name = "ADDRESS", value_parser = address)]
    address: Address,

    /// Number of connections that carry requests; a range such as 10..10k with --ramp
    #[arg(short, long, value_name = "COUNT", default_value = "50", value_parser = connections)]
    connections: Ends<usize>,

    /// Length of the measured time [default: 10s, or that of --ramp; 3s for each run of --find-rate]
    #[arg(short, long, value_name = "DURATION", value_parser = above_zero(duration), conflicts_with = "requests")]
    duration: Option<Duration>,

    /// Number of measured requests, instead of a duration
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = above_zero(count::<u64>))]
    requests: Option<u64>,

    /// Time before the measured time, in which requests are not measured [default: 1s; 0s with -n]
    #[arg(short, long, value_name = "DURATION", value_parser = duration)]
    warm_up: Option<Duration>,

    /// Length of a request, without the bytes that the framing adds; or a range such as 64B..16KiB
    ///
    /// In a range, each length is equally probable.
    #[arg(short, long, value_name = "SIZE", default_value = "64B", value_parser = sizes)]
    size: Ends<usize>,

    /// Maximum number of requests in flight on one connection
    #[arg(short, long, value_name = "COUNT", default_value = "1", value_parser = above_zero(count::<usize>))]
    pipeline: usize,

    /// Planned requests per second over all connections (open loop)
    #[arg(short, long, value_name = "RATE", value_parser = rate)]
    rate: Option<f64>,

    /// Search for the highest rate that keeps CONDITION, such as p99<5ms, p99.9<=20ms or lost<1%
    ///
    /// Each run is an open loop. Rates near the limit are tried three times, and most of the runs decide.
    #[arg(long, value_name = "CONDITION", conflicts_with_all = ["rate", "requests", "hgrm", "think", "ramp"])]
    pub(super) find_rate: Option<Goal>,

    /// Number of threads that drive the connections
    ///
    /// Each thread has an event loop and uses one core at most. All threads begin to send at the same time.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = above_zero(count::<usize>))]
    threads: usize,

    /// Framing of requests and answers: raw, lines, length, length:u16le, fixed:N ...
    #[arg(long, value_name = "FRAMING", default_value = "raw", value_parser = framing)]
    framing: Framing,

    /// Timeout of an answer and of a connect [default: 5s; 1s over UDP]
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    timeout: Option<Duration>,

    /// Count the returned bytes, but do not compare them
    #[arg(long)]
    no_verify: bool,

    /// Process id of the server: adds its CPU time, memory and context switches to the report
    ///
    /// Processes that it has started before the run are included.
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,

    #[command(flatten)]
    pub(super) verbosity: Verbosity,

    #[command(flatten)]
    shapes: Shapes,

    #[command(flatten)]
    connecting: Connecting,

    #[command(flatten)]
    pub(super) tls: TlsFlags,

    #[command(flatten)]
    pub(super) output: Output,
}

/// Flags about connections.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connections")]
struct Connecting {
    /// Number of additional idle connections
    #[arg(long, value_name = "COUNT", default_value = "0", value_parser = count::<usize>)]
    idle: usize,

    /// Maximum number of connects per second [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    connect_rate: Option<f64>,

    /// Use a new connection for each request: connect, one answer, close; latency includes the connect
    #[arg(long)]
    churn: bool,

    /// Source addresses, used in rotation: 127.0.0.2-127.0.0.9, or several separated by commas
    ///
    /// Linux has 28,232 local ports by default, for each pair of source address and destination.
    #[arg(long, value_name = "ADDRESSES", value_parser = sources)]
    source: Option<Sources>,

    /// Use TLS for ADDRESS
    #[arg(long = "tls", conflicts_with = "udp")]
    is_tls: bool,

    /// Use UDP for ADDRESS
    #[arg(long = "udp", id = "udp")]
    is_udp: bool,
}

/// Flags about the output.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Print the run as JSON, with its histograms, instead of text
    #[arg(long)]
    pub(super) json: bool,

    /// Write the latency percentiles to FILE in the text format of HdrHistogram
    #[arg(long, value_name = "FILE")]
    pub(super) hgrm: Option<PathBuf>,

    /// Write a self-contained page to FILE: latency by percentile, rate and latency over time
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Exit with status 3 if CONDITION is true: p99>5ms, max>=1s, rate<10k, lost>1%; may be repeated
    #[arg(long, value_name = "CONDITION")]
    pub(super) fail_if: Vec<Threshold>,

    /// Name of the run in reports [default: ADDRESS]
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
}

impl Settings {
    /// The plan that the flags describe.
    pub(super) fn plan(&self) -> Result<Plan, CliError> {
        let default = Duration::from_secs(if self.find_rate.is_some() { 3 } else { 10 });
        let duration = self.duration.or(self.shapes.ramp).unwrap_or(default);
        let run_length = self.requests.map_or(RunLength::Time(duration), RunLength::Requests);
        // With a number of requests, every request is measured.
        let warm_up = if self.requests.is_some() { Duration::ZERO } else { Duration::from_secs(1) };
        let address = self.address()?;
        // A lost datagram occupies its place in the pipeline until the timeout.
        let timeout = Duration::from_secs(if matches!(address, Address::Udp(_)) { 1 } else { 5 });
        let (message_len_min, message_len) = self.message_lens();
        let reuse = if self.connecting.churn { ConnectionReuse::PerRequest } else { ConnectionReuse::Persistent };
        let plan = Plan {
            framing: self.framing,
            idle: self.connecting.idle,
            threads: self.threads,
            message_len,
            message_len_min,
            pipeline: self.pipeline,
            pace: self.rate.map_or(Pace::Closed, Pace::Open),
            reuse: self.shapes.lifetime().unwrap_or(reuse),
            connect_rate: self.connecting.connect_rate,
            sources: self.connecting.source.clone().map(|sources| sources.0).unwrap_or_default(),
            run_length,
            warm_up: self.warm_up.unwrap_or(warm_up),
            timeout: self.timeout.unwrap_or(timeout),
            verify: if self.no_verify { Verify::Length } else { Verify::EveryByte },
            ..Plan::new(address)
        };
        let plan = self.shapes.shape(plan, self.connections)?;
        if let (Some(flag), false) = (self.tls.given(), matches!(plan.address, Address::Tls(_))) {
            return Err(CliError::usage(
                format!("{flag} needs a tls:// address, and {} is not one", plan.address),
                format!("remove {flag}, or add --tls"),
            ));
        }
        plan.check().map_err(|error| CliError::usage(error.to_string(), plan_hint(&error)))?;
        Ok(plan)
    }

    /// Name of the run in reports.
    pub(super) fn name(&self) -> String {
        self.output.name.clone().unwrap_or_else(|| self.address().unwrap_or_else(|_| self.address.clone()).to_string())
    }

    /// Minimum length of a message, if lengths vary, and maximum length. A fixed framing determines a single length.
    fn message_lens(&self) -> (Option<usize>, usize) {
        let Ends { from, to } = self.size;
        match self.framing {
            _ if from < to => (Some(from), to),
            Framing::Fixed(fixed) => (None, fixed.len()),
            Framing::Raw(Raw) | Framing::Lines(_) | Framing::Length(_) => (None, to),
        }
    }

    fn address(&self) -> Result<Address, CliError> {
        let Connecting { is_tls, is_udp, .. } = self.connecting;
        match (&self.address, is_tls, is_udp) {
            (Address::Tcp(host_port), true, _) => Ok(Address::Tls(host_port.clone())),
            (Address::Tcp(host_port), _, true) => Ok(Address::Udp(host_port.clone())),
            (address, false, false) | (address @ Address::Tls(_), true, _) | (address @ Address::Udp(_), _, true) => {
                Ok(address.clone())
            }
            (Address::Tls(_) | Address::Udp(_) | Address::Unix(_), ..) => {
                let flag = if is_tls { "--tls" } else { "--udp" };
                Err(CliError::usage(
                    format!("{flag} cannot be used with {}", self.address),
                    format!("remove {flag}, or use an address of the form HOST:PORT"),
                ))
            }
        }
    }
}

pub(crate) fn plan_hint(error: &PlanError) -> &'static str {
    match error {
        PlanError::Connections => "change -c or --idle",
        PlanError::Threads | PlanError::ThreadWithoutConnection { .. } => "use a smaller --threads, or a larger -c",
        PlanError::NoPipeline => "use -p 1 or more",
        PlanError::InFlight { .. } => "use a smaller --pipeline, -c or --size",
        PlanError::Durations(_) => "type a duration such as 10ms, 5ms..20ms or exp:10ms",
        PlanError::NoRequestInLifetime => "type a number of requests such as 100, or a duration such as 5s",
        PlanError::RampEnds => "type a range such as -c 10..1000",
        PlanError::RampTime => "use a --duration that is at least as long as --ramp, without --requests",
        PlanError::NeedsClosedLoop(_) => "remove --rate",
        PlanError::ThinkNeedsOneRequest => "remove --pipeline; -c is the number of connections that send",
        PlanError::ThinkNeedsReuse => "use --lifetime 1 instead of --churn",
        PlanError::AnswerLen => "change --expect",
        PlanError::NeedsRawFraming(_) => "remove --framing: the bytes of the file are sent as they are",
        PlanError::Time(_) => "type a duration such as 10s or 1h; Ctrl-C ends a run early",
        PlanError::MessageLen { .. } => "change --size",
        PlanError::FrameLen { .. } => "remove --size: the framing determines a single length",
        PlanError::Unframable { .. } => "use a smaller --size, or a wider length field such as length:u32",
        PlanError::PipelineNeedsReuse => "remove --pipeline; -c is the number of simultaneous connections",
        PlanError::Rate => "use a rate such as 1000 or 10k",
        PlanError::NeedsConnections(_) => "remove the option, or use TCP",
        PlanError::UnixSource => "remove --source",
    }
}
