//! Rows about many connections: open at once, opened at once, one after another, and fairness among them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::latency::{Latency, is_slower};
use crate::conform::connection::{After, Connection};
use crate::conform::row_run::RowRun;
use crate::conform::verdict::{Checked, Stop};
use crate::conform::wait::Wait;
use crate::quantity::{Unit, counted};

/// Many connections that are open at once, each with bytes of its own.
pub(super) fn many_connections(run: &mut RowRun<'_>) -> Checked<String> {
    let all = run.connect_each(run.connections)?;
    for len in [100, 1_000] {
        all.iter().try_for_each(|connection| connection.send(len))?;
        for (number, connection) in all.iter().enumerate() {
            connection.expect(len).map_err(|stop| of_connection(number, &all, stop))?;
        }
    }
    Ok(format!("{} were open at once, and each was served", counted(run.connections, "connection")))
}

fn of_connection(number: usize, all: &[Connection<'_>], stop: Stop) -> Stop {
    match stop {
        Stop::Failed(evidence) => Stop::Failed(format!("connection {} of {}: {evidence}", number + 1, all.len())),
        Stop::Skipped(_) | Stop::Interrupted => stop,
    }
}

/// Messages of several connections are on their way at once, and none is mixed with another.
pub(super) fn no_mixing(run: &mut RowRun<'_>) -> Checked<String> {
    const CONNECTIONS: u64 = 32;
    const ROUNDS: u64 = 50;
    let all = run.connect_each(CONNECTIONS)?;
    for round in 0..ROUNDS {
        let len = |number: usize| 1 + (round * 37 + number as u64 * 101) % 3_000;
        all.iter().enumerate().try_for_each(|(number, connection)| connection.send(len(number)))?;
        for (number, connection) in all.iter().enumerate() {
            connection.expect(len(number)).map_err(|stop| of_connection(number, &all, stop))?;
        }
    }
    Ok(format!("{} kept their bytes in {ROUNDS} rounds", counted(CONNECTIONS, "connection")))
}

/// Many connects at the same time: they wait in the backlog, and none is refused.
pub(super) fn backlog(run: &mut RowRun<'_>) -> Checked<String> {
    const CONNECTIONS: u64 = 128;
    let started = Instant::now();
    let all = run.connect_at_once(CONNECTIONS)?;
    for (number, connection) in all.iter().enumerate() {
        connection.echo(64).map_err(|stop| of_connection(number, &all, stop))?;
    }
    let took = Unit::Time.print(started.elapsed().as_nanos() as f64);
    Ok(format!("{} at once were all served within {took}", counted(CONNECTIONS, "connect")))
}

/// Many short connections, one after another.
pub(super) fn churn(run: &mut RowRun<'_>) -> Checked<String> {
    const CONNECTIONS: u64 = 1_000;
    let started = Instant::now();
    for number in 1..=CONNECTIONS {
        let late = || format!("only {} of {CONNECTIONS} within {}", counted(number, "connection"), run.wait.timeout());
        run.wait.check(late)?;
        let connection = run.connect()?;
        connection.send(64)?;
        connection.finish()?;
        connection.expect_end()?;
    }
    let rate = Unit::Rate.print(CONNECTIONS as f64 / started.elapsed().as_secs_f64());
    Ok(format!("{} one after another, {rate}", counted(CONNECTIONS, "short connection")))
}

/// A client with small requests beside clients that send as fast as they can.
pub(super) fn fairness(run: &mut RowRun<'_>) -> Checked<String> {
    const STREAMS: u64 = 4;
    /// A busy machine delays one measurement, and a server that is not fair delays all.
    const ATTEMPTS: u32 = 3;
    let neighbor = run.connect()?;
    let streams = run.connect_each(STREAMS)?;
    let mut attempt = 1;
    loop {
        let alone = Latency::of(&neighbor, &run.wait)?;
        let beside = beside_streams(&neighbor, &streams, &run.wait)?;
        if !is_slower(beside, alone) {
            return Ok(format!("a neighbor waited {beside} beside {}, {alone} alone", counted(STREAMS, "stream")));
        }
        if attempt == ATTEMPTS || run.wait.left() < Duration::from_secs(3) {
            let streams = counted(STREAMS, "stream");
            return Err(Stop::Failed(format!("a neighbor had to wait {beside} beside {streams}, and {alone} alone")));
        }
        attempt += 1;
    }
}

/// The latency of the neighbor while all streams send and receive.
fn beside_streams(neighbor: &Connection<'_>, streams: &[Connection<'_>], wait: &Wait<'_>) -> Checked<Latency> {
    const PIECE: u64 = 1 << 20;
    let is_over = AtomicBool::new(false);
    let stream = |connection: &Connection<'_>| {
        while !is_over.load(Ordering::Relaxed) {
            connection.exchange(PIECE, || u64::MAX, After::Open)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let start = |connection| thread::Builder::new().spawn_scoped(scope, move || stream(connection));
        let started: Vec<_> = streams.iter().map(start).collect();
        let latency = Latency::of(neighbor, wait);
        is_over.store(true, Ordering::Relaxed);
        for thread in started {
            let thread = thread.map_err(|error| Stop::of_call("cannot start a thread", &error))?;
            thread.join().expect("a stream does not panic")?;
        }
        latency
    })
}
