//! The command `readyloop`: from the arguments to the exit status.
//!
//! It owns arguments, output and exit status. Serving and connecting are in the library, and only
//! the public API of the library is used here.

mod bench;
mod cert;
mod cli_error;
mod client;
mod command_line;
mod compare;
mod exit_status;
mod logging;
mod quantity;
mod report;
mod serve;
mod sim;
mod supervise;
mod tls;
mod units;
mod usage_error;

use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = match command_line::read(std::env::args_os()) {
        Ok(matches) => matches,
        Err(exit) => return exit.print(),
    };
    let result = match matches.subcommand() {
        Some((serve::NAME, matches)) => serve::run(matches),
        Some((cert::NAME, matches)) => cert::run(matches),
        Some((client::NAME, matches)) => client::run(matches),
        Some((bench::NAME, matches)) => bench::run(matches),
        Some((compare::NAME, matches)) => compare::run(matches),
        Some((report::NAME, matches)) => report::run(matches),
        Some((sim::NAME, matches)) => sim::run(matches),
        Some((supervise::NAME, matches)) => supervise::run(matches),
        other => unreachable!("clap accepts declared subcommands only: {other:?}"),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.print(),
    }
}
