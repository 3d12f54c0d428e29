//! Signals as control events, through the same poll as every other event.
//!
//! The loop decides what a control event does.

use std::io;

use mio::{Interest, Registry, Token};
use signal_hook_mio::v1_0::Signals as Source;

use super::event::ControlEvent;

/// The watched signals and the control event of each.
pub(super) struct Signals {
    source: Source,
    control_events: Vec<(i32, ControlEvent)>,
}

impl Signals {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut source = Source::new::<[i32; 0], i32>([])?;
        registry.register(&mut source, token, Interest::READABLE)?;
        Ok(Self { source, control_events: Vec::new() })
    }

    pub(super) fn watch(&mut self, number: i32, control_event: ControlEvent) -> io::Result<()> {
        self.source.add_signal(number)?;
        self.control_events.push((number, control_event));
        Ok(())
    }

    /// The control events of the signals that arrived since the last call.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = ControlEvent> {
        let Self { source, control_events } = self;
        source.pending().filter_map(|number| {
            control_events.iter().find(|(watched, _)| *watched == number).map(|(_, control_event)| *control_event)
        })
    }
}
