//! Which words in the output of its command are the figures of a row.

use anyhow::{Context, Result};

use crate::output::{self, Figure, Place};
use crate::table::Row;

/// The rule of the row that begins with these words.
pub(crate) struct Rule {
    what: &'static str,
    /// In the order of the numbers in the cell. If the cell is a statement, they have no figure, and it holds if
    /// all of them are found.
    places: &'static [Place],
}

/// A measurement of how quiet the machine is.
pub(crate) const NOISE_COMMAND: &str = "cargo bench --bench yardstick -- --noise --cell 64B-1k";
pub(crate) const NOISE: Place = Place::new("64B-1k raw-epoll again * * {} {<} .. {>}");

const RULES: &[Rule] = &[
    Rule { what: "heap for one more idle connection", places: &[Place::new("{} bytes each:")] },
    Rule { what: "heap allocations in 10,000 echoed", places: &[Place::new("{} heap allocations in 10000")] },
    Rule { what: "system calls per echoed message", places: &[Place::new("{} system calls per echoed message,")] },
    Rule { what: "CPU time and wake-ups", places: &[Place::new("{} wake-ups and 0 s of CPU time in 5s with 19000")] },
    Rule {
        what: "CPU per 64 B message with 50, 1,000 and 10,000 busy",
        places: &[
            Place::new("64B-50 reactor * * {} {<} .. {>}"),
            Place::new("64B-1k reactor * * {} {<} .. {>}"),
            Place::new("64B-10k reactor * * {} {<} .. {>}"),
        ],
    },
    Rule {
        what: "CPU per 16 KiB message",
        places: &[
            Place::new("16KiB-50 reactor * * {} {<} .. {>}"),
            Place::new("64KiB-streams reactor * * {} {<} .. {>}"),
        ],
    },
    Rule {
        what: "CPU per 64 B message with 1,000 busy connections while `serve --record`",
        places: &[Place::new("64B-1k recording * * {} {<} .. {>}")],
    },
    // The larger one of the two, which is asked for metrics.
    Rule { what: "the same with `serve --admin`", places: &[Place::new("64B-10k scraped * * {} {<} .. {>}")] },
    Rule { what: "throughput of two processes", places: &[Place::new("two processes: {} times one (from {<} to {>}")] },
    Rule { what: "longest turn", places: &[Place::new("longest turn {}")] },
    Rule { what: "CPU per 64 B message with one peer", places: &[Place::new("64B-1 reactor * * {} {<} .. {>}")] },
    Rule { what: "CPU for connect, echo, close", places: &[Place::new("churn reactor * * {} {<} .. {>}")] },
    Rule {
        what: "CPU per 64 B message of `--design threads`",
        places: &[
            Place::new("64B-1 threads * * {} {<} .. {>}"),
            Place::new("64B-50 threads * * {} {<} .. {>}"),
            Place::new("64B-1k threads * * {} {<} .. {>}"),
        ],
    },
    Rule {
        what: "CPU of `bench` per 64 B message",
        places: &[
            Place { section: "server reactor, 50 connections", ..CPU },
            Place { section: "server reactor, 1000 connections", ..CPU },
        ],
    },
    Rule { what: "p50 and p99 of a server that takes", places: &[P50_MET, P99_MET] },
    Rule {
        what: "rate, p50 and p99 at 20 to 20,000 planned",
        places: &[
            Place { section: "server slow, 1 connections", ..RATE_MET },
            Place { section: "server slow, 1 connections", ..P50_MET },
            Place { section: "server slow, 1 connections", ..P99_MET },
            Place { section: "server slow, 100 connections", ..RATE_MET },
            Place { section: "server slow, 100 connections", ..P50_MET },
            Place { section: "server slow, 100 connections", ..P99_MET },
            Place { section: "server slow, 10000 connections", ..RATE_MET },
            Place { section: "server slow, 10000 connections", ..P50_MET },
            Place { section: "server slow, 10000 connections", ..P99_MET },
        ],
    },
    Rule {
        what: "p50 of a server that is faster",
        places: &[
            Place { section: "server reactor, 1 connections", ..P50 },
            Place { section: "server reactor, 50 connections", ..P50 },
        ],
    },
    Rule { what: "nanoseconds in which `bench` opens", places: &[Place { divisor: 1e9, ..Place::new("{}") }] },
    Rule { what: "bytes of memory of `bench`", places: &[Place::new("{}")] },
];

const CPU: Place = Place::new("CPU µs each * * {<} .. {} .. {>}");
const RATE_MET: Place = Place::new("rate k/s * * * .. * .. * * .. * .. * within * % met");
const P50_MET: Place = Place::new("p50 µs * * * .. * .. * * .. * .. * within * µs met");
const P99_MET: Place = Place::new("p99 µs * * * .. * .. * * .. * .. * within * µs met");
const P50: Place = Place::new("p50 µs * * {<} .. {} .. {>}");

impl Rule {
    /// The rule of a row.
    pub(crate) fn of(row: &Row) -> Result<&'static Self> {
        let rule = RULES.iter().find(|rule| row.what.starts_with(rule.what));
        rule.with_context(|| format!("benches/figures/rules.rs has no rule for the row `{}`", row.what))
    }

    /// The figures of its row, from the output of the command.
    pub(crate) fn figures(&self, output: &str) -> Result<Vec<Figure>> {
        self.places.iter().map(|place| output::find(output, place)).collect()
    }
}
