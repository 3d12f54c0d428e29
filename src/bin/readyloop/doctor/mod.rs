//! `readyloop doctor`: what this machine can hold, and what to change for more.
//!
//! It reads facts of the system and changes nothing. `findings` decides their meaning.

mod facts;
mod findings;

use std::path::Path;

use clap::Args;

use crate::cli_error::CliError;
use crate::quantity::{Unit, counted};
use crate::standard_output::print;
use crate::units::{above_zero, count};

use facts::Facts;
use findings::{Finding, Outcome, Verdict};

/// The flags of `doctor`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Connections that one server shall hold [default: what the descriptor limit allows]
    #[arg(short, long, value_name = "COUNT", value_parser = above_zero(count::<u64>))]
    connections: Option<u64>,
}

/// Prints the findings. Fails if the machine cannot hold the connections that were asked for.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    let facts = Facts::read(Path::new("/"));
    let outcome = findings::examine(&facts, settings.connections);
    print(&text(&outcome))?;
    let Outcome { wanted, holds, limited_by, .. } = outcome;
    if settings.connections.is_some() && holds < wanted {
        return Err(CliError::failure(
            format!(
                "this machine holds {}, less than {}: {limited_by} end first",
                counted(holds, "connection"),
                Unit::Count.print(wanted as f64)
            ),
            "type the commands of the lines that begin with `change`, and run it again",
        ));
    }
    Ok(())
}

fn text(outcome: &Outcome) -> String {
    let Outcome { wanted, holds, limited_by, findings } = outcome;
    let mut text = format!("for {} of one server\n\n", counted(*wanted, "connection"));
    for Finding { verdict, name, text: finding, command } in findings {
        let verdict = match verdict {
            Verdict::Fits => "ok",
            Verdict::Note => "note",
            Verdict::Change => "change",
            Verdict::Unknown => "unknown",
        };
        text.push_str(&format!("{verdict:<8} {name:<12} {finding}\n"));
        if let Some(command) = command {
            text.push_str(&format!("{:22}{command}\n", ""));
        }
    }
    let most = counted(*holds, "connection");
    text.push_str(&format!("\none server on this machine holds {most}; {limited_by} end first\n"));
    text
}

pub(crate) const UNITS: &str = "Counts are 1000, 10k or 1M.";

pub(crate) const HELP: &str = "\
LINES
  ok       it suffices for the connections
  note     it limits only some uses, or costs time
  change   it is too little; the next line is the command that changes it until the next start of the
           system. A file in /etc/sysctl.d keeps a setting of sysctl.
  unknown  this system has no such setting, or does not show it

EXAMPLES
  readyloop doctor
      Show what one server on this machine can hold.
  readyloop doctor -c 10
      Check that it can hold 10 connections; in a script, look at the exit status.

EXIT STATUS
  0  the machine can hold the connections of -c, or there is no -c
  1  it cannot, or standard output cannot be written
  2  wrong usage";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_command_below_its_line() {
        let facts = Facts { descriptors: Some((1_024, 4_096)), ..Facts::default() };
        let text = text(&findings::examine(&facts, Some(5_000)));
        assert!(text.starts_with("for 5,000 connections of one server\n\n"), "{text}");
        assert!(text.contains("\nchange   descriptors "), "{text}");
        assert!(text.contains("\n                      ulimit -n 5033\n"), "{text}");
        assert!(
            text.ends_with("\none server on this machine holds 4,063 connections; descriptors end first\n"),
            "{text}"
        );
    }
}
