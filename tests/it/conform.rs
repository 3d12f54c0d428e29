//! `readyloop conform`: right servers pass, each planted fault is caught, and the outputs agree.

mod faults;
mod faulty_answer;
mod faulty_datagrams;
mod faulty_server;
mod outputs;

use std::time::Duration;

use crate::support::{Ended, Serve};

/// A run of all rows takes a third of this on a quiet machine.
const WITHIN: Duration = Duration::from_secs(180);

/// Runs a command to its end.
#[track_caller]
fn checked(conform: Serve) -> Ended {
    conform.run_within(WITHIN)
}

/// The verdict and the name of each row in the table.
fn verdicts(ended: &Ended) -> Vec<(String, String)> {
    let row = |line: &String| {
        let mut words = line.split_whitespace();
        let verdict = words.next().filter(|word| ["PASS", "FAIL", "SKIP"].contains(word))?;
        Some((verdict.to_owned(), words.next()?.to_owned()))
    };
    ended.out.iter().filter_map(row).collect()
}

/// `readyloop serve` with datagrams at the same port.
fn serve_command() -> String {
    format!("{} serve -q -l 127.0.0.1:{{port}} -l udp://127.0.0.1:{{port}}", env!("CARGO_BIN_EXE_readyloop"))
}

#[test]
fn the_server_of_this_crate_passes_every_row() {
    let ended = checked(Serve::command("conform --udp --server").arg(&serve_command()));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out.join("\n"), ended.log_text());
    let verdicts = verdicts(&ended);
    assert!(verdicts.len() > 20 && verdicts.iter().all(|(verdict, _)| verdict == "PASS"), "{}", ended.out.join("\n"));
}

#[test]
fn a_process_in_the_background_of_a_command_is_not_taken_for_the_server() {
    let command = format!("tail -f /dev/null & {}; exit $?", serve_command());
    let ended = checked(Serve::command("conform --only drain-idle,drain-data,restart --server").arg(&command));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out.join("\n"), ended.log_text());
}
