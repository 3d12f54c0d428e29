//! The printed form: a row for each figure, with what the machine cannot tell apart beside it.

use super::contestant::{Contestant, Figures, MESSAGE_LEN};

/// The most that `readyloop bench` may cost of the loop on raw epoll.
const GOAL: f64 = 1.3;

/// Prints what the tables below are about.
pub(crate) fn print_heading(rounds: usize, messages: usize) {
    println!(
        "readyloop bench beside a loop on raw epoll (CPU) and an independent generator (the rest): \
         {MESSAGE_LEN} B, closed loop, medians of {rounds} interleaved rounds of up to {messages} messages"
    );
    println!("ratios are min .. median .. max of the rounds; `noise` is the other against itself");
    println!();
    println!(
        "{:<11} {:<14} {:>9} {:>9}   {:>24}   {:>24}",
        "connections", "figure", "other", "bench", "ratio", "noise"
    );
}

/// Prints the rows of one number of connections; the columns are in the order of [`Contestant::ALL`].
pub(crate) fn print(connections: usize, columns: &[Vec<Figures>]) {
    use Contestant::{Bench, Independent, IndependentAgain, RawLoop, RawLoopAgain};
    type Figure = (&'static str, [Contestant; 2], fn(&Figures) -> f64);
    let rows: [Figure; 4] = [
        ("CPU µs each", [RawLoop, RawLoopAgain], |figures| figures.cpu_ns / 1e3),
        ("rate k/s", [Independent, IndependentAgain], |figures| figures.rate / 1e3),
        ("p50 µs", [Independent, IndependentAgain], |figures| figures.p50_ns / 1e3),
        ("p99 µs", [Independent, IndependentAgain], |figures| figures.p99_ns / 1e3),
    ];
    let column = |contestant: Contestant, figure: fn(&Figures) -> f64| -> Vec<f64> {
        let place = Contestant::ALL.iter().position(|other| *other == contestant).expect("it is one of all");
        columns[place].iter().map(figure).collect()
    };
    for (row, (name, [other, again], figure)) in rows.into_iter().enumerate() {
        let [other, again, bench] = [other, again, Bench].map(|contestant| column(contestant, figure));
        let (ratio, noise) = (ratios(&bench, &other), ratios(&again, &other));
        let verdict = match median(&ratio) {
            _ if row > 0 => String::new(),
            ratio if ratio <= GOAL => format!("   {GOAL:.2} met"),
            _ => format!("   {GOAL:.2} missed"),
        };
        println!(
            "{:<11} {name:<14} {:>9.2} {:>9.2}   {:>24}   {:>24}{verdict}",
            connections,
            median(&other),
            median(&bench),
            spread(&ratio),
            spread(&noise),
        );
    }
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
