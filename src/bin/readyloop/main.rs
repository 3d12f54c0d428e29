//! The command `readyloop`: from the arguments to the exit status.
//!
//! It owns arguments, output and exit status. Serving and connecting are in the library, and only
//! the public API of the library is used here.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod cert;
mod child;
mod cli_error;
mod client;
mod command_line;
mod compare;
mod conform;
mod descriptors;
mod doctor;
mod escape;
mod html_page;
mod input_file;
mod log_format;
mod log_writer;
mod logging;
mod manual;
mod output_file;
mod process_state;
mod progress;
mod quantity;
mod replay;
mod report;
mod serve;
mod sim;
mod standard_output;
mod stat;
mod stream;
mod supervise;
mod tls;
mod units;
mod usage_error;
mod watch;

use std::process::ExitCode;

use command_line::Subcommand;

fn main() -> ExitCode {
    process_state::normalize();
    let subcommand = match command_line::read(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(subcommand) => subcommand,
        Err(exit) => return exit.print(),
    };
    let result = match subcommand {
        Subcommand::Serve(settings) => serve::run(&settings, command_line::read_settings),
        Subcommand::Cert(settings) => cert::run(settings),
        Subcommand::Client(settings) => client::run(&settings),
        Subcommand::Bench(settings) => bench::run(&settings),
        Subcommand::Compare(settings) => compare::run(&settings),
        Subcommand::Conform(settings) => conform::run(&settings),
        Subcommand::Report(settings) => report::run(&settings),
        Subcommand::Sim(settings) => sim::run(&settings),
        Subcommand::Replay(settings) => replay::run(&settings),
        Subcommand::Stat(settings) => stat::run(&settings),
        Subcommand::Doctor(settings) => doctor::run(&settings),
        Subcommand::Man(settings) => manual::run(&settings, command_line::declaration()),
        Subcommand::Completions(settings) => manual::run_completions(&settings, &command_line::declaration()),
        Subcommand::Supervise(settings) => supervise::run(&settings),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.print(),
    }
}
