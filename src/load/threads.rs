//! [`run`]: a run of the load generator on its threads, from the first connect to the record.

use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::admission::ServerLimits;
use crate::event_loop::{Dial, EventLoop};
use crate::net::{Destination, Net, Reactor};

use super::cost::Cost;
use super::datagrams::DatagramGenerator;
use super::generator::Generator;
use super::load_run::LoadRun;
use super::member::{Member, RunGroup};
use super::outcome::RunOutcome;
use super::plan::Plan;
use super::progress::RunProgress;
use super::record::Record;
use super::share::Share;

/// Time between two reports of the progress.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// The server of a run, and how the generator reaches it.
#[derive(Clone, Debug)]
pub enum LoadTarget {
    /// A server with connections, and the TLS of `dial` if it has any.
    Connections(Box<Dial>, Destination),
    /// A server with UDP datagrams.
    Datagrams(SocketAddr),
}

/// The result of [`run`].
#[derive(Debug)]
pub struct LoadResult {
    /// The run as plain data. Its name is empty.
    pub record: Record,
    /// The first error of TLS: why the server cannot be measured.
    pub tls_error: Option<io::Error>,
}

/// Error of [`run`].
#[derive(Debug, Error)]
pub enum LoadError {
    /// There is no process with the given id, or access to it is denied.
    #[error("cannot inspect the process of the server")]
    Inspect(#[source] io::Error),
    /// There are too few resources for the event loops, the threads or the sockets.
    #[error("cannot start the generator")]
    Start(#[source] io::Error),
    /// A turn of an event loop failed.
    #[error("the event loop failed")]
    Turn(#[source] io::Error),
}

/// Carries out `plan` on its threads. The resources of the server process `pid` are measured.
///
/// The calling thread waits for the end. It runs the event loop of `control`: a control event that ends a
/// program interrupts the run, and the measurements so far stay valid. `show` receives the progress four
/// times per second.
///
/// # Errors
/// The process `pid` cannot be inspected, a thread cannot be started, or a turn failed.
///
/// # Panics
/// A thread panicked, or the plan has no thread, which [`Plan::check`] rejects.
pub fn run(
    plan: &Plan,
    target: &LoadTarget,
    pid: Option<u32>,
    control: Reactor,
    mut show: Option<impl FnMut(&RunProgress)>,
) -> Result<LoadResult, LoadError> {
    let cost = Cost::new(pid).map_err(LoadError::Inspect)?;
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let reactors: io::Result<Vec<Reactor>> = (0..plan.threads).map(|_| control.with_same_clock()).collect();
    let reactors = reactors.map_err(LoadError::Start)?;
    let mut control = EventLoop::new(control, ServerLimits::default()).with_returned_control_events();
    let (group, members) = RunGroup::new(plan.threads, cost, Some(control.handle()));
    let mut threads = Vec::with_capacity(plan.threads);
    for (reactor, member) in reactors.into_iter().zip(members) {
        let (plan, target) = (part(plan, member.share), target.clone());
        let thread = thread::Builder::new().name("load".to_owned());
        let started = thread.spawn(move || target.run_part(reactor, plan, member));
        threads.push(started.map_err(LoadError::Start)?);
    }
    while group.is_running() {
        let until = show.is_some().then(|| control.net().now() + REPORT_INTERVAL);
        control.turn(until).inspect_err(|_| group.stop()).map_err(LoadError::Turn)?;
        while let Some(control_event) = control.poll_control_event() {
            if control_event.ends_program() {
                group.stop();
            }
        }
        show.iter_mut().for_each(|show| show(&group.progress()));
    }
    let ended = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
    let outcomes: Vec<RunOutcome> = ended.collect::<Result<_, _>>()?;
    let mut outcome = outcomes.into_iter().reduce(RunOutcome::plus).expect("a plan has at least one thread");
    let cost = Arc::into_inner(group).expect("all threads have ended").into_cost();
    let tls_error = outcome.tls_error.take();
    Ok(LoadResult { record: outcome.into_record(plan, cost, begun), tls_error })
}

/// The part of a plan that one thread carries out. Rates and numbers of requests stay those of the whole run: the
/// window of the thread takes its share of them.
fn part(plan: &Plan, share: Share) -> Plan {
    let part = |count: usize| share.part(count as u64) as usize;
    Plan { connections: part(plan.connections), idle: part(plan.idle), ..plan.clone() }
}

impl LoadTarget {
    fn run_part(self, reactor: Reactor, plan: Plan, member: Member) -> Result<RunOutcome, LoadError> {
        match self {
            Self::Connections(dial, server) => Generator::new(reactor, *dial, server, plan, member).run(),
            Self::Datagrams(server) => {
                DatagramGenerator::over(reactor, server, plan, member).map_err(LoadError::Start)?.run()
            }
        }
        .map_err(LoadError::Turn)
    }
}
