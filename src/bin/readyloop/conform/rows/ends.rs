//! Rows about the end of a connection: half-close, close with unread data, reset.

use std::time::Duration;

use crate::conform::connection::{After, Connection};
use crate::conform::row_run::RowRun;
use crate::conform::verdict::Checked;
use crate::quantity::counted;
use crate::units::print_duration;

/// The client ends its direction, and receives all bytes and then a clean end.
pub(super) fn half_close(run: &mut RowRun<'_>) -> Checked<String> {
    const LENGTHS: [u64; 5] = [0, 1, 1_000, 65_536, 1_000_000];
    for len in LENGTHS {
        run.connect()?.exchange(len, || u64::MAX, After::HalfClose)?;
    }
    Ok("0 to 1,000,000 bytes came back, each time with a clean end".to_owned())
}

/// The end of the input waits in the kernel behind data that the client does not read for a while.
pub(super) fn late_reader(run: &mut RowRun<'_>) -> Checked<String> {
    const BYTES: u64 = 50_000;
    const PAUSE: Duration = Duration::from_millis(500);
    let connection = run.connect_with_buffer(4_096)?;
    connection.send(BYTES)?;
    connection.finish()?;
    run.wait.pause(PAUSE)?;
    connection.expect_end()?;
    let (bytes, pause) = (counted(BYTES, "byte"), print_duration(PAUSE));
    Ok(format!("{bytes} were kept for a client that read them {pause} after its half-close"))
}

/// Data and the end of the stream arrive in one segment, and often in one event.
pub(super) fn data_with_end(run: &mut RowRun<'_>) -> Checked<String> {
    const TIMES: u64 = 50;
    for time in 0..TIMES {
        let connection = run.connect()?;
        connection.send_with_end(1 + time * 50)?;
        connection.expect_end()?;
    }
    Ok(format!("{} with data and end in one segment were complete", counted(TIMES, "connection")))
}

/// Clients that close while answers to them are unread. The kernel then resets the connection.
pub(super) fn close_unread(run: &mut RowRun<'_>) -> Checked<String> {
    const TIMES: u64 = 100;
    let neighbor = run.connect()?;
    for _ in 0..TIMES {
        let connection = run.connect()?;
        connection.send(10_000)?;
        // With the first byte read, the rest of the answer is unread.
        connection.expect(1)?;
        // The server has more to write when the reset arrives.
        connection.send_until_blocked(50_000)?;
        drop(connection);
        neighbor.echo(64)?;
    }
    Ok(format!("a neighbor was served beside {} closed with unread data", counted(TIMES, "connection")))
}

/// Resets in each phase of a connection.
pub(super) fn reset(run: &mut RowRun<'_>) -> Checked<String> {
    const TIMES: u64 = 25;
    const PHASES: [fn(&Connection<'_>) -> Checked; 5] = [
        |_| Ok(()),
        |connection| connection.send(100),
        |connection| connection.echo(100),
        |connection| connection.send_until_blocked(200_000).map(drop),
        |connection| connection.send(100).and_then(|()| connection.finish()),
    ];
    let neighbor = run.connect()?;
    for phase in PHASES {
        for _ in 0..TIMES {
            let connection = run.connect()?;
            phase(&connection)?;
            connection.reset()?;
            neighbor.echo(64)?;
        }
    }
    run.connect()?.echo(64)?;
    let times = counted(TIMES * PHASES.len() as u64, "reset");
    Ok(format!("a neighbor was served beside {times} in {} phases of a connection", PHASES.len()))
}
