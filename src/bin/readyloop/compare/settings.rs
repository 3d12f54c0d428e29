//! The flags of `compare`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use readyloop::load::Plan;
use readyloop::load::plan::{MESSAGE_LEN_MAX, Pace};
use readyloop::{Address, Framing};

use super::contender::Contender;
use super::loads::ConnectionCounts;
use super::request_flags::RequestFlags;
use crate::bench::plan_hint;
use crate::cli_error::CliError;
use crate::output_file;
use crate::report::comparison::Load;
use crate::units::{ParseError, above_zero, count, duration, size, within};

/// The flags of `compare`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Numbers of connections, separated by commas; 100+900 adds 900 idle ones [default: 10,100,1000,10000]
    #[arg(short, long, value_name = "COUNT", value_delimiter = ',')]
    pub(super) connections: Option<Vec<ConnectionCounts>>,

    /// Lengths of a request, separated by commas
    #[arg(short, long, value_name = "SIZE", value_delimiter = ',', default_value = "64B")]
    #[arg(value_parser = within(size::<u64>, 1..=SIZE_MAX))]
    pub(super) size: Vec<u64>,

    #[command(flatten)]
    pub(super) requests: RequestFlags,

    /// Measured time of each trial
    #[arg(short, long, value_name = "DURATION", default_value = "3s", value_parser = above_zero(trial_time))]
    pub(super) duration: Duration,

    /// Time before the measured time of each trial, in which requests are not measured
    #[arg(short, long, value_name = "DURATION", default_value = "1s", value_parser = trial_time)]
    pub(super) warm_up: Duration,

    /// Number of rounds; with one round, no conclusion is drawn
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = within(count::<u64>, 1..=ROUNDS_MAX))]
    pub(super) rounds: u64,

    /// Designs of `serve`, separated by commas [default: reactor,threads,pool; with --tls: reactor]
    ///
    /// Each server is compared with the reactor, or with the first server if the reactor is not among them.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    #[arg(value_parser = ["reactor", "iterative", "threads", "pool"])]
    pub(super) designs: Option<Vec<String>>,

    /// Number of threads of the pool; more connections wait for a free thread [default: as in `serve`]
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<usize>))]
    pub(super) workers: Option<usize>,

    /// Another echo server: its name and its command; may be repeated
    ///
    /// The command must print `listening on tcp://HOST:PORT`. Otherwise it must contain {port}, which is
    /// replaced by a free port, and listen on 127.0.0.1 with this port.
    ///
    /// With --tls, {cert} and {key} are replaced by the files of a certificate and its key. A command without
    /// them has a certificate of its own, which is not checked.
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    pub(super) peers: Vec<Contender>,

    /// Do not count system calls with perf or strace
    #[arg(long)]
    pub(super) no_calls: bool,

    #[command(flatten)]
    pub(super) output: Output,
}

/// Output files, in addition to the text on standard output.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Write all trials to FILE as JSON, for `readyloop report`
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Write a self-contained page to FILE: charts, tables and the method
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Write the tables to FILE as Markdown
    #[arg(long, value_name = "FILE")]
    pub(super) md: Option<PathBuf>,

    /// Write the main chart to FILE as SVG
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

/// The longest measured time and warm-up of a trial.
const TRIAL_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// The most rounds. They would take days.
const ROUNDS_MAX: u64 = 1_000;

/// The longest request.
const SIZE_MAX: u64 = MESSAGE_LEN_MAX as u64;

fn trial_time(text: &str) -> Result<Duration, ParseError> {
    let refused = || ParseError::new("must be at most 1h", "type a duration such as 3s, 1m or 1h");
    Some(duration(text)?).filter(|time| *time <= TRIAL_TIME_MAX).ok_or_else(refused)
}

impl Settings {
    /// The numbers of connections, by default four magnitudes.
    pub(super) fn connections(&self) -> Vec<ConnectionCounts> {
        let counts = |connections| ConnectionCounts { connections, idle_connections: 0 };
        self.connections.clone().unwrap_or_else(|| [10, 100, 1_000, 10_000].map(counts).to_vec())
    }

    /// The lengths of a request. A fixed framing determines them.
    pub(super) fn sizes(&self) -> Vec<u64> {
        match self.requests.framing {
            Framing::Fixed(fixed) => vec![fixed.len() as u64],
            Framing::Raw(_) | Framing::Lines(_) | Framing::Length(_) => self.size.clone(),
        }
    }

    /// Rejects loads that no generator can send, before a server is started.
    pub(super) fn check_plans(&self, loads: &[Load]) -> Result<(), CliError> {
        let RequestFlags { framing, pipeline, rate, threads, .. } = self.requests;
        for load in loads {
            let plan = Plan {
                framing,
                pipeline,
                threads,
                connections: usize::try_from(load.connections).unwrap_or(usize::MAX),
                message_len: usize::try_from(load.message_bytes).unwrap_or(usize::MAX),
                pace: rate.map_or(Pace::Closed, Pace::Open),
                ..Plan::new(Address::Tcp(String::new()))
            };
            plan.check().map_err(|error| CliError::usage(error.to_string(), plan_hint(&error)))?;
        }
        Ok(())
    }

    /// The designs of `serve`. Only the reactor has TLS.
    fn designs(&self) -> Result<Vec<String>, CliError> {
        let default = if self.requests.is_tls { &["reactor"][..] } else { &["reactor", "threads", "pool"] };
        let designs = self.designs.clone();
        let designs = designs.unwrap_or_else(|| default.iter().map(|&design| design.to_owned()).collect());
        match designs.iter().find(|design| self.requests.is_tls && *design != "reactor") {
            Some(design) => {
                let message = format!("the design `{design}` has no TLS");
                Err(CliError::usage(message, "type --designs reactor, or remove --tls"))
            }
            None => Ok(designs),
        }
    }

    /// All servers. Their names must be unique.
    pub(super) fn contenders(&self) -> Result<Vec<Contender>, CliError> {
        let designs = self.designs()?;
        let designs = designs.iter().map(|design| Contender::design(design, self.workers, &self.requests));
        let contenders: Vec<Contender> = designs.chain(self.peers.iter().cloned()).collect();
        let needs_tls = |contender: &&Contender| contender.has_certificate() && !self.requests.is_tls;
        if let Some(contender) = contenders.iter().find(needs_tls) {
            let message = format!("the command of {} has {{cert}} or {{key}}, which need --tls", contender.name);
            return Err(CliError::usage(message, "type --tls, or a command without them"));
        }
        for (index, contender) in contenders.iter().enumerate() {
            if contenders[..index].iter().any(|other| other.name == contender.name) {
                let message = format!("two servers have the name `{}`", contender.name);
                return Err(CliError::usage(
                    message,
                    "use another name before the `=` of --peer, and each design once",
                ));
            }
        }
        Ok(contenders)
    }
}

impl Output {
    /// Rejects output files that cannot be written, before anything is measured.
    pub(super) fn check(&self) -> Result<(), CliError> {
        let outputs = [("--json", &self.json), ("--html", &self.html), ("--md", &self.md), ("--svg", &self.svg)];
        output_file::check(outputs.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?))))
    }
}
