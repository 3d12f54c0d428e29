//! The stages of a shutdown, carried out by the event loop.
//!
//! `shutdown` decides when a stage begins, and `ending` applies it to the peers of an endpoint.

use std::time::Duration;

use log::log;

use crate::net::Net;

use super::{EventLoop, Stage};

impl<N: Net + 'static> EventLoop<N> {
    /// Shuts down with all stages that the limits give a time. A second call is a drain, a third one a stop.
    pub fn shut_down(&mut self) {
        let entered = self.shutdown.shut_down(self.state.now);
        self.enter_stage(entered);
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

    /// Enters the next stage of a shutdown when its time has come, and applies the stage to a slice of the
    /// peers. This comes after serving, as for other deadlines.
    pub(super) fn advance_shutdown(&mut self) {
        let entered = self.shutdown.advance(self.state.now);
        self.enter_stage(entered);
        if self.shutdown.stage() != Stage::Running {
            self.for_service_endpoints(|endpoint, state| endpoint.advance_stage(state));
        }
    }

    fn enter_stage(&mut self, entered: Option<Stage>) {
        let Some(stage) = entered else { return };
        self.cancel_restart();
        let level = self.control.stage_level;
        if let Some(text) = stage.announcement(self.state.admission.open(), &self.limits) {
            log!(level, "{text}");
        }
        self.for_service_endpoints(|endpoint, state| endpoint.enter_stage(stage, state));
    }
}
