//! The printed form: one line that says where and what, then a table with a row for each cell and server.

use std::fs;

use super::cell::Cell;
use super::entrant::Entrant;
use super::kernel::Wait;
use super::tally::Tally;

/// Where and how the run takes place.
pub(crate) struct Setting<'a> {
    /// The baseline, then what is compared with it.
    pub(crate) names: &'a [&'a str],
    pub(crate) rounds: usize,
    pub(crate) cores: usize,
    pub(crate) server_core: Option<usize>,
    pub(crate) generator_core: Option<usize>,
    pub(crate) wait: Wait,
}

/// Prints the line above the table and the table's head.
pub(crate) fn print_heading(setting: &Setting<'_>) {
    let place = match (setting.server_core, setting.generator_core) {
        (Some(server), Some(generator)) => {
            format!("{} cores: servers on {server}, generator on {generator}", setting.cores)
        }
        (None, _) | (_, None) => "1 core for servers and generator".to_owned(),
    };
    let manner = match setting.wait {
        Wait::Spin => "spinning",
        Wait::Sleep(_) | Wait::SleepForever => "sleeping when idle",
    };
    let (baseline, subjects) = setting.names.split_first().expect("there is a baseline");
    println!(
        "{} against {baseline}: {}, {place}, {manner}; closed loop, medians of {} interleaved rounds",
        subjects.join(", "),
        machine(),
        setting.rounds,
    );
    println!();
    println!(
        "{:<14} {:<16} {:>19}  {:>22}  {:>13}  {:>17}  {:>17}",
        "", "", "CPU µs a message", "ratio of CPU", "", "round trip µs p50", "p99"
    );
    println!(
        "{:<14} {:<16} {:>9} {:>9}  {:>6} {:>15}  {:>13}  {:>8} {:>8}  {:>8} {:>8}",
        "cell",
        "server",
        "blocking",
        "server",
        "median",
        "min .. max",
        "goal",
        "blocking",
        "server",
        "blocking",
        "server"
    );
}

/// Prints a row for each entrant but the baseline, which is in every row.
pub(crate) fn print_rows(cell: &Cell, entrants: &[&Entrant], tallies: &mut [Tally]) {
    let (baseline, subjects) = tallies.split_first_mut().expect("there is a baseline");
    let [base_p50, base_p99] = baseline.percentiles_ns([50, 99]).map(micros);
    for (entrant, subject) in entrants[1..].iter().zip(subjects) {
        let ratios = subject.ratios(baseline);
        let (least, median, most) = (ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
        let verdict = match entrant.goal(entrants[0], cell) {
            Some(goal) if median <= goal => format!("{goal:.2} met"),
            Some(goal) => format!("{goal:.2} missed"),
            None => String::new(),
        };
        let [p50, p99] = subject.percentiles_ns([50, 99]).map(micros);
        println!(
            "{:<14} {:<16} {:>9.2} {:>9.2}  {:>6.3} {:>15}  {:>13}  {:>8.0} {:>8.0}  {:>8.0} {:>8.0}",
            cell.name,
            entrant.name(),
            baseline.cpu_median_ns() / 1e3,
            subject.cpu_median_ns() / 1e3,
            median,
            format!("{least:.3} .. {most:.3}"),
            verdict,
            base_p50,
            p50,
            base_p99,
            p99,
        );
    }
}

/// Prints who could not take part, and why.
pub(crate) fn print_absent(cell: &Cell, entrants: &[&Entrant]) {
    for entrant in entrants {
        let objection = entrant.objection(cell).unwrap_or_default();
        println!("{:<14} {:<16} left out: {objection}", cell.name, entrant.name());
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

/// Kernel, processor and congestion control: what figures of another machine may differ by.
fn machine() -> String {
    let first_line = |path: &str| fs::read_to_string(path).ok().and_then(|text| text.lines().next().map(str::to_owned));
    let unknown = || "unknown".to_owned();
    let kernel = first_line("/proc/sys/kernel/osrelease").unwrap_or_else(unknown);
    let control = first_line("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_else(unknown);
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let model = text.lines().find_map(|line| line.strip_prefix("model name"))?;
        Some(model.trim_start_matches([' ', '\t', ':']).to_owned())
    });
    format!("Linux {kernel}, {}, {control}", processor.unwrap_or_else(unknown))
}
