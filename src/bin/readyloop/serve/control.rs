//! `Control`: runs the server, and carries out control events between its turns.

use std::io;

use readyloop::event_loop::Stage;
use readyloop::net::{ControlEvent, Net};
use readyloop::{Server, Totals};

use super::notify::Notifier;
use super::reload::Reload;

/// What the command does beside the turns of the server.
pub(super) struct Control {
    reload: Reload,
    /// `None` unless the service manager waits for notifications.
    notifier: Option<Notifier>,
}

impl Control {
    pub(super) fn new(reload: Reload, notifier: Option<Notifier>) -> Self {
        Self { reload, notifier }
    }

    /// Reports to the service manager that the server is ready.
    pub(super) fn ready(&mut self) {
        self.notify(Notifier::ready);
    }

    /// Serves until the server is drained or stopped.
    pub(super) fn run<N: Net + 'static>(&mut self, server: &mut Server<N>) -> io::Result<Totals> {
        while !server.is_done() {
            let until = self.notifier.as_ref().and_then(Notifier::next_at);
            server.turn(until)?;
            while let Some(control_event) = server.poll_control_event() {
                self.carry_out(control_event, server);
            }
            self.notify(|notifier| notifier.handle_turn(server));
        }
        Ok(server.totals())
    }

    fn carry_out<N: Net + 'static>(&mut self, control_event: ControlEvent, server: &mut Server<N>) {
        match control_event {
            // Once `Notifier::stopping` was sent, the server is not ready again.
            ControlEvent::Reload if server.stage() == Stage::Running => {
                self.notify(|notifier| notifier.reloading());
                self.reload.carry_out(server);
                self.ready();
            }
            ControlEvent::Reload => self.reload.carry_out(server),
            ControlEvent::ShutDown | ControlEvent::LameDuck(_) | ControlEvent::Drain | ControlEvent::Stop => {
                // After a hand-over, the successor is the main process.
                if server.stage() == Stage::Running {
                    self.notify(Notifier::stopping);
                }
                server.carry_out(control_event);
            }
            ControlEvent::Wake | ControlEvent::Restart | ControlEvent::HandOver | ControlEvent::Totals => {
                server.carry_out(control_event);
            }
        }
    }

    fn notify(&mut self, notify: impl FnOnce(&mut Notifier)) {
        if let Some(notifier) = &mut self.notifier {
            notify(notifier);
        }
    }
}
