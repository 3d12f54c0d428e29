//! Signals as notices, through the same poll as everything else.
//!
//! What a notice means is decided by the server.

use std::io;

use mio::{Interest, Registry, Token};
use signal_hook_mio::v1_0::Signals as Source;

use super::ControlEvent;

/// The signals we watch and what each says.
pub(super) struct Signals {
    source: Source,
    notices: Vec<(i32, ControlEvent)>,
}

impl Signals {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut source = Source::new::<[i32; 0], i32>([])?;
        registry.register(&mut source, token, Interest::READABLE)?;
        Ok(Self { source, notices: Vec::new() })
    }

    pub(super) fn watch(&mut self, number: i32, control_event: ControlEvent) -> io::Result<()> {
        self.source.add_signal(number)?;
        self.notices.push((number, control_event));
        Ok(())
    }

    /// What came since the last time.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = ControlEvent> {
        let Self { source, notices } = self;
        let said =
            |number| notices.iter().find(|(watched, _)| *watched == number).map(|(_, control_event)| *control_event);
        source.pending().filter_map(said)
    }
}
