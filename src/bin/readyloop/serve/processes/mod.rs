//! `serve --processes`: several processes on the same addresses, under one supervisor.
//!
//! The supervisor binds a listening socket for each process and address, and keeps all of them. So a connection in
//! the backlog of a process that has crashed waits for the next process in the same place. The supervisor serves no
//! connection except those of the administration endpoint.

mod places;
mod sockets;
mod worker;

use std::io::{ErrorKind, PipeReader, Read as _};
use std::ops::ControlFlow;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use log::{error, info, warn};
use readyloop::admin::{ProcessEndpoint, ProcessList, listen_for_processes};
use readyloop::instant;
use readyloop::net::ControlEvent;
use readyloop::net::inherited::InheritedSockets;
use readyloop::{Address, EventLoop, Reactor, ServerLimits};
use rustix::io::ioctl_fionbio;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::cli_error::{BUG, CliError, io_message};

use crate::standard_output::OutputState;

use super::announce::{self, Announced};
use super::launch;
use super::notify::Notifier;
use super::settings::Settings;
use places::{Action, Ended, Places, Timeouts, WorkerId};
use sockets::Sockets;
use worker::{Worker, WorkerCommand};

/// How much longer than all stages of its shutdown a process may take to end.
const END_GRACE: Duration = Duration::from_secs(5);

/// A report of a process, through its pipe.
#[derive(Clone, Copy, Debug)]
enum Report {
    Ready(WorkerId),
    Ended(WorkerId),
}

/// The processes, and what each of them needs.
struct Supervisor {
    places: Places,
    workers: Vec<Worker>,
    sockets: Sockets,
    command: WorkerCommand,
    /// How often a process was started in each place.
    starts: Vec<u64>,
    /// The folder of their administration sockets, for the owner only.
    folder: TempDir,
    list: ProcessList,
    reports: (Sender<Report>, Receiver<Report>),
    /// `None` unless the service manager waits for notifications.
    notifier: Option<Notifier>,
    /// Why the server cannot start.
    failure: Option<ExitStatus>,
}

/// Runs the processes until a signal ends them. Announces the addresses once all processes serve.
pub(super) fn run(
    settings: &Settings,
    inherited: InheritedSockets,
    notifier: Option<Notifier>,
) -> Result<(), CliError> {
    let mut event_loop =
        EventLoop::new(launch::reactor(ControlEvent::Restart)?, ServerLimits::default()).with_returned_control_events();
    let mut supervisor = Supervisor::new(settings, inherited, notifier)?;
    let admin = match &settings.admin {
        Some(address) => Some(launch::listen_admin(address, |address| {
            listen_for_processes(&mut event_loop, address.clone(), supervisor.list.clone())
        })?),
        None => None,
    };
    let mut announced = None;
    while !supervisor.places.is_done() {
        if announced.is_none() && supervisor.places.are_all_serving() {
            announced = Some(supervisor.announce(settings, admin.as_ref())?);
        }
        supervisor.act(&mut event_loop);
        let turned = event_loop.turn(supervisor.next_at(event_loop.now()));
        turned.map_err(|error| CliError::system("the event loop failed", &error, BUG))?;
        while let Some(control_event) = event_loop.poll_control_event() {
            supervisor.handle_control_event(control_event);
        }
        supervisor.handle_reports();
        supervisor.notify_status(event_loop.now());
    }
    match supervisor.failure {
        None => Ok(()),
        Some(status) => Err(CliError::failure(
            format!("a process could not start: {status}"),
            "its own error is above; without --processes, the same error appears alone",
        )),
    }
}

impl Supervisor {
    fn new(settings: &Settings, inherited: InheritedSockets, notifier: Option<Notifier>) -> Result<Self, CliError> {
        let count = settings.threads.processes;
        let total = &settings.total;
        let stages = [total.shutdown_delay, total.lame_duck_timeout, total.drain_timeout, END_GRACE];
        let end = stages.into_iter().fold(Duration::ZERO, Duration::saturating_add);
        let timeouts = Timeouts { ready: settings.threads.ready_timeout, end };
        let hint = "check that the temporary directory is writable";
        let folder = tempfile::Builder::new().prefix("readyloop-").tempdir();
        Ok(Self {
            places: Places::new(count, timeouts, Instant::now()),
            workers: Vec::new(),
            starts: vec![0; count],
            sockets: Sockets::bind(settings, inherited, count)?,
            command: WorkerCommand::of_this_program()
                .map_err(|error| CliError::system("cannot find the path of this program", &error, BUG))?,
            folder: folder.map_err(|error| CliError::system("cannot make a temporary directory", &error, hint))?,
            list: ProcessList::default(),
            reports: channel(),
            notifier,
            failure: None,
        })
    }

    /// Announces that all processes serve.
    fn announce(&mut self, settings: &Settings, admin: Option<&Address>) -> Result<Announced, CliError> {
        self.notify(Notifier::ready);
        let announced = announce::announce(settings, &self.sockets.addresses, admin)?;
        if announced.output == OutputState::Closed {
            self.places.end();
        }
        Ok(announced)
    }

    /// When something is to be done even if no event comes.
    fn next_at(&self, now: instant::Instant) -> Option<instant::Instant> {
        let action_at = self.places.next_action_at().map(|at| now + at.saturating_duration_since(Instant::now()));
        action_at.into_iter().chain(self.notifier.as_ref().and_then(Notifier::next_at)).min()
    }

    fn notify(&mut self, notify: impl FnOnce(&mut Notifier)) {
        if let Some(notifier) = &mut self.notifier {
            notify(notifier);
        }
    }

    fn notify_status(&mut self, now: instant::Instant) {
        let serving = self.places.serving_count();
        self.notify(|notifier| notifier.handle_time(now, || Some(format!("{serving} processes serve"))));
    }

    /// Carries out all actions that are due.
    fn act(&mut self, event_loop: &mut EventLoop<Reactor>) {
        while let Some(action) = self.places.poll_action(Instant::now()) {
            match action {
                Action::Start(id, place) => self.start(id, place, event_loop),
                Action::HandOver(id) => self.signal(id, Signal::USR2),
                Action::Drain(id) => self.signal(id, Signal::TERM),
                Action::Kill(id) => {
                    warn!("process {} is killed: it takes too long", self.places.number(id).unwrap_or_default());
                    self.signal(id, Signal::KILL);
                }
            }
        }
        self.list.replace((0..self.places.len()).map(|place| self.endpoint(place)).collect());
    }

    /// The administration endpoint of a place.
    fn endpoint(&self, place: usize) -> ProcessEndpoint {
        let serving = self.places.serving(place);
        let worker = self.workers.iter().find(|worker| Some(worker.id) == serving);
        ProcessEndpoint {
            name: (place + 1).to_string(),
            path: worker.map(|worker| worker.admin.clone()),
            starts: self.starts[place],
        }
    }

    fn start(&mut self, id: WorkerId, place: usize, event_loop: &mut EventLoop<Reactor>) {
        self.starts[place] += 1;
        let started = self.command.start(id, place, self.folder.path(), self.sockets.of(place));
        let watched = started.and_then(|(worker, output)| {
            info!("process {}: started with pid {}", place + 1, worker.pid());
            self.workers.push(worker);
            ioctl_fionbio(&output, true)?;
            let sender = self.reports.0.clone();
            event_loop.watch(output, move |output, _, _| read_reports(output, id, &sender))
        });
        if let Err(error) = watched {
            error!("process {} cannot be started: {}", place + 1, io_message(&error));
            self.handle_ended(id);
        }
    }

    fn handle_reports(&mut self) {
        let reports: Vec<Report> = self.reports.1.try_iter().collect();
        for report in reports {
            match report {
                Report::Ready(id) => {
                    let was_restarting = self.places.is_restarting();
                    self.places.handle_ready(id, Instant::now());
                    if was_restarting && !self.places.is_restarting() {
                        info!("restart: all processes are replaced");
                    }
                }
                Report::Ended(id) => self.handle_ended(id),
            }
        }
    }

    fn handle_ended(&mut self, id: WorkerId) {
        let Some(number) = self.places.number(id) else { return };
        let index = self.workers.iter().position(|worker| worker.id == id);
        let status = index.and_then(|index| self.workers.remove(index).wait().ok());
        let what = status.map_or_else(|| "did not start".to_owned(), |status| format!("ended with {status}"));
        match self.places.handle_ended(id, Instant::now()) {
            None => {}
            Some(Ended::Expected) => info!("process {number}: {what}"),
            Some(Ended::Crashed(pause)) => error!("process {number}: {what}; the next starts in {pause:?}"),
            Some(Ended::NotReplaced) => {
                error!("restart failed, the processes go on: the new process {number} {what}");
            }
            Some(Ended::NotStarted) => {
                self.failure = self.failure.or(Some(status.unwrap_or_default()));
                self.places.end();
            }
        }
    }

    fn handle_control_event(&mut self, control_event: ControlEvent) {
        match control_event {
            // A second signal ends each process at once, so it is passed on.
            ControlEvent::ShutDown | ControlEvent::Drain | ControlEvent::Stop if self.places.is_ending() => {
                self.signal_all(Signal::TERM);
            }
            ControlEvent::ShutDown | ControlEvent::Drain | ControlEvent::Stop => {
                self.notify(Notifier::stopping);
                self.places.end();
            }
            ControlEvent::Reload => {
                self.notify(|notifier| notifier.reloading());
                self.signal_all(Signal::HUP);
                self.notify(Notifier::ready);
            }
            ControlEvent::Totals => self.signal_all(Signal::USR1),
            ControlEvent::Restart => {
                if self.places.restart() {
                    info!("restart: replacing {} processes one after another", self.places.len());
                } else {
                    warn!("no restart, because one or a shutdown is under way already");
                }
            }
            ControlEvent::Wake | ControlEvent::LameDuck(_) | ControlEvent::HandOver => {}
        }
    }

    fn signal(&self, id: WorkerId, signal: Signal) {
        self.workers.iter().filter(|worker| worker.id == id).for_each(|worker| worker.signal(signal));
    }

    fn signal_all(&self, signal: Signal) {
        self.workers.iter().for_each(|worker| worker.signal(signal));
    }
}

/// Reads what a process has written: it is ready. The end of its output is its own.
fn read_reports(output: &mut PipeReader, id: WorkerId, sender: &Sender<Report>) -> ControlFlow<()> {
    let mut bytes = [0; 4096];
    loop {
        // The receiver lives as long as the loop.
        let _ = match output.read(&mut bytes) {
            Ok(1..) => sender.send(Report::Ready(id)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return ControlFlow::Continue(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Ok(0) | Err(_) => {
                let _ = sender.send(Report::Ended(id));
                return ControlFlow::Break(());
            }
        };
    }
}
