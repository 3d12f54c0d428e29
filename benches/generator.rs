//! The generator's yardstick: what `readyloop bench` costs beside a hand-written loop on raw epoll,
//! and whether it measures what an independent generator measures.
//!
//! All ask the same server, in interleaved rounds of one run, so a slow or busy machine slows all. It
//! reports and judges nothing: a poor ratio is no failure, a wrong byte or a lost connection is.
//!
//! The fast server keeps a generator's core busy: there a round trip is a lap of the generator itself,
//! longer by as much as it costs. What is measured of a server is compared over one that takes its
//! time: there both are to come to the same rate and, to a step of the histogram, percentiles.
//!
//! ```text
//! cargo bench --bench generator                       fast and slow server, some two minutes
//! cargo bench --bench generator -- --quick            a look
//! cargo bench --bench generator -- -c 1 -c 10000      the fast one with other numbers of connections
//! cargo bench --bench generator -- --server slow      the slow one alone
//! ```

mod contest;
#[expect(dead_code, reason = "of the rig only the server, the system's calls and the generator are wanted")]
mod rig;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;

use contest::{Contestant, Figures, Place, Title, table};
use rig::Server;
use rig::contender::Contender;
use rig::kernel;

/// Many short rounds beat few long ones. Odd, so that the median is one of them.
const ROUNDS: usize = 21;
const QUICK_ROUNDS: usize = 5;

/// Messages in each round, and over each connection at most: one that waits for each answer is slow.
const MESSAGES: usize = 60_000;
const QUICK_MESSAGES: usize = 20_000;
const MESSAGES_EACH_MAX: usize = 10_000;

/// Of the slow server each message takes 30 ms: a part of the messages, in fewer rounds.
const SLOW_PART: usize = 4;
const SLOW_MESSAGES_EACH_MAX: usize = 150;
const SLOW_ROUNDS_MAX: usize = 3;

/// What is asked unless something else is wished: the fast server with few and with many
/// connections, the slow one with so many that the generator's core is nearly free.
const FAST_CONNECTIONS: [usize; 2] = [50, 1_000];
const SLOW_CONNECTIONS: usize = 100;

/// Descriptors that are no connections. Generous.
const OTHER_DESCRIPTORS: usize = 64;

/// CPU per message of `readyloop bench` as a ratio to a loop on raw epoll, and its figures beside
/// those of an independent generator.
#[derive(Parser)]
struct Arguments {
    /// A look: fewer rounds, fewer messages in each
    #[arg(long)]
    quick: bool,
    /// Rounds with each number of connections
    #[arg(long)]
    rounds: Option<usize>,
    /// How many connections; may be repeated
    #[arg(short, long, value_name = "COUNT")]
    connections: Vec<usize>,
    /// The server that is asked; without it the reactor and, unless -c is given, the slow one
    #[arg(long, value_name = "NAME")]
    server: Option<Server>,
    /// What `cargo bench` passes; without it, as in `cargo test --all-targets`, a look is all there is
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
    /// Which servers are asked, and over how many connections.
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
    table::print_heading();
    for (asked, connections) in arguments.cases() {
        ensure!(0 < connections, "there is nothing to ask over 0 connections");
        ensure!(
            connections + OTHER_DESCRIPTORS <= descriptors_max,
            "{connections} connections need more than {descriptors_max} descriptors"
        );
        let is_slow = asked == Server::Slow;
        let (rounds, messages, each_max) = match is_slow {
            true => (rounds.min(SLOW_ROUNDS_MAX), messages / SLOW_PART, SLOW_MESSAGES_EACH_MAX),
            false => (rounds, messages, MESSAGES_EACH_MAX),
        };
        let messages = (messages / connections).clamp(1, each_max) * connections;
        asked.build()?;
        let server = Contender::own(asked, asked.name().to_owned(), server_core)?;
        let place = Place { address: server.address, core, connections, messages };
        let columns = measure(&place, &server, rounds)?;
        table::print(&Title { server: asked.name(), connections, messages, rounds, is_slow }, &columns);
    }
    Ok(())
}

/// All rounds with one number of connections. The order turns round with each, so that nobody always
/// comes after the same one.
fn measure(place: &Place, server: &Contender, rounds: usize) -> Result<[Vec<Figures>; Contestant::ALL.len()]> {
    let mut columns = Contestant::ALL.map(|_| Vec::new());
    let mut order: Vec<usize> = (0..columns.len()).collect();
    for _ in 0..rounds {
        for &index in &order {
            columns[index].push(Contestant::ALL[index].play(place)?);
            // Nobody is to run beside the burial of another's connections.
            server.cpu_at_rest()?;
        }
        order.reverse();
    }
    Ok(columns)
}
