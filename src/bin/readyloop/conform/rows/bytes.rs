//! Rows about bytes: all come back, in order, however the client writes them.

use std::time::Instant;

use readyloop::sim::Rng;

use crate::conform::connection::After;
use crate::conform::row_run::RowRun;
use crate::conform::verdict::Checked;
use crate::quantity::{Unit, counted, grouped};

const MIB: u64 = 1 << 20;

/// Messages of many lengths, around the sizes of usual buffers.
pub(super) fn echo(run: &mut RowRun<'_>) -> Checked<String> {
    const LENGTHS: [u64; 12] = [1, 2, 3, 100, 1_023, 4_095, 4_096, 4_097, 16_384, 32_769, 65_536, 65_537];
    let connection = run.connect()?;
    for len in LENGTHS {
        connection.exchange(len, || u64::MAX, After::Open)?;
    }
    Ok(format!("{} of 1 to 65,537 bytes came back", counted(LENGTHS.len() as u64, "message")))
}

/// One byte at a time, and the next one only after the answer.
pub(super) fn one_byte_lockstep(run: &mut RowRun<'_>) -> Checked<String> {
    const BYTES: u64 = 256;
    let connection = run.connect()?;
    for _ in 0..BYTES {
        connection.echo(1)?;
    }
    Ok(format!("{} came back one by one", counted(BYTES, "byte")))
}

/// One byte in each write, without waiting for answers.
pub(super) fn one_byte_writes(run: &mut RowRun<'_>) -> Checked<String> {
    const BYTES: u64 = 10_000;
    run.connect()?.exchange(BYTES, || 1, After::HalfClose)?;
    Ok(format!("{} in as many writes came back", counted(BYTES, "byte")))
}

/// Segments of random lengths.
pub(super) fn segments(run: &mut RowRun<'_>) -> Checked<String> {
    const BYTES: u64 = 2 * MIB;
    const SEGMENT_LEN_MAX: usize = 9_000;
    let mut rng = Rng::new(0);
    let mut segments = 0;
    let segment = || {
        segments += 1;
        rng.up_to(SEGMENT_LEN_MAX) as u64
    };
    run.connect()?.exchange(BYTES, segment, After::HalfClose)?;
    Ok(format!("{} in {} came back", counted(BYTES, "byte"), counted(segments, "segment")))
}

/// A long stream in both directions at once.
pub(super) fn large_transfer(run: &mut RowRun<'_>) -> Checked<String> {
    const BYTES: u64 = 32 * MIB;
    let started = Instant::now();
    run.connect()?.exchange(BYTES, || u64::MAX, After::HalfClose)?;
    let rate = Unit::Bytes.print(BYTES as f64 / started.elapsed().as_secs_f64());
    Ok(format!("{} bytes came back, {rate} per second", grouped(BYTES)))
}
