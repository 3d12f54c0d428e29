//! Control events: signals, and the requests of a [`Handle`](crate::Handle). The loop carries them out, or returns
//! them to the program.

use std::mem::discriminant;

use log::{Level, info};

use crate::net::{ControlEvent, Net};

use super::EventLoop;

/// What happens to control events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ControlPolicy {
    /// [`EventLoop::poll_control_event`] returns them, and the loop carries out none.
    is_returned: bool,
    /// The level at which the stages of a shutdown are logged.
    pub(super) stage_level: Level,
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
            ControlEvent::ShutDown => self.shut_down(),
            ControlEvent::LameDuck(timeout) => self.lame_duck(timeout),
            ControlEvent::Drain => self.drain(),
            ControlEvent::Stop => self.stop(),
            ControlEvent::Reload => self.reload(),
            ControlEvent::Restart => self.restart(),
            ControlEvent::HandOver => self.hand_over(),
            ControlEvent::Totals => info!("{}", self.totals()),
        }
    }

    /// Reads certificates and keys again, for new connections. An endpoint with wrong files keeps the previous
    /// ones, and logs the reason.
    pub fn reload(&mut self) {
        let failed = self.endpoints.iter_mut().filter_map(|cell| cell.endpoint_mut().reload().then_some(())).count();
        self.state.has_failed_reload = failed > 0;
    }

    /// Remembers for [`LoopView::has_failed_reload`](super::LoopView::has_failed_reload) that the program could not
    /// read its own settings again.
    pub fn mark_failed_reload(&mut self) {
        self.state.has_failed_reload = true;
    }
}
