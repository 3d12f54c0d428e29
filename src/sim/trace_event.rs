//! `TraceEvent`: one call of the server with its result, or one action of a peer.
//!
//! The order of the variants is part of the trace hash. A new one goes to the end.

use super::sys_result::SysResult;
use crate::instant::Instant;
use crate::net::{ControlEvent, Event, Readiness};

/// One thing that happened in a world.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum TraceEvent {
    Polled { now: Instant, events: usize },
    Ready { token: u64, readable: bool, writable: bool, read_closed: bool },
    Control(ControlEvent),
    Listened { result: SysResult },
    Accepted { listener: usize, result: SysResult },
    Registered { wire: usize, token: u64, result: SysResult<()> },
    ConnectStarted { token: u64, result: SysResult },
    ConnectChecked { wire: usize, result: SysResult<bool> },
    Read { wire: usize, wanted: usize, result: SysResult },
    Wrote { wire: usize, wanted: usize, result: SysResult },
    Finished { wire: usize, result: SysResult<()> },
    Dropped { wire: usize },
    Reset { wire: usize },
    Received { socket: usize, result: SysResult },
    Sent { socket: usize, result: SysResult },
    PeerConnected { peer: usize, wire: usize },
    PeerRefused { peer: usize },
    PeerWrote { peer: usize, len: usize },
    PeerRead { peer: usize, len: usize },
    PeerSawEnd { peer: usize },
    PeerSawError { peer: usize, errno: i32 },
    PeerFinished { peer: usize },
    PeerReset { peer: usize },
    PeerClosed { peer: usize },
}

impl From<Event> for TraceEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Ready(Readiness { token, readable, writable, read_closed }) => {
                Self::Ready { token: token.0, readable, writable, read_closed }
            }
            Event::Control(control_event) => Self::Control(control_event),
        }
    }
}
