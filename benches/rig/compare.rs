//! The run of a comparison: for each cell, interleaved rounds of all participants, then a row of the table.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::arguments::Arguments;
use super::cell::{Cell, Load};
use super::churn::Churn;
use super::kernel::{self, Wait};
use super::measurements::Measurements;
use super::participant::Participant;
use super::report::{self, Setting};
use super::running_server::RunningServer;
use super::steady::{Plan, Steady};

/// The first participant, with which the others are compared.
const BASELINE: usize = 0;

/// An upper bound of descriptors that are not connections: standard streams, epoll, pipes, the listener.
const OTHER_DESCRIPTORS: usize = 64;

/// Before each round, its messages divided by this are sent without being measured, to warm up caches.
const WARM_UP_DIVISOR: usize = 4;

/// How long a generator that may sleep waits before it looks for a stall.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Measures all selected cells and prints the table.
///
/// # Errors
/// A server does not start, a byte is wrong, a connection is lost, or a server stalls.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let descriptors_max = rlimit::increase_nofile_limit(u64::MAX)? as usize;
    let cores = kernel::cores()?;
    let (server_core, generator_core) = match cores[..] {
        [first, second, ..] => (Some(first), Some(second)),
        _ => (None, None),
    };
    let participants = participants(arguments)?;
    if let Some(core) = generator_core {
        kernel::pin(core)?;
    }
    // On a shared core a spinning generator would take CPU from the server.
    let spins = !arguments.sleepy && generator_core.is_some();
    let wait = if spins { Wait::Spin } else { Wait::Sleep(SLEEP_MAX) };

    let names: Vec<&str> = participants.iter().map(Participant::name).collect();
    let rounds = arguments.rounds();
    report::print_heading(&Setting {
        names: &names,
        rounds,
        is_quick: arguments.is_quick(),
        cores: cores.len(),
        server_core,
        generator_core,
        wait,
    });
    for cell in arguments.cells() {
        let reason = (descriptors_max < cell.load.descriptors() + OTHER_DESCRIPTORS)
            .then(|| format!("the descriptor limit is {descriptors_max}"))
            .or_else(|| participants[BASELINE].reason_left_out(&cell));
        if let Some(reason) = reason {
            println!("{:<14} left out: {reason}", cell.name);
            continue;
        }
        let (able, unable): (Vec<_>, Vec<_>) =
            participants.iter().partition(|participant| participant.reason_left_out(&cell).is_none());
        let cell_run = CellRun { participants: &able, cell: &cell, core: server_core, wait };
        let mut measurements = cell_run.run(rounds).with_context(|| format!("cell {}", cell.name))?;
        report::print_rows(&cell, &able, &mut measurements);
        report::print_left_out(&cell, &unable);
    }
    Ok(())
}

/// The selected servers, built.
fn participants(arguments: &Arguments) -> Result<Vec<Participant>> {
    let own = arguments.servers().into_iter().map(|(server, name)| Participant::Own(server, name));
    let participants: Vec<_> = own.chain(arguments.peers.iter().cloned().map(Participant::Other)).collect();
    ensure!(participants.len() > 1, "no server to compare {} with", participants[BASELINE].name());
    for participant in &participants {
        if let Participant::Own(server, _) = participant {
            server.build()?;
        }
    }
    Ok(participants)
}

/// The run of one cell.
struct CellRun<'a> {
    participants: &'a [&'a Participant],
    cell: &'a Cell,
    /// The core of the servers.
    core: Option<usize>,
    wait: Wait,
}

impl CellRun<'_> {
    /// Runs all rounds. Each round reverses the order, so that no server always runs after the same one.
    fn run(&self, rounds: usize) -> Result<Vec<Measurements>> {
        let mut all: Vec<Measurements> = self.participants.iter().map(|_| Measurements::default()).collect();
        let mut order: Vec<usize> = (BASELINE..self.participants.len()).collect();
        for _ in 0..rounds {
            for &index in &order {
                let participant = self.participants[index];
                self.run_round(participant, &mut all[index]).with_context(|| participant.name().to_owned())?;
            }
            order.reverse();
        }
        Ok(all)
    }

    /// Runs one round of one participant, in a process of its own.
    fn run_round(&self, participant: &Participant, measurements: &mut Measurements) -> Result<()> {
        let server = participant.start(self.core)?;
        let messages = self.cell.messages;
        match self.cell.load {
            Load::Steady { connections, message_len, window_bytes } => {
                let plan = Plan { message_len, window_bytes };
                let mut steady = Steady::open(server.address, connections, plan, self.wait)?;
                steady.exchange(messages.div_ceil(WARM_UP_DIVISOR), &mut Measurements::default())?;
                let messages = messages.max(steady.messages_min());
                measure(&server, messages, measurements, |measurements| steady.exchange(messages, measurements))
            }
            Load::Churn { concurrent, message_len } => {
                let mut churn = Churn::new(server.address, concurrent, message_len, self.wait)?;
                churn.exchange(messages.div_ceil(WARM_UP_DIVISOR), &mut Measurements::default())?;
                measure(&server, messages, measurements, |measurements| churn.exchange(messages, measurements))
            }
        }
    }
}

/// Runs `exchange` and records the CPU that the server used for it.
fn measure(
    server: &RunningServer,
    messages: usize,
    measurements: &mut Measurements,
    exchange: impl FnOnce(&mut Measurements) -> Result<()>,
) -> Result<()> {
    let before = server.cpu_when_idle()?;
    exchange(measurements)?;
    measurements.record_cpu(server.cpu_when_idle()? - before, messages);
    Ok(())
}
