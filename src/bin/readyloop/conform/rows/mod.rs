//! The rows: each is one function that acts as a client and returns the evidence.
//!
//! A row opens its own connections and leaves none behind. The guide has a section for each row.

mod bytes;
mod datagrams;
mod ends;
mod latency;
mod lifecycle;
mod many;
mod resources;
mod slow;

use super::row_run::RowRun;
use super::verdict::Checked;

/// What a row is about, and so what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Connections over TCP.
    Connections,
    /// The process of the server, which this program must have started.
    Process,
    /// The end of that process.
    End,
    /// Datagrams over UDP.
    Datagrams,
}

/// A rule, and the function that checks it.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// The rule, as a sentence without its period.
    pub(super) rule: &'static str,
    pub(super) subject: Subject,
    pub(super) check: fn(&mut RowRun<'_>) -> Checked<String>,
}

use Subject::{Connections, Datagrams, End, Process};

/// All rows in the order in which they run.
pub(super) const ROWS: [Row; 32] = [
    row("echo", "Messages of every length come back", Connections, bytes::echo),
    row("one-byte-lockstep", "A single byte is answered without a line end", Connections, bytes::one_byte_lockstep),
    row("one-byte-writes", "A stream of one-byte writes comes back", Connections, bytes::one_byte_writes),
    row("segments", "Segments of random lengths come back", Connections, bytes::segments),
    row("large-transfer", "A long stream comes back while it is sent", Connections, bytes::large_transfer),
    row("half-close", "A half-closed connection receives all and a clean end", Connections, ends::half_close),
    row("late-reader", "A half-closed connection is not closed early", Connections, ends::late_reader),
    row("data-with-end", "Data and end in one segment are both seen", Connections, ends::data_with_end),
    row("close-unread", "Clients that leave answers unread harm no other", Connections, ends::close_unread),
    row("reset", "Resets in each phase harm no other connection", Connections, ends::reset),
    row("slow-reader", "Memory for a slow reader is bounded, and nothing is lost", Connections, slow::slow_reader),
    row("stalled-readers", "Clients that never read do not stop the others", Connections, slow::stalled_readers),
    row("slow-writer", "A client may pause between two bytes", Connections, slow::slow_writer),
    row("many-connections", "Many connections are served at once", Connections, many::many_connections),
    row("no-mixing", "No connection receives bytes of another", Connections, many::no_mixing),
    row("backlog", "Connects at the same time are all accepted", Connections, many::backlog),
    row("churn", "Short connections are served one after another", Connections, many::churn),
    row("fairness", "Fast streams leave time for small requests", Connections, many::fairness),
    row("idle-cpu", "Idle connections cost no CPU time", Process, resources::idle_cpu),
    row("connection-memory", "An idle connection needs little memory", Process, resources::connection_memory),
    row("memory-after-burst", "Memory does not grow with past connections", Process, resources::memory_after_burst),
    row("descriptors-freed", "A closed connection frees its descriptor", Process, resources::descriptors_freed),
    row("descriptor-limit", "Without free descriptors the server waits", Process, resources::descriptor_limit),
    row("stop-and-continue", "A suspended server loses nothing", Process, lifecycle::stop_and_continue),
    row("drain-idle", "SIGTERM ends idle connections cleanly", End, lifecycle::drain_idle),
    row("drain-data", "SIGTERM loses no byte that was read", End, lifecycle::drain_data),
    row("restart", "A new process binds the port at once", End, lifecycle::restart),
    row("udp-sizes", "Datagrams of every length come back", Datagrams, datagrams::udp_sizes),
    row("udp-boundaries", "Datagrams stay apart", Datagrams, datagrams::udp_boundaries),
    row("udp-peers", "A datagram comes back to its sender", Datagrams, datagrams::udp_peers),
    row("udp-errors", "Clients that are gone harm no other", Datagrams, datagrams::udp_errors),
    row("udp-loop", "Two echo servers do not answer each other forever", Datagrams, datagrams::udp_loop),
];

const fn row(
    name: &'static str,
    rule: &'static str,
    subject: Subject,
    check: fn(&mut RowRun<'_>) -> Checked<String>,
) -> Row {
    Row { name, rule, subject, check }
}
