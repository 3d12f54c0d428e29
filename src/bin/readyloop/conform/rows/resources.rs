//! Rows about the process of the server: CPU time when idle, memory, descriptors.

use std::cell::Cell;
use std::time::Duration;

use crate::child::StartOptions;
use crate::conform::connection::{After, Answer, Connection};
use crate::conform::row_run::RowRun;
use crate::conform::verdict::{Checked, Stop};
use crate::quantity::{Unit, counted, grouped};
use crate::units::print_duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// How long the CPU time of the server is measured.
const CPU_SPAN: Duration = Duration::from_secs(1);

/// The most CPU time of a server that waits.
const CPU_ALLOWED: Duration = Duration::from_millis(100);

/// A thread that wants a core for longer than this does not wait. On a busy machine it receives a share only.
const RUNNABLE_ALLOWED: Duration = Duration::from_millis(700);

/// Time for a server to finish its work before a measurement.
const SETTLE: Duration = Duration::from_millis(300);

/// Checks that the server waits without using CPU time, and returns the evidence.
fn expect_rest(run: &RowRun<'_>) -> Checked<String> {
    run.wait.pause(SETTLE)?;
    let server = run.server()?;
    let (cpu, runnable) = (server.cpu()?, server.runnable());
    run.wait.pause(CPU_SPAN)?;
    let spent = server.cpu()?.saturating_sub(cpu);
    let wanted = |(thread, now): (_, Duration)| now.saturating_sub(runnable.get(&thread).copied().unwrap_or(now));
    let busiest = server.runnable().into_iter().map(wanted).max().unwrap_or_default();
    let evidence = format!("{} of CPU time in {}", Unit::Time.print(spent.as_nanos() as f64), print_duration(CPU_SPAN));
    match (spent > CPU_ALLOWED, busiest > RUNNABLE_ALLOWED) {
        (_, true) => Err(Stop::Failed(format!("{evidence}, and a thread was never idle"))),
        (true, false) => Err(Stop::Failed(evidence)),
        (false, false) => Ok(evidence),
    }
}

fn bytes(count: u64) -> String {
    Unit::Bytes.print(count as f64)
}

/// Open connections without traffic cost no CPU time.
pub(super) fn idle_cpu(run: &mut RowRun<'_>) -> Checked<String> {
    const CONNECTIONS: u64 = 100;
    let all = run.connect_each(CONNECTIONS)?;
    all.iter().try_for_each(|connection| connection.echo(64))?;
    // A runtime may tidy up once.
    let evidence = expect_rest(run).or_else(|_| expect_rest(run))?;
    Ok(format!("{evidence} with {}", counted(CONNECTIONS, "idle connection")))
}

/// The memory of an idle connection.
pub(super) fn connection_memory(run: &mut RowRun<'_>) -> Checked<String> {
    const CONNECTIONS: u64 = 200;
    const ALLOWED: u64 = MIB;
    let first = run.connect()?;
    first.echo(1_000)?;
    let before = run.server()?.memory()?;
    let all = run.connect_each(CONNECTIONS)?;
    all.iter().try_for_each(|connection| connection.echo(1_000))?;
    let each = run.server()?.memory()?.saturating_sub(before) / CONNECTIONS;
    let evidence = format!("{} for each of {}", bytes(each), counted(CONNECTIONS, "idle connection"));
    if each > ALLOWED { Err(Stop::Failed(evidence)) } else { Ok(evidence) }
}

/// Memory does not grow with the connections and bytes of the past.
pub(super) fn memory_after_burst(run: &mut RowRun<'_>) -> Checked<String> {
    const CONNECTIONS: u64 = 200;
    const BYTES_EACH: u64 = 160 * KIB;
    /// Half of the bytes of a burst.
    const ALLOWED: u64 = CONNECTIONS * BYTES_EACH / 2;
    let burst =
        || (0..CONNECTIONS).try_for_each(|_| run.connect()?.exchange(BYTES_EACH, || u64::MAX, After::HalfClose));
    // The first burst fills caches and free lists, which the second one uses again.
    burst()?;
    run.wait.pause(SETTLE)?;
    let before = run.server()?.memory()?;
    burst()?;
    let grown = Cell::new(0);
    let evidence = || {
        let (grown, total) = (bytes(grown.get()), bytes(CONNECTIONS * BYTES_EACH));
        format!("{grown} more after {total} over {}", counted(CONNECTIONS, "connection"))
    };
    run.wait.until(evidence, || {
        grown.set(run.server()?.memory()?.saturating_sub(before));
        Ok((grown.get() <= ALLOWED).then(evidence))
    })
}

/// A closed connection gives its descriptor back, however it has ended.
pub(super) fn descriptors_freed(run: &mut RowRun<'_>) -> Checked<String> {
    const CONNECTIONS: u64 = 99;
    /// A server may keep a few for threads or timers that it has started meanwhile.
    const ALLOWED: u64 = 10;
    let neighbor = run.connect()?;
    neighbor.echo(64)?;
    let before = run.server()?.descriptors()?;
    for number in 0..CONNECTIONS {
        let connection = run.connect()?;
        connection.echo(64)?;
        match number % 3 {
            0 => drop(connection),
            1 => connection.reset()?,
            _ => {
                connection.finish()?;
                connection.expect_end()?;
            }
        }
    }
    let after = Cell::new(0);
    let evidence = || format!("{before} before {}, {} after", counted(CONNECTIONS, "connection"), after.get());
    run.wait.until(evidence, || {
        after.set(run.server()?.descriptors()?);
        Ok((after.get() <= before + ALLOWED).then(evidence))
    })
}

/// Without a free descriptor, the server waits, and it accepts again when there is one.
pub(super) fn descriptor_limit(run: &mut RowRun<'_>) -> Checked<String> {
    const LIMIT: u64 = 64;
    const CONNECTIONS: u64 = 100;
    let options = StartOptions { descriptors: Some(LIMIT), ..StartOptions::default() };
    let restarted = run.restart(options);
    restarted.map_err(|reason| Stop::Skipped(format!("with a limit of {LIMIT} descriptors {reason}")))?;
    // When the backlog is full, a connect is not answered.
    let connect = |_| run.connect_within(Duration::from_millis(500)).ok();
    let waiting: Vec<Connection<'_>> = (0..CONNECTIONS).map_while(connect).collect();
    // A server may have closed a connection that it cannot serve.
    waiting.iter().for_each(|connection| _ = connection.send(64));
    expect_rest(run)?;
    let count = waiting.len() as u64;
    let (served, closed) = leave_when_answered(run, waiting)?;
    // The server may learn later that the others have left.
    run.wait.until(
        || "no new connection is served, although all others have left".to_owned(),
        || match run.connect().and_then(|connection| connection.echo(64)) {
            Ok(()) => Ok(Some(())),
            Err(Stop::Failed(_)) => Ok(None),
            Err(stop) => Err(stop),
        },
    )?;
    let count = counted(count, "connection");
    Ok(format!("{count} at a limit of {LIMIT} descriptors: {} served, {} closed", grouped(served), grouped(closed)))
}

/// Closes each connection when it was answered, and returns how many were served and how many the server closed.
fn leave_when_answered(run: &RowRun<'_>, mut waiting: Vec<Connection<'_>>) -> Checked<(u64, u64)> {
    let (mut served, mut closed) = (0, 0);
    while !waiting.is_empty() {
        let mut left = Vec::new();
        for connection in waiting {
            match connection.answer() {
                Answer::Arrived => {
                    connection.expect(64)?;
                    served += 1;
                }
                Answer::Ended => closed += 1,
                Answer::Missing => left.push(connection),
            }
        }
        waiting = left;
        let late = || {
            let waiting = counted(waiting.len() as u64, "connection");
            format!("{waiting} still wait, although {} have left", counted(served, "served one"))
        };
        run.wait.check(late)?;
    }
    Ok((served, closed))
}
