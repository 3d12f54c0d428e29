//! When a turn is measured: after the sleep, after each phase and at its end.

use crate::net::{Event, Net};

use super::EventLoop;
use super::measurements::{Measurements, TurnPhase};
use super::token::is_of_peer;

impl<N: Net + 'static> EventLoop<N> {
    /// Measures the turns from now on, at the cost of two or three readings of the clock in each.
    pub fn measure(&mut self) {
        let now = self.state.net.now();
        self.state.measurements.get_or_insert_with(|| Box::new(Measurements::new(now)));
    }

    /// The sleep is over, and these are its events.
    pub(super) fn measure_events(&mut self) {
        let Some(measurements) = &mut self.state.measurements else { return };
        measurements.end_phase(TurnPhase::Sleep, self.state.now);
        let endpoints = self.endpoints.len();
        let last = self.events.iter().rev().find_map(|event| match event {
            Event::Ready(readiness) => Some(readiness.token).filter(|token| is_of_peer(*token, endpoints)),
            Event::Control(_) => None,
        });
        if let Some(token) = last {
            measurements.handle_last_event(token, self.state.now);
        }
    }

    pub(super) fn end_phase(&mut self, phase: TurnPhase) {
        if let Some(measurements) = &mut self.state.measurements {
            measurements.end_phase(phase, self.state.net.now());
        }
    }

    pub(super) fn end_turn(&mut self) {
        if let Some(measurements) = &mut self.state.measurements {
            measurements.end_turn(self.state.now, self.state.net.now(), self.state.reserve.lent_bytes());
        }
    }
}
