//! Logging on standard error: one line an event, with its time and its level.
//!
//! Results go to standard output and are not logged.

use std::io::{self, Write as _};

use clap::{ArgAction, Args};
use env_logger::{Builder, Env, Target, WriteStyle};
use log::LevelFilter;

use crate::log_format::{LogFormat, is_stderr_journal, json_line, priority};
use crate::log_writer::LogWriter;
use crate::stream::has_colors;
use crate::units::switch;

/// The flags for the log level.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verbosity {
    /// Log more: once for debug, twice for trace
    #[arg(short, long, value_name = "STEPS", action = ArgAction::Append)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub(crate) verbose: Vec<u8>,

    /// Log errors only; overrides -v
    ///
    /// Standard output is not affected.
    #[arg(short, long, value_name = "BOOL", action = ArgAction::Set, value_parser = switch, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(crate) quiet: bool,
}

impl Verbosity {
    fn level(&self) -> LevelFilter {
        let steps = self.verbose.iter().fold(0_u8, |sum, steps| sum.saturating_add(*steps));
        match (self.quiet, steps) {
            (true, _) => LevelFilter::Error,
            (false, 0) => LevelFilter::Info,
            (false, 1) => LevelFilter::Debug,
            (false, 2..) => LevelFilter::Trace,
        }
    }
}

/// Starts logging as text. `RUST_LOG` overrides the flags.
pub(crate) fn start(verbosity: &Verbosity) {
    start_as(LogFormat::Text, verbosity, None);
}

/// Starts logging in this format. `RUST_LOG` overrides the flags.
///
/// Text for the journal of systemd has priorities and no times. One process of several has its number in each line.
pub(crate) fn start_as(format: LogFormat, verbosity: &Verbosity, process: Option<usize>) {
    let format = if format == LogFormat::Text && is_stderr_journal() { LogFormat::Journal } else { format };
    let style = if has_colors(&io::stderr()) { WriteStyle::Always } else { WriteStyle::Never };
    let name = process.map_or_else(String::new, |number| format!("process {number}: "));
    Builder::new()
        // The level of the flags can change, so the logger itself takes all.
        .filter_level(if has_filter() { verbosity.level() } else { LevelFilter::Trace })
        .target(Target::Pipe(Box::new(LogWriter::new(io::stderr(), format))))
        .write_style(style)
        .parse_env(Env::default())
        .format(move |line, record| match format {
            LogFormat::Text => {
                let (time, level) = (line.timestamp_millis(), record.level());
                let style = line.default_level_style(level);
                writeln!(line, "{time} {style}{level:<5}{style:#} {name}{}", record.args())
            }
            LogFormat::Json => {
                let (time, message) = (line.timestamp_millis(), record.args().to_string());
                writeln!(line, "{}", json_line(time, record.level(), record.target(), process, &message))
            }
            LogFormat::Journal => writeln!(line, "{}{name}{}", priority(record.level()), record.args()),
        })
        .init();
    change_level(verbosity);
}

/// Changes the level of the log to that of the flags, unless `RUST_LOG` is set.
pub(crate) fn change_level(verbosity: &Verbosity) {
    if !has_filter() {
        log::set_max_level(verbosity.level());
    }
}

fn has_filter() -> bool {
    std::env::var_os("RUST_LOG").is_some_and(|filter| !filter.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(quiet: bool, verbose: &[u8], expected: LevelFilter) {
        assert_eq!(Verbosity { quiet, verbose: verbose.to_vec() }.level(), expected);
    }

    #[test]
    fn each_verbose_step_adds_a_level_and_quiet_overrides_them() {
        check(false, &[], LevelFilter::Info);
        check(false, &[1], LevelFilter::Debug);
        check(false, &[1, 1], LevelFilter::Trace);
        check(false, &[2], LevelFilter::Trace);
        check(false, &[255, 255], LevelFilter::Trace);
        check(true, &[1, 1], LevelFilter::Error);
    }
}
