//! Control events: signals, and the requests of a [`Handle`](crate::Handle). The loop carries them out, or returns
//! them to the program.

use std::mem::discriminant;
use std::time::Duration;

use log::{Level, info, log};

use crate::admission::Count;
use crate::net::{ControlEvent, Net};

use super::EventLoop;
use super::shutdown::Stage;

/// What happens to control events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ControlPolicy {
    /// [`EventLoop::poll_control_event`] returns them, and the loop carries out none.
    is_returned: bool,
    /// The level at which the stages of a shutdown are logged.
    stage_level: Level,
}

impl ControlPolicy {
    /// The loop carries them out.
    pub(super) const CARRY_OUT: Self = Self { is_returned: false, stage_level: Level::Info };

    /// The program carries them out. A program such as a client reports its end itself.
    const RETURN: Self = Self { is_returned: true, stage_level: Level::Debug };
}

impl<N: Net + 'static> EventLoop<N> {
    /// Makes [`Self::poll_control_event`] return signals and the requests of handles. The loop then carries
    /// out none of them. [`Self::carry_out`] does for one of them what the loop would have done.
    #[must_use]
    pub fn with_returned_control_events(self) -> Self {
        Self { control: ControlPolicy::RETURN, ..self }
    }

    /// Returns the next control event, if the loop returns them.
    pub fn poll_control_event(&mut self) -> Option<ControlEvent> {
        if self.control.is_returned { self.control_events.pop_front() } else { None }
    }

    pub(super) fn handle_control_event(&mut self, control_event: ControlEvent) {
        if self.control.is_returned {
            // At most one of each kind waits, so that a program that never takes them needs no more memory.
            self.control_events.retain(|waiting| discriminant(waiting) != discriminant(&control_event));
            return self.control_events.push_back(control_event);
        }
        self.carry_out(control_event);
    }

    /// Does what a loop that returns no control events does for this one.
    ///
    /// The stages of a shutdown are logged at the level `info` from then on. A loop that returns control events logs
    /// them at the level `debug` otherwise, because its program reports its end itself.
    pub fn carry_out(&mut self, control_event: ControlEvent) {
        self.control.stage_level = Level::Info;
        match control_event {
            ControlEvent::Wake => {}
            ControlEvent::LameDuck(timeout) => self.lame_duck(timeout),
            ControlEvent::Drain => self.drain(),
            ControlEvent::Stop => self.stop(),
            ControlEvent::Reload => self.reload(),
            ControlEvent::Totals => info!("{}", self.totals()),
        }
    }

    /// Reads certificates and keys again, for new connections.
    pub fn reload(&mut self) {
        self.endpoints.iter_mut().for_each(|cell| cell.endpoint_mut().reload());
    }

    /// Stops accepting and serves the peers until they leave. After `timeout`, a drain begins.
    pub fn lame_duck(&mut self, timeout: Duration) {
        let entered = self.shutdown.lame_duck(timeout, self.state.now);
        self.enter_stage(entered);
    }

    /// Finishes every peer within `drain_timeout`, then ends the loop. A second call is a stop.
    pub fn drain(&mut self) {
        let entered = self.shutdown.drain(self.state.now);
        self.enter_stage(entered);
    }

    /// Closes every peer, then ends the loop.
    pub fn stop(&mut self) {
        let entered = self.shutdown.stop();
        self.enter_stage(entered);
    }

    pub(super) fn enter_stage(&mut self, entered: Option<Stage>) {
        let Some(stage) = entered else { return };
        let open = Count(self.state.admission.open() as u64, "connection");
        let level = self.control.stage_level;
        match stage {
            Stage::Running | Stage::Finishing => {}
            Stage::LameDuck => log!(level, "lame duck: {open} open, waiting until they leave"),
            Stage::Draining => log!(level, "draining: {open} open, timeout {:?}", self.limits.drain_timeout),
            Stage::Stopping => log!(level, "stopping: closing {open}"),
        }
        self.for_service_endpoints(|endpoint, state| endpoint.enter_stage(stage, state));
    }
}
