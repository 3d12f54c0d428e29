//! `readyloop stat`: the numbers of a running server, one line a second, like vmstat.
//!
//! It reads the report of the administration endpoint and prints the differences.

mod report;

use std::io;
use std::time::Duration;

use clap::Args;
use readyloop::Address;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli_error::CliError;
use crate::standard_output::{OutputState, print_and_check};
use crate::units::{ParseError, above_zero, address, count, duration};

use report::Report;

/// The header is printed again after this many lines.
const LINES_PER_HEADER: u64 = 20;

/// The flags of `stat`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Address of `serve --admin`: HOST:PORT or unix:/PATH
    #[arg(value_name = "ADMIN", value_parser = admin_address)]
    address: Address,

    /// End after this many lines [default: no end]
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = above_zero(count::<u64>))]
    count: Option<u64>,

    /// Time between two lines
    #[arg(short, long, value_name = "DURATION", value_parser = above_zero(duration), default_value = "1s")]
    interval: Duration,
}

/// Parses the address of an administration endpoint, also in the form that a browser takes.
fn admin_address(text: &str) -> Result<Address, ParseError> {
    let text = text.trim();
    match address(text.strip_prefix("http://").map_or(text, |rest| rest.trim_end_matches('/')))? {
        Address::Tls(_) | Address::Udp(_) => Err(ParseError::new(
            "an administration endpoint is TCP or a Unix socket",
            "type the address of `readyloop serve --admin`, such as 127.0.0.1:9007 or unix:/run/admin.sock",
        )),
        address @ (Address::Tcp(_) | Address::Unix(_)) => Ok(address),
    }
}

/// Prints lines until the count is reached, standard output is closed or the server is gone.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    let mut last = Report::default();
    for line in 0..settings.count.unwrap_or(u64::MAX) {
        if line > 0 && is_closed_within(settings.interval) {
            break;
        }
        let report = Report::fetch(&settings.address)?;
        let header = if line % LINES_PER_HEADER == 0 { report::HEADER } else { "" };
        if print_and_check(&format!("{header}{}\n", report.since(&last)))? == OutputState::Closed {
            break;
        }
        last = report;
    }
    Ok(())
}

/// Waits for the interval, or until the reader of standard output has closed it.
fn is_closed_within(interval: Duration) -> bool {
    let timeout = Timespec::try_from(interval).ok();
    // A closed pipe is an error event, which needs no interest.
    poll(&mut [PollFd::new(&io::stdout(), PollFlags::empty())], timeout.as_ref()).is_ok_and(|events| events > 0)
}

pub(crate) const UNITS: &str = "Counts are 1000, 10k or 1M; durations 500ms, 2s or 1m.";

pub(crate) const HELP: &str = "\
COLUMNS
  open       open connections
  opened     connections opened per second
  closed     connections closed per second
  read       bytes read from peers per second
  written    bytes written to peers per second
  frames     frames served per second
  queued     bytes queued for peers and not written
  turns      turns of the event loop per second
  busy       share of the time that the event loop did not sleep
  turn p99   99% of the turns took at most this long, without the poll
  The first line has the averages since the start of the server.

EXAMPLES
  readyloop stat 127.0.0.1:9007 -n 1
      Print the averages since the start of `readyloop serve --admin 127.0.0.1:9007`.
  readyloop stat unix:/run/readyloop.sock -i 10s
      Print a line every 10 seconds until Ctrl-C.

EXIT STATUS
  0  all lines were printed, or standard output is a closed pipe
  1  the server cannot be reached, or it is not an administration endpoint
  2  wrong usage";
