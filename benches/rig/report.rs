//! The printed report: a line about the run and the machine, then a table with a row for each cell and server.

use readyloop::load::record::Machine;

use super::cell::Cell;
use super::kernel::Wait;
use super::measurements::Measurements;
use super::participant::Participant;

/// The note above the table of a quick run.
pub(crate) const QUICK_RUN: &str =
    "QUICK RUN: few rounds and messages, so the noise is large; `cargo bench` without --quick makes a full run";

/// The conditions of the run.
pub(crate) struct Setting<'a> {
    /// The baseline, then the servers that are compared with it.
    pub(crate) names: &'a [&'a str],
    pub(crate) rounds: usize,
    pub(crate) is_quick: bool,
    pub(crate) cores: usize,
    pub(crate) server_core: Option<usize>,
    pub(crate) generator_core: Option<usize>,
    pub(crate) wait: Wait,
}

/// Prints the lines above the table and its header.
pub(crate) fn print_heading(setting: &Setting<'_>) {
    let cores = match (setting.server_core, setting.generator_core) {
        (Some(server), Some(generator)) => {
            format!("{} cores: servers on {server}, generator on {generator}", setting.cores)
        }
        (None, _) | (_, None) => "1 core for servers and generator".to_owned(),
    };
    let generator = match setting.wait {
        Wait::Spin => "generator spins",
        Wait::Sleep(_) | Wait::SleepForever => "generator sleeps when idle",
    };
    let (baseline, subjects) = setting.names.split_first().expect("there is a baseline");
    println!(
        "{} compared with {baseline}: {}, {cores}, {generator}; closed loop, medians of {} interleaved rounds",
        subjects.join(", "),
        machine(),
        setting.rounds,
    );
    if setting.is_quick {
        println!("{QUICK_RUN}");
    }
    println!();
    println!(
        "{:<14} {:<16} {:>19}  {:>22}  {:>13}  {:>17}  {:>17}",
        "", "", "CPU µs a message", "ratio of CPU", "", "round trip µs p50", "p99"
    );
    println!(
        "{:<14} {:<16} {:>9} {:>9}  {:>6} {:>15}  {:>13}  {:>8} {:>8}  {:>8} {:>8}",
        "cell",
        "server",
        "baseline",
        "server",
        "median",
        "min .. max",
        "goal",
        "baseline",
        "server",
        "baseline",
        "server"
    );
}

/// Prints a row for each server; every row includes the baseline.
pub(crate) fn print_rows(cell: &Cell, participants: &[&Participant], measurements: &mut [Measurements]) {
    let (baseline, subjects) = measurements.split_first_mut().expect("there is a baseline");
    let [base_p50, base_p99] = baseline.percentiles_ns([50, 99]).map(micros);
    for (participant, subject) in participants[1..].iter().zip(subjects) {
        let ratios = subject.ratios(baseline);
        let (least, median, most) = (ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
        let verdict = match participant.goal(participants[0], cell) {
            Some(goal) if median <= goal => format!("{goal:.2} met"),
            Some(goal) => format!("{goal:.2} missed"),
            None => String::new(),
        };
        let [p50, p99] = subject.percentiles_ns([50, 99]).map(micros);
        println!(
            "{:<14} {:<16} {:>9.2} {:>9.2}  {:>6.3} {:>15}  {:>13}  {:>8.0} {:>8.0}  {:>8.0} {:>8.0}",
            cell.name,
            participant.name(),
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

/// Prints the servers that cannot serve the load, and the reasons.
pub(crate) fn print_left_out(cell: &Cell, participants: &[&Participant]) {
    for participant in participants {
        let reason = participant.reason_left_out(cell).unwrap_or_default();
        println!("{:<14} {:<16} left out: {reason}", cell.name, participant.name());
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

/// The kernel, the processor and the congestion control of this machine.
fn machine() -> String {
    let Machine { kernel, processor, congestion_control, .. } = Machine::here();
    format!("{kernel}, {processor}, {congestion_control}")
}
