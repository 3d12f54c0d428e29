//! The run: every cell, its rounds interleaved over all entrants, each row printed as soon as it is known.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::arguments::Arguments;
use super::cell::{Cell, Load};
use super::churn::Churn;
use super::contender::Contender;
use super::entrant::Entrant;
use super::kernel::{self, Wait};
use super::report::{self, Setting};
use super::steady::{Plan, Steady};
use super::tally::Tally;

/// The first entrant is what the others are compared with.
const BASELINE: usize = 0;

/// Descriptors that are no connections: standard streams, epoll, pipes, the listener. Generous.
const OTHER_DESCRIPTORS: usize = 64;

/// A part of a round that is done before the rest counts: code and buffers are then where they stay.
const WARM_UP_PART: usize = 4;

/// How long a generator that may sleep does so before it looks for a stall.
const NAP: Duration = Duration::from_millis(100);

/// Measures what the arguments ask for, and prints it.
///
/// # Errors
/// A server that does not start, a wrong byte, a lost connection, a stall.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let descriptors_max = rlimit::increase_nofile_limit(u64::MAX)? as usize;
    let cores = kernel::cores()?;
    let (server_core, generator_core) = match cores[..] {
        [first, second, ..] => (Some(first), Some(second)),
        _ => (None, None),
    };
    let entrants = gather(arguments)?;
    if let Some(core) = generator_core {
        kernel::pin(core)?;
    }
    // On a shared core a generator that spins would take the server's time.
    let spins = !arguments.sleepy && generator_core.is_some();
    let wait = if spins { Wait::Spin } else { Wait::Sleep(NAP) };

    let names: Vec<&str> = entrants.iter().map(Entrant::name).collect();
    let rounds = arguments.rounds();
    report::print_heading(&Setting { names: &names, rounds, cores: cores.len(), server_core, generator_core, wait });
    for cell in arguments.cells() {
        let objection = (descriptors_max < cell.load.descriptors() + OTHER_DESCRIPTORS)
            .then(|| format!("the descriptor limit is {descriptors_max}"))
            .or_else(|| entrants[BASELINE].objection(&cell));
        if let Some(objection) = objection {
            println!("{:<14} left out: {objection}", cell.name);
            continue;
        }
        let (able, unable): (Vec<_>, Vec<_>) = entrants.iter().partition(|entrant| entrant.objection(&cell).is_none());
        let race = Race { entrants: &able, cell: &cell, core: server_core, wait };
        let mut tallies = race.run(rounds).with_context(|| format!("cell {}", cell.name))?;
        report::print_rows(&cell, &able, &mut tallies);
        report::print_absent(&cell, &unable);
    }
    Ok(())
}

fn gather(arguments: &Arguments) -> Result<Vec<Entrant>> {
    let own = arguments.servers().into_iter().map(|(server, name)| Entrant::Own(server, name));
    let entrants: Vec<_> = own.chain(arguments.peers.iter().cloned().map(Entrant::Other)).collect();
    ensure!(entrants.len() > 1, "there is nobody to compare {} with", entrants[BASELINE].name());
    for entrant in &entrants {
        if let Entrant::Own(server, _) = entrant {
            server.build()?;
        }
    }
    Ok(entrants)
}

/// One cell, and who does it.
struct Race<'a> {
    entrants: &'a [&'a Entrant],
    cell: &'a Cell,
    /// Where the servers run.
    core: Option<usize>,
    wait: Wait,
}

impl Race<'_> {
    /// All rounds. The order turns round with each, so that nobody always comes after the same one.
    fn run(&self, rounds: usize) -> Result<Vec<Tally>> {
        let mut tallies: Vec<Tally> = self.entrants.iter().map(|_| Tally::default()).collect();
        let mut order: Vec<usize> = (BASELINE..self.entrants.len()).collect();
        for _ in 0..rounds {
            for &index in &order {
                let entrant = self.entrants[index];
                self.play(entrant, &mut tallies[index]).with_context(|| entrant.name().to_owned())?;
            }
            order.reverse();
        }
        Ok(tallies)
    }

    /// One round of one entrant, in a process of its own.
    fn play(&self, entrant: &Entrant, tally: &mut Tally) -> Result<()> {
        let contender = entrant.start(self.core)?;
        let messages = self.cell.messages;
        match self.cell.load {
            Load::Steady { connections, message_len, window_bytes } => {
                let plan = Plan { message_len, window_bytes };
                let mut steady = Steady::open(contender.address, connections, plan, self.wait)?;
                steady.exchange(messages.div_ceil(WARM_UP_PART), &mut Tally::default())?;
                let messages = messages.max(steady.messages_min());
                metered(&contender, messages, tally, |tally| steady.exchange(messages, tally))
            }
            Load::Churn { concurrent, message_len } => {
                let mut churn = Churn::new(contender.address, concurrent, message_len, self.wait)?;
                churn.exchange(messages.div_ceil(WARM_UP_PART), &mut Tally::default())?;
                metered(&contender, messages, tally, |tally| churn.exchange(messages, tally))
            }
        }
    }
}

/// Runs `exchange` and adds what it cost the contender.
fn metered(
    contender: &Contender,
    messages: usize,
    tally: &mut Tally,
    exchange: impl FnOnce(&mut Tally) -> Result<()>,
) -> Result<()> {
    let before = contender.cpu_at_rest()?;
    exchange(tally)?;
    tally.record_cpu(contender.cpu_at_rest()? - before, messages);
    Ok(())
}
