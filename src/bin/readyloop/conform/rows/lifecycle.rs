//! Rows about the life of the process: suspended and resumed, ended by SIGTERM, started again.

use std::time::Duration;

use rustix::process::Signal;

use crate::child::StartOptions;
use crate::conform::connection::Connection;
use crate::conform::row_run::RowRun;
use crate::conform::verdict::{Checked, Stop};
use crate::conform::wait::Wait;
use crate::quantity::counted;

const CONNECTIONS: u64 = 8;

/// Time for a server to read and write what it can.
pub(super) const SETTLE: Duration = Duration::from_millis(300);

/// A suspended server loses nothing: SIGSTOP, requests and new connections, SIGCONT.
pub(super) fn stop_and_continue(run: &mut RowRun<'_>) -> Checked<String> {
    let mut all = run.connect_each(CONNECTIONS)?;
    all.iter().try_for_each(|connection| connection.echo(64))?;
    // The server waits for input again when the signal interrupts it.
    run.wait.pause(SETTLE)?;
    run.server()?.signal_all(Signal::STOP);
    // On a busy machine, it takes a moment until every thread has stopped.
    run.wait.pause(SETTLE)?;
    all.extend(run.connect_each(CONNECTIONS)?);
    all.iter().try_for_each(|connection| connection.send(4_000))?;
    run.wait.pause(SETTLE)?;
    run.server()?.signal_all(Signal::CONT);
    all.iter().try_for_each(|connection| connection.expect(4_000))?;
    all.iter().try_for_each(|connection| connection.echo(64))?;
    Ok(format!("{CONNECTIONS} open and {CONNECTIONS} new connections were served after SIGCONT"))
}

/// Waits for the end after SIGTERM, which must have status 0.
fn expect_success(run: &mut RowRun<'_>) -> Checked {
    let wait = run.wait;
    let server = run.server.as_mut().ok_or_else(|| Stop::skipped("it needs --server"))?;
    match server.wait_for_end(&wait)? {
        0 => Ok(()),
        _ => Err(Stop::Failed(server.end(SETTLE).unwrap_or_default())),
    }
}

/// After SIGTERM, idle connections end cleanly, and the exit status is 0.
pub(super) fn drain_idle(run: &mut RowRun<'_>) -> Checked<String> {
    let all = run.connect_each(CONNECTIONS)?;
    all.iter().try_for_each(|connection| connection.echo(64))?;
    run.server()?.signal(Signal::TERM);
    all.iter().try_for_each(Connection::expect_end)?;
    drop(all);
    expect_success(run)?;
    Ok(format!("{} ended cleanly after SIGTERM, exit status 0", counted(CONNECTIONS, "connection")))
}

/// After SIGTERM, bytes that the server has read still arrive, and no connection ends with a reset.
pub(super) fn drain_data(run: &mut RowRun<'_>) -> Checked<String> {
    const BYTES: u64 = 64 * 1024;
    const FLOOD: u64 = 32 << 20;
    const BUFFER_LEN: usize = 4_096;
    let [short, blocked] = [(), ()]
        .map(|()| (0..CONNECTIONS / 2).map(|_| run.connect_with_buffer(BUFFER_LEN)).collect::<Checked<Vec<_>>>());
    let (short, blocked) = (short?, blocked?);
    short.iter().try_for_each(|connection| connection.send(BYTES))?;
    for connection in &blocked {
        connection.send_until_blocked(FLOOD)?;
    }
    run.wait.pause(SETTLE)?;
    run.server()?.signal(Signal::TERM);
    run.wait.pause(SETTLE)?;
    short.iter().try_for_each(Connection::expect_end)?;
    blocked.iter().try_for_each(Connection::expect_early_end)?;
    let total = short.iter().chain(&blocked).map(Connection::received).sum::<u64>();
    drop((short, blocked));
    expect_success(run)?;
    let total = counted(total, "byte");
    Ok(format!("{total} arrived after SIGTERM over {CONNECTIONS} connections, exit status 0"))
}

/// A server that was ended with open connections binds the same port again at once.
pub(super) fn restart(run: &mut RowRun<'_>) -> Checked<String> {
    const END_TIMEOUT: Duration = Duration::from_secs(2);
    let port = run.address.port();
    if !run.command.is_some_and(|command| command.has_port()) {
        return Err(Stop::skipped("the command has no {port}"));
    }
    let all = run.connect_each(CONNECTIONS)?;
    all.iter().try_for_each(|connection| connection.echo(64))?;
    let server = run.server()?;
    server.signal(Signal::TERM);
    // The server closes first, so the port stays in TIME_WAIT. A reset would leave nothing behind.
    run.wait.pause(SETTLE)?;
    drop(all);
    let wait = Wait::new(END_TIMEOUT, run.interrupt);
    if let Some(server) = &mut run.server {
        // A server that does not end is killed by the restart.
        let _ = server.wait_for_end(&wait);
    }
    let options = StartOptions { port: Some(port), ..StartOptions::default() };
    run.restart(options).map_err(|error| Stop::of_start(format_args!("with port {port} again"), &error))?;
    run.connect()?.echo(64)?;
    Ok(format!("it listened on port {port} again at once"))
}
