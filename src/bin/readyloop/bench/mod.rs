//! `readyloop bench`: measures a server.
//!
//! This file has the order of the steps and the help; each step is a file of its own.

mod drive;
mod exit_status;
mod find_rate;
mod hgrm;
mod preflight;
mod settings;
mod shape_text;
mod shape_values;
mod shapes;
mod sources;
mod text;
mod threshold;

use crate::cli_error::CliError;
use crate::logging;
use crate::output_file;
use crate::report::Form;
use crate::standard_output::print;

use settings::Output;
pub(crate) use settings::{Settings, plan_hint};

/// Runs the subcommand: checks, measures and reports.
pub(crate) fn run(settings: &Settings) -> Result<(), CliError> {
    logging::start(&settings.verbosity);
    let plan = settings.plan()?;
    let Output { json, hgrm, html, fail_if, .. } = &settings.output;
    let outputs = [("--hgrm", hgrm), ("--html", html)];
    output_file::check(outputs.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?))))?;
    preflight::check(&plan)?;
    if let Some(goal) = &settings.find_rate {
        return find_rate::run(goal, &plan, settings);
    }
    let measured = drive::measure(&plan, settings)?;
    exit_status::check_measured(&measured)?;
    let record = &measured.record;
    let printed = print(&if *json { record.to_json() } else { text::report(record) });
    let page = || Form::Html.print(&[record.clone().into()]);
    let hgrm = hgrm.iter().map(|path| (path.as_path(), hgrm::print(&record.latency)));
    let written = output_file::write_all(hgrm.chain(html.iter().map(|path| (path.as_path(), page()))));
    printed.and(written)?;
    exit_status::check_outcome(&measured, settings.pid, fail_if)
}

pub(crate) const UNITS: &str = "Counts: 1000, 10k, 1M. Sizes: 64B, 4KiB, 1MiB. Durations: 500ms, 2s, 1m.";

pub(crate) const HELP: &str = "\
`--threads` sets the number of threads. Each has an event loop and a share of the connections. The
default is a closed loop: each answer triggers the next request. If the server stalls, it receives
fewer requests, so the stall hardly shows in the percentiles. With --rate, requests are sent at planned times, however fast the server answers.
Latency is then measured from the planned time, as independent users would experience it.

EXAMPLES
  readyloop bench 127.0.0.1:7007
      Closed loop with 50 connections and 64 bytes per request, for 10 seconds.
  readyloop bench 127.0.0.1:7007 -c 1000 --rate 20k --fail-if 'p99>5ms'
      Open loop. The exit status is 3 if the 99th percentile is above 5 ms.
  readyloop bench 127.0.0.1:7007 --find-rate 'p99<5ms' --html curve.html
      Search for the highest rate whose 99th percentile is below 5 ms, and draw latency against rate.
  readyloop bench 127.0.0.1:7007 -c 100 --idle 10k --pid $(pidof readyloop)
      100 busy and 10,000 idle connections, with the CPU time and memory of the server.
  readyloop bench 127.0.0.1:7007 -c 1000 --threads 2
      Two threads with 500 connections each, for a server that uses several cores.
  readyloop bench 127.0.0.1:7007 --churn -c 64
      A new connection per request: connect, one echo, close.
  readyloop bench 127.0.0.1:7007 -c 50k --source 127.0.0.2-127.0.0.9
      More connections than one source address has ports.
  readyloop bench tls://localhost:7443 --ca ca.pem -n 100k --json > run.json
      100,000 requests over TLS, to a server with the certificate of `readyloop cert`. The result
      is JSON.
  readyloop bench 127.0.0.1:7007 -c 200 --think exp:10ms -s 64B..16KiB --lifetime exp:5s
      Users that pause 10 ms on average, send requests of many lengths, and reconnect every 5 seconds.
  readyloop bench 127.0.0.1:7007 -c 10..1000 --ramp 30s --html ramp.html
      Rate and latency against a number of connections that rises from 10 to 1,000.
  printf 'PING\\r\\n' > ping && readyloop bench 127.0.0.1:6379 --request ping --expect 'until:\\r\\n'
      PING to a server that speaks the protocol of Redis, such as examples/24_kv.
  printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' > get && \\
      readyloop bench 127.0.0.1:9007 -c 4 --request get --expect 'until:\\r\\n\\r\\nok\\n'
      HTTP requests over connections that stay open, to the administration endpoint of `serve`.

ENVIRONMENT
  RUST_LOG  log filter in the syntax of env_logger; overrides -v and -q

EXIT STATUS
  0  finished or interrupted, and no request failed
  1  a request failed, an answer was wrong, the rate stayed below 99 % of --rate, nothing was
     measured, no rate was found, the process of --pid ended, this machine has too few descriptors or ports, or an
     output cannot be written; a lost UDP datagram is counted, but is not a failure
  2  wrong usage; no request was sent
  3  a --fail-if threshold was exceeded";
