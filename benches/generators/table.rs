//! The printed table: a row for each figure, with the noise of the measurement beside it.

use super::generator::{Figures, Generator, MESSAGE_LEN};
use crate::rig::measurements::{median, ratios, sorted};
use crate::rig::report::QUICK_RUN;

/// The highest ratio of CPU of `readyloop bench` to the loop on raw epoll that meets the goal.
const CPU_GOAL: f64 = 1.1;

/// The largest difference of a rate that meets the goal, if the server or the plan determines it.
const RATE_GOAL: f64 = 0.01;

/// The goal of a figure.
#[derive(Clone, Copy)]
enum Goal {
    None,
    /// The highest ratio to the other generator.
    AtMost(f64),
    /// A ratio to the other generator that differs from 1 by this at most.
    Near(f64),
    /// The same histogram bucket, or the next one. `bench` reports the upper end of a bucket.
    SameBucket,
}

/// The heading of a table.
pub(crate) struct Title<'a> {
    pub(crate) server: &'a str,
    pub(crate) connections: usize,
    /// Messages in each round.
    pub(crate) messages: usize,
    pub(crate) rounds: usize,
    /// Requests per second of an open loop.
    pub(crate) rate: Option<f64>,
    /// The server delays its echoes, so percentiles depend on the server only.
    pub(crate) is_slow: bool,
}

/// Prints the heading of all tables.
pub(crate) fn print_heading(is_quick: bool) {
    println!(
        "readyloop bench compared with a loop on raw epoll (CPU) and an independent generator (other figures): \
         {MESSAGE_LEN} B, medians of interleaved rounds"
    );
    println!("ratios are min .. median .. max of the rounds; `noise` compares the other generator with itself");
    if is_quick {
        println!("{QUICK_RUN}");
    }
}

/// Prints the rows of one number of connections; the columns are in the order of [`Generator::ALL`].
pub(crate) fn print(title: &Title<'_>, columns: &[Vec<Figures>]) {
    use Generator::{Bench, Independent, IndependentAgain, RawLoop, RawLoopAgain};
    type Figure = (&'static str, [Generator; 2], fn(&Figures) -> f64, Goal);
    let percentile = if title.is_slow { Goal::SameBucket } else { Goal::None };
    let rate = if title.is_slow || title.rate.is_some() { Goal::Near(RATE_GOAL) } else { Goal::None };
    let cost = if title.is_slow { Goal::None } else { Goal::AtMost(CPU_GOAL) };
    let rows: [Figure; 4] = [
        ("CPU µs each", [RawLoop, RawLoopAgain], |figures| figures.cpu_ns / 1e3, cost),
        ("rate k/s", [Independent, IndependentAgain], |figures| figures.rate / 1e3, rate),
        ("p50 µs", [Independent, IndependentAgain], |figures| figures.p50_ns / 1e3, percentile),
        ("p99 µs", [Independent, IndependentAgain], |figures| figures.p99_ns / 1e3, percentile),
    ];
    println!();
    let pace = title.rate.map_or("closed loop".to_owned(), |rate| format!("open loop with {rate} requests per second"));
    println!(
        "server {}, {} connections, {} rounds of {} messages, {pace}",
        title.server, title.connections, title.rounds, title.messages
    );
    println!("{:<14} {:>9} {:>9}   {:>24}   {:>24}   goal", "", "other", "bench", "ratio", "noise");
    let column = |generator: Generator, figure: fn(&Figures) -> f64| -> Vec<f64> {
        let index = Generator::ALL.iter().position(|other| *other == generator).expect("ALL has every generator");
        columns[index].iter().map(figure).collect()
    };
    // No CPU in an open loop: the loop on raw epoll has none.
    let rows = rows.into_iter().filter(|(_, [other, _], ..)| title.rate.is_none() || other.has_open_loop());
    for (name, [other, again], figure, goal) in rows {
        let [other, again, bench] = [other, again, Bench].map(|generator| column(generator, figure));
        let (ratio, noise) = (ratios(&bench, &other), ratios(&again, &other));
        let (theirs, ours) = (median(&other), median(&bench));
        let verdict = match goal {
            Goal::None => String::new(),
            Goal::AtMost(most) => verdict(&format!("{most:.2}"), median(&ratio) <= most),
            Goal::Near(most) => verdict(&format!("within {:.0} %", most * 100.0), (median(&ratio) - 1.0).abs() <= most),
            Goal::SameBucket => {
                let [ours, theirs] = [ours, theirs].map(|micros| (micros * 1e3) as u64);
                let width = bucket_ns(theirs);
                verdict(&format!("within {:.1} µs", width as f64 / 1e3), (ours / width).abs_diff(theirs / width) <= 1)
            }
        };
        println!("{name:<14} {theirs:>9.2} {ours:>9.2}   {:>24}   {:>24}   {verdict}", spread(&ratio), spread(&noise));
    }
}

fn verdict(goal: &str, is_met: bool) -> String {
    format!("{goal} {}", if is_met { "met" } else { "missed" })
}

/// The width of the histogram bucket of a latency: with three significant digits, each power of two has
/// 1,024 buckets.
fn bucket_ns(latency_ns: u64) -> u64 {
    1 << latency_ns.max(1).ilog2().saturating_sub(10)
}

fn spread(values: &[f64]) -> String {
    let sorted = sorted(values);
    format!("{:.3} .. {:.3} .. {:.3}", sorted[0], median(values), sorted[sorted.len() - 1])
}
