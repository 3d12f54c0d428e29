//! The cells of the table: the loads that are measured, and the goal of each.

/// One load, the same for every server.
#[derive(Clone)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
    /// Messages in each round. A number and not a time, so that all servers do equal work.
    ///
    /// They take about a fifth of a second of CPU: the speed of a shared machine changes within seconds,
    /// and all servers of a round should run at the same speed.
    pub(crate) messages: usize,
    /// The highest ratio of the reactor to the raw loop that meets the goal, if there is a goal.
    pub(crate) goal: Option<f64>,
}

/// How connections are used. All loads are closed loops: a message is sent as soon as the window allows,
/// and its latency is the round trip.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// Connections stay open. Each keeps as many whole messages in flight as fit in `window_bytes`.
    Steady { connections: usize, message_len: usize, window_bytes: usize },
    /// Each message has its own connection: connect, echo, close.
    Churn { concurrent: usize, message_len: usize },
}

const KIB: usize = 1024;

pub(crate) const CELLS: [Cell; 7] = [
    Cell { name: "64B-1", load: one_outstanding(1, 64), messages: 20_000, goal: None },
    Cell { name: "64B-50", load: one_outstanding(50, 64), messages: 40_000, goal: Some(1.03) },
    Cell { name: "64B-1k", load: one_outstanding(1_000, 64), messages: 40_000, goal: Some(1.03) },
    Cell { name: "64B-10k", load: one_outstanding(10_000, 64), messages: 40_000, goal: Some(1.03) },
    Cell { name: "16KiB-50", load: one_outstanding(50, 16 * KIB), messages: 24_000, goal: Some(1.00) },
    Cell {
        name: "64KiB-streams",
        load: Load::Steady { connections: 8, message_len: 64 * KIB, window_bytes: 256 * KIB },
        messages: 8_000,
        goal: Some(1.00),
    },
    Cell { name: "churn", load: Load::Churn { concurrent: 32, message_len: 64 }, messages: 6_000, goal: Some(1.05) },
];

const fn one_outstanding(connections: usize, message_len: usize) -> Load {
    Load::Steady { connections, message_len, window_bytes: message_len }
}

impl Load {
    /// Descriptors that the server and the generator each need for this load.
    pub(crate) fn descriptors(self) -> usize {
        match self {
            Load::Steady { connections, .. } => connections,
            Load::Churn { concurrent, .. } => concurrent,
        }
    }
}
