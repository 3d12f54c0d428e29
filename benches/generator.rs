//! CPU of `readyloop bench` compared with a hand-written loop on raw epoll, and its figures compared
//! with those of an independent generator.
//!
//! All generators use the same server, in interleaved rounds of one run, so a slow or busy machine slows
//! all of them. A poor ratio is not a failure; a wrong byte or a lost connection is.
//!
//! With the fast server the core of a generator is busy, and a round trip includes the cost of the
//! generator itself. The slow server has known delays: with it both generators must measure the same
//! rate and, up to a histogram bucket, the same percentiles. With `--rate`, both send at the same planned times, and
//! latency counts from the planned time.
//!
//! ```text
//! cargo bench --bench generator                       fast and slow server, about two minutes
//! cargo bench --bench generator -- --quick            a quick run
//! cargo bench --bench generator -- -c 1 -c 10000      the fast server with other numbers of connections
//! cargo bench --bench generator -- --server slow      the slow server only
//! cargo bench --bench generator -- --server slow --rate 20k -c 1 -c 100 -c 10000
//!                                                     an open loop; about four minutes
//! ```

mod generators;
#[expect(dead_code, reason = "this benchmark uses only parts of the rig")]
mod rig;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;

use generators::{Figures, Generator, Round, Title, table};
use rig::Server;
use rig::kernel;
use rig::running_server::RunningServer;

/// Many short rounds have less noise than few long ones. An odd number, so that the median is one of them.
const ROUNDS: usize = 21;
const QUICK_ROUNDS: usize = 5;

/// Messages in each round, and the most over each connection: one connection alone is slow.
const MESSAGES: usize = 60_000;
const QUICK_MESSAGES: usize = 20_000;
const MESSAGES_EACH_MAX: usize = 10_000;

/// A message to the slow server takes about 30 ms, so there are fewer of them, in fewer rounds.
const SLOW_DIVISOR: usize = 4;
const SLOW_MESSAGES_EACH_MAX: usize = 150;
const SLOW_MESSAGES_EACH_MIN: usize = 10;
const SLOW_ROUNDS_MAX: usize = 3;

/// The most requests per second over each connection to the slow server, and the number of connections from which on
/// its delays grow with their number. At this rate a connection waits for an answer in most of the time.
const SLOW_RATE_EACH_MAX: f64 = 20.0;
const SLOW_CONNECTIONS_MAX: usize = 1_000;

/// The warm-up of `bench`: longer than the first answers of the slow server take.
const WARM_UP: Duration = Duration::from_millis(50);
const SLOW_WARM_UP: Duration = Duration::from_secs(1);

/// Default numbers of connections: few and many for the fast server; for the slow server a number that
/// leaves the core of the generator nearly idle.
const FAST_CONNECTIONS: [usize; 2] = [50, 1_000];
const SLOW_CONNECTIONS: usize = 100;

/// An upper bound of descriptors that are not connections.
const OTHER_DESCRIPTORS: usize = 64;

/// CPU per message of `readyloop bench` as a ratio to a loop on raw epoll, and its figures compared with
/// those of an independent generator
#[derive(Parser)]
struct Arguments {
    /// A quick run: fewer rounds, fewer messages in each
    #[arg(long)]
    quick: bool,
    /// Number of rounds with each number of connections
    #[arg(long)]
    rounds: Option<usize>,
    /// Number of connections; can be repeated
    #[arg(short, long, value_name = "COUNT")]
    connections: Vec<usize>,
    /// The server; by default the reactor and, without -c, also the slow server
    #[arg(long, value_name = "NAME")]
    server: Option<Server>,
    /// Requests per second, at planned times (open loop), such as 20k; fewer if the slow server has few connections
    #[arg(short, long, value_name = "RATE", value_parser = rate)]
    rate: Option<f64>,
    /// Passed by `cargo bench`; without it, as in `cargo test --all-targets`, the run is a quick one
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match rig::serve().unwrap_or_else(|| run(&Arguments::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generator: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    /// The servers and their numbers of connections.
    fn cases(&self) -> Vec<(Server, usize)> {
        let of = |server| move |&connections: &usize| (server, connections);
        match (self.server, &self.connections[..]) {
            (None, []) => {
                let fast = FAST_CONNECTIONS.iter().map(of(Server::Reactor));
                fast.chain([(Server::Slow, SLOW_CONNECTIONS)]).collect()
            }
            (Some(Server::Slow), []) => vec![(Server::Slow, SLOW_CONNECTIONS)],
            (Some(server), []) => FAST_CONNECTIONS.iter().map(of(server)).collect(),
            (server, connections) => connections.iter().map(of(server.unwrap_or(Server::Reactor))).collect(),
        }
    }
}

/// A rate such as `500` or `20k`.
fn rate(text: &str) -> Result<f64> {
    let (number, unit) = text.strip_suffix('k').map_or((text, 1.0), |number| (number, 1e3));
    let rate = number.parse::<f64>()? * unit;
    ensure!((0.1..=1e6).contains(&rate), "must be from 0.1 to 1000k");
    Ok(rate)
}

fn run(arguments: &Arguments) -> Result<()> {
    let is_quick = arguments.quick || !arguments.bench;
    let (rounds, messages) = if is_quick { (QUICK_ROUNDS, QUICK_MESSAGES) } else { (ROUNDS, MESSAGES) };
    let rounds = arguments.rounds.unwrap_or(rounds).max(1);
    let descriptors_max = rlimit::increase_nofile_limit(u64::MAX)? as usize;
    let (server_core, core) = match kernel::cores()?[..] {
        [first, second, ..] => (Some(first), Some(second)),
        _ => (None, None),
    };
    if let Some(core) = core {
        kernel::pin(core)?;
    }
    table::print_heading(is_quick);
    for (server, connections) in arguments.cases() {
        ensure!(0 < connections, "-c must be greater than 0");
        ensure!(
            connections + OTHER_DESCRIPTORS <= descriptors_max,
            "{connections} connections need more than {descriptors_max} descriptors"
        );
        let is_slow = server == Server::Slow;
        let (rounds, messages, each, warm_up) = match is_slow {
            true => (
                rounds.min(SLOW_ROUNDS_MAX),
                messages / SLOW_DIVISOR,
                SLOW_MESSAGES_EACH_MIN..=SLOW_MESSAGES_EACH_MAX,
                SLOW_WARM_UP,
            ),
            false => (rounds, messages, 1..=MESSAGES_EACH_MAX, WARM_UP),
        };
        let messages = (messages / connections).clamp(*each.start(), *each.end()) * connections;
        let rate_max =
            if is_slow { SLOW_RATE_EACH_MAX * connections.min(SLOW_CONNECTIONS_MAX) as f64 } else { f64::MAX };
        let rate = arguments.rate.map(|rate| rate.min(rate_max));
        server.build()?;
        let running = RunningServer::own(server, server.name().to_owned(), server_core)?;
        let round = Round { address: running.address, core, connections, messages, rate, warm_up };
        let columns = measure(&round, &running, rounds)?;
        table::print(&Title { server: server.name(), connections, messages, rounds, rate, is_slow }, &columns);
    }
    Ok(())
}

/// Runs all rounds with one number of connections. Each round reverses the order, so that no generator
/// always runs after the same one.
fn measure(round: &Round, server: &RunningServer, rounds: usize) -> Result<[Vec<Figures>; Generator::ALL.len()]> {
    let mut columns = Generator::ALL.map(|_| Vec::new());
    let mut order: Vec<usize> = (0..columns.len()).collect();
    for _ in 0..rounds {
        for &index in &order {
            if round.rate.is_some() && !Generator::ALL[index].has_open_loop() {
                continue;
            }
            columns[index].push(Generator::ALL[index].run(round)?);
            // The next generator starts when the server has closed the connections of this one.
            server.cpu_when_idle()?;
        }
        order.reverse();
    }
    Ok(columns)
}
