//! Rows about slow clients: the server waits for them, bounds their memory, and serves the others.

use std::time::Duration;

use super::latency::{Latency, is_slower};
use crate::conform::row_run::RowRun;
use crate::conform::verdict::{Checked, Stop};
use crate::quantity::{counted, grouped};

const MIB: u64 = 1 << 20;

/// More than the kernel buffers of both sides hold together.
const UNREAD_MAX: u64 = 64 * MIB;

/// A small receive buffer, so that unread bytes stay with the server.
const BUFFER_LEN: usize = 16 * 1024;

/// A client sends without reading until the server stops reading. Then it reads, and nothing is missing.
pub(super) fn slow_reader(run: &mut RowRun<'_>) -> Checked<String> {
    let connection = run.connect_with_buffer(BUFFER_LEN)?;
    let has_paused = connection.send_until_blocked(UNREAD_MAX)?;
    let sent = counted(connection.sent(), "byte");
    if !has_paused {
        return Err(Stop::Failed(format!(
            "it took {sent} from a client that reads nothing, so its memory has no bound"
        )));
    }
    connection.finish()?;
    connection.expect_end()?;
    Ok(format!("it stopped reading after {sent}, and all came back later"))
}

/// Clients that never read, beside one that is served as before.
pub(super) fn stalled_readers(run: &mut RowRun<'_>) -> Checked<String> {
    const STALLED: u64 = 8;
    let neighbor = run.connect()?;
    let alone = Latency::of(&neighbor, &run.wait)?;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let connection = run.connect_with_buffer(BUFFER_LEN)?;
        connection.send_until_blocked(UNREAD_MAX / STALLED)?;
        stalled.push(connection);
    }
    let beside = Latency::of(&neighbor, &run.wait)?;
    if is_slower(beside, alone) {
        return Err(Stop::Failed(format!("a neighbor had to wait {beside}, and {alone} alone")));
    }
    Ok(format!("a neighbor waited {beside} beside {}, {alone} alone", counted(STALLED, "stalled client")))
}

/// A client that sends a byte now and then.
pub(super) fn slow_writer(run: &mut RowRun<'_>) -> Checked<String> {
    const PAUSES: [u64; 4] = [100, 300, 600, 1_200];
    let connection = run.connect()?;
    connection.echo(1)?;
    for pause in PAUSES {
        run.wait.pause(Duration::from_millis(pause))?;
        connection.echo(1)?;
    }
    Ok(format!("each byte came back, after pauses of up to {} ms", grouped(PAUSES[PAUSES.len() - 1])))
}
