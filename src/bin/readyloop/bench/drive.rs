//! Driving a run: where it leads to, what lies over its connections, and who may break it off.

use std::time::{SystemTime, UNIX_EPOCH};

use readyloop::Reactor;
use readyloop::client::{Connect, ConnectError, resolve};
use readyloop::load::{Generator, Plan, Record};
use readyloop::net::{Address, Bare, Destination, Layer, Net, Notice};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::client::tls_target;
use crate::problem::{Problem, system_words};

use super::progress::Progress;
use super::settings::Settings;

/// Makes the run that was asked for.
pub(super) fn measure(plan: Plan, settings: &Settings) -> Result<Record, Problem> {
    let to = destination(&plan)?;
    match tls_target(&plan.address, &settings.tls)? {
        Some(target) => run(target, to, plan, settings),
        None => run(Bare, to, plan, settings),
    }
}

/// Where the address leads. Of the several that a name stands for, the one that answers.
fn destination(plan: &Plan) -> Result<Destination, Problem> {
    let address = &plan.address;
    let found = match resolve(address, plan.timeout) {
        Ok(found) => found,
        Err(error) => return Err(unknown(address, &error)),
    };
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => Err(Problem::failure(format!("{address} stands for no address"), "type an address in numbers")),
        [..] => {
            let connect = Connect { timeout: plan.timeout, ..Connect::default() };
            connect.to(address).map(|connected| connected.to).map_err(|error| unknown(address, &error))
        }
    }
}

fn unknown(address: &Address, error: &ConnectError) -> Problem {
    let hint = match error {
        ConnectError::LookUp { .. } => "check the name; an address such as 127.0.0.1:7007 needs no look-up",
        ConnectError::TimedOut { .. } | ConnectError::Failed { .. } => "is the server up? `readyloop serve` starts one",
        ConnectError::System(_) => "the system has run out of something: descriptors, threads or memory",
    };
    Problem::failure(format!("cannot reach {address}: {error}"), hint)
}

fn run<W>(layer: W, to: Destination, plan: Plan, settings: &Settings) -> Result<Record, Problem>
where
    W: Layer<<Reactor as Net>::Stream>,
{
    let name = settings.output.name.clone().unwrap_or_else(|| plan.address.to_string());
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let reactor = reactor().map_err(|error| no_room(&error))?;
    let mut generator = Generator::new(reactor, layer, to, plan, settings.pid).map_err(|error| match settings.pid {
        Some(pid) => Problem::failure(
            format!("cannot look at process {pid}: {}", system_words(&error)),
            "type the number of a process of yours that runs; `pidof readyloop` tells some",
        ),
        None => no_room(&error),
    })?;
    let mut progress = Progress::start();
    loop {
        match generator.turn() {
            Ok(None) => progress.show(|| generator.glance()),
            Ok(Some(_)) => break,
            Err(error) => {
                return Err(Problem::failure(
                    format!("the loop broke: {}", system_words(&error)),
                    "this should not happen: please report it",
                ));
            }
        }
    }
    progress.end();
    Ok(generator.into_record(name, begun))
}

/// A reactor that hears who wants to break the run off.
fn reactor() -> std::io::Result<Reactor> {
    let mut reactor = Reactor::new()?;
    reactor.watch_signal(SIGINT, Notice::Stop)?;
    reactor.watch_signal(SIGTERM, Notice::Stop)?;
    Ok(reactor)
}

fn no_room(error: &std::io::Error) -> Problem {
    Problem::failure(format!("cannot begin: {}", system_words(error)), "raise the descriptor limit: `ulimit -n 1024`")
}
