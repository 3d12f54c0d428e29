//! The command `readyloop`: from the words on a command line to an exit status.
//!
//! It owns arguments, output and exit status. Whatever serves a peer is in the library, of which
//! it sees only the public face.

mod bench;
mod cert;
mod cli_error;
mod client;
mod command_line;
mod compare;
mod logging;
mod report;
mod serve;
mod sim;
mod tls;
mod units;

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
        other => unreachable!("no such subcommand is declared: {other:?}"),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.print(),
    }
}
