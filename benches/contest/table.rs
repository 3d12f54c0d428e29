//! The printed form: a row for each figure, with what the machine cannot tell apart beside it.

use super::contestant::{Contestant, Figures, MESSAGE_LEN};

/// The most that `readyloop bench` may cost of the loop on raw epoll.
const GOAL: f64 = 1.3;

/// What is wished for of a figure.
#[derive(Clone, Copy)]
enum Goal {
    None,
    /// A ratio to the other's.
    AtMost(f64),
    /// No further from the other's than a bucket of the histogram is wide.
    SameStep,
}

/// What a table is about.
pub(crate) struct Title<'a> {
    pub(crate) server: &'a str,
    pub(crate) connections: usize,
    /// In each round.
    pub(crate) messages: usize,
    pub(crate) rounds: usize,
    /// The server takes its time, so that percentiles are its own.
    pub(crate) is_slow: bool,
}

/// Prints what the tables below are about.
pub(crate) fn print_heading() {
    println!(
        "readyloop bench beside a loop on raw epoll (CPU) and an independent generator (the rest): \
         {MESSAGE_LEN} B, closed loop, medians of interleaved rounds"
    );
    println!("ratios are min .. median .. max of the rounds; `noise` is the other against itself");
}

/// Prints the rows of one number of connections; the columns are in the order of [`Contestant::ALL`].
pub(crate) fn print(title: &Title<'_>, columns: &[Vec<Figures>]) {
    use Contestant::{Bench, Independent, IndependentAgain, RawLoop, RawLoopAgain};
    type Figure = (&'static str, [Contestant; 2], fn(&Figures) -> f64, Goal);
    let percentile = if title.is_slow { Goal::SameStep } else { Goal::None };
    let cost = if title.is_slow { Goal::None } else { Goal::AtMost(GOAL) };
    let rows: [Figure; 4] = [
        ("CPU µs each", [RawLoop, RawLoopAgain], |figures| figures.cpu_ns / 1e3, cost),
        ("rate k/s", [Independent, IndependentAgain], |figures| figures.rate / 1e3, Goal::None),
        ("p50 µs", [Independent, IndependentAgain], |figures| figures.p50_ns / 1e3, percentile),
        ("p99 µs", [Independent, IndependentAgain], |figures| figures.p99_ns / 1e3, percentile),
    ];
    println!();
    println!(
        "server {}, {} connections, {} rounds of {} messages",
        title.server, title.connections, title.rounds, title.messages
    );
    println!("{:<14} {:>9} {:>9}   {:>24}   {:>24}   goal", "", "other", "bench", "ratio", "noise");
    let column = |contestant: Contestant, figure: fn(&Figures) -> f64| -> Vec<f64> {
        let place = Contestant::ALL.iter().position(|other| *other == contestant).expect("it is one of all");
        columns[place].iter().map(figure).collect()
    };
    for (name, [other, again], figure, goal) in rows {
        let [other, again, bench] = [other, again, Bench].map(|contestant| column(contestant, figure));
        let (ratio, noise) = (ratios(&bench, &other), ratios(&again, &other));
        let (theirs, ours) = (median(&other), median(&bench));
        let verdict = match goal {
            Goal::None => String::new(),
            Goal::AtMost(most) => verdict(&format!("{most:.2}"), median(&ratio) <= most),
            Goal::SameStep => {
                let step = step_us(theirs);
                verdict(&format!("a step of {step:.1} µs"), (ours - theirs).abs() <= step)
            }
        };
        println!("{name:<14} {theirs:>9.2} {ours:>9.2}   {:>24}   {:>24}   {verdict}", spread(&ratio), spread(&noise));
    }
}

fn verdict(goal: &str, is_met: bool) -> String {
    format!("{goal} {}", if is_met { "met" } else { "missed" })
}

/// How wide the histogram's bucket for such a latency is: with three digits kept, each power of two
/// has 1,024 of them.
fn step_us(latency_us: f64) -> f64 {
    let nanos = (latency_us * 1e3) as u64;
    (1_u64 << nanos.max(1).ilog2().saturating_sub(10)) as f64 / 1e3
}

/// Round by round.
fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(values: &[f64]) -> f64 {
    sorted(values)[values.len() / 2]
}

fn spread(values: &[f64]) -> String {
    let sorted = sorted(values);
    format!("{:.3} .. {:.3} .. {:.3}", sorted[0], median(values), sorted[sorted.len() - 1])
}
