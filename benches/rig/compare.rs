//! The run: every cell, its rounds interleaved over all contenders, each row printed as soon as it is known.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::arguments::Arguments;
use super::cell::{Cell, Load};
use super::churn::Churn;
use super::contender::Contender;
use super::kernel::{self, Wait};
use super::report::{self, Setting};
use super::steady::{Plan, Steady};
use super::tally::Tally;

/// The first contender is what the others are compared with.
const BASELINE: usize = 0;

/// Descriptors that are no connections: standard streams, epoll, pipes, the listener. Generous.
const OTHER_DESCRIPTORS: usize = 64;

/// A part of a round that is done before the first one counts: code and buffers are then where they stay.
const WARM_UP_PART: usize = 4;

/// How long a generator that may sleep does so before it looks for a stall.
const NAP: Duration = Duration::from_millis(100);

/// Measures what the arguments ask for, and prints it.
///
/// # Errors
/// A contender that does not start, a wrong byte, a lost connection, a stall.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let descriptors_max = rlimit::increase_nofile_limit(u64::MAX)? as usize;
    let cores = kernel::cores()?;
    let (server_core, generator_core) = match cores[..] {
        [first, second, ..] => (Some(first), Some(second)),
        _ => (None, None),
    };
    let contenders = start_contenders(arguments, server_core)?;
    if let Some(core) = generator_core {
        kernel::pin(core)?;
    }
    // On a shared core a generator that spins would take the server's time.
    let spins = !arguments.sleepy && generator_core.is_some();
    let wait = if spins { Wait::Spin } else { Wait::Sleep(NAP) };

    let names: Vec<&str> = contenders.iter().map(|contender| contender.name.as_str()).collect();
    let rounds = arguments.rounds();
    report::print_heading(&Setting { names: &names, rounds, cores: cores.len(), server_core, generator_core, wait });
    for cell in arguments.cells() {
        let objection = (descriptors_max < cell.load.descriptors() + OTHER_DESCRIPTORS)
            .then(|| format!("the descriptor limit is {descriptors_max}"))
            .or_else(|| contenders[BASELINE].objection(&cell));
        if let Some(objection) = objection {
            println!("{:<14} left out: {objection}", cell.name);
            continue;
        }
        let (able, unable): (Vec<_>, Vec<_>) =
            contenders.iter().partition(|contender| contender.objection(&cell).is_none());
        let mut tallies = measure(&able, &cell, rounds, wait).with_context(|| format!("cell {}", cell.name))?;
        report::print_rows(&cell, &able, &mut tallies);
        report::print_absent(&cell, &unable);
    }
    Ok(())
}

fn start_contenders(arguments: &Arguments, core: Option<usize>) -> Result<Vec<Contender>> {
    let own = arguments.servers().into_iter().map(|(server, name)| Contender::own(server, name, core));
    let contenders = own.chain(arguments.peers.iter().map(|peer| Contender::peer(peer, core)));
    let contenders = contenders.collect::<Result<Vec<_>>>()?;
    ensure!(contenders.len() > 1, "there is nobody to compare {} with", contenders[BASELINE].name);
    Ok(contenders)
}

/// All rounds of one cell. The order turns round with each, so that no contender always comes after the same one.
fn measure(contenders: &[&Contender], cell: &Cell, rounds: usize, wait: Wait) -> Result<Vec<Tally>> {
    let warm_up = Cell { messages: cell.messages / WARM_UP_PART, ..cell.clone() };
    for contender in contenders {
        play(contender, &warm_up, wait, &mut Tally::default()).with_context(|| contender.name.clone())?;
    }
    let mut tallies: Vec<Tally> = contenders.iter().map(|_| Tally::default()).collect();
    let mut order: Vec<usize> = (BASELINE..contenders.len()).collect();
    for _ in 0..rounds {
        for &index in &order {
            let contender = contenders[index];
            play(contender, cell, wait, &mut tallies[index]).with_context(|| contender.name.clone())?;
        }
        order.reverse();
    }
    Ok(tallies)
}

/// One round of one contender.
fn play(contender: &Contender, cell: &Cell, wait: Wait, tally: &mut Tally) -> Result<()> {
    match cell.load {
        Load::Steady { connections, message_len, window_bytes } => {
            let plan = Plan { message_len, window_bytes };
            let mut steady = Steady::open(contender.address, connections, plan, wait)?;
            let messages_each = (cell.messages / connections).max(1);
            metered(contender, messages_each * connections, tally, |tally| steady.exchange(messages_each, tally))?;
        }
        Load::Churn { concurrent, message_len } => {
            let mut churn = Churn::new(contender.address, concurrent, message_len, wait)?;
            metered(contender, cell.messages, tally, |tally| churn.exchange(cell.messages, tally))?;
        }
    }
    // The connections are closed by now, and the next contender is not to run beside the burial.
    contender.cpu_at_rest()?;
    Ok(())
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
