//! Describes the entries of a trace: the step, the kind and the lesson of each, with its sentence.
//!
//! The sentences of events are in `sentences`.

use libc::{EAGAIN, EMFILE, ENFILE};

use super::names::Names;
use super::sentences::sentence;
use super::{ByteFlow, LineKind, LogLine, TurnStep};
use crate::event_loop::peer_token;
use crate::net::ControlEvent;
use crate::trace::{Lesson, TraceEntry, TraceEvent};

/// Describes an entry that follows one in step `now`. An entry that only names something has no line.
pub(super) fn describe(entry: &TraceEntry, now: TurnStep, names: &Names) -> Option<LogLine> {
    let line =
        |step, kind, connection, lesson, text| Some(LogLine { step, kind, connection, lesson, moved: None, text });
    match entry {
        // The events follow, and each has a line.
        TraceEntry::Event(TraceEvent::Polled { events: 1.., .. }) | TraceEntry::Named { .. } => None,
        TraceEntry::Event(event) => {
            let (step, kind) = classify(event, now, names);
            let line = line(step, kind, wire_of(event, names), lesson(event), sentence(event, names));
            line.map(|line| LogLine { moved: moved(event), ..line })
        }
        TraceEntry::Fault { name, lesson } => line(now, LineKind::Fault, None, Some(*lesson), format!("fault: {name}")),
        TraceEntry::PeerCallback { endpoint, key, name, detail } => {
            let step = match *name {
                "on_close" => TurnStep::Reap,
                "on_timer" => TurnStep::Expire,
                _ => now,
            };
            let wire = names.wire_of_token(peer_token(*endpoint, *key).0);
            let peer = wire.map_or_else(|| "an unknown peer".to_owned(), |wire| names.wire(wire));
            let separator = if detail.is_empty() { "" } else { ", " };
            line(step, LineKind::Callback, wire, None, format!("callback {name}: {peer}{separator}{detail}"))
        }
        TraceEntry::Service(text) => line(now, LineKind::Callback, None, None, text.clone()),
        TraceEntry::Note(text) => line(now, LineKind::Note, None, None, text.clone()),
    }
}

/// The step in which an event occurs, and its kind.
fn classify(event: &TraceEvent, now: TurnStep, names: &Names) -> (TurnStep, LineKind) {
    match event {
        TraceEvent::Polled { .. } => (TurnStep::Sleep, LineKind::Event),
        TraceEvent::Ready { .. } | TraceEvent::Control(_) => (TurnStep::Dispatch, LineKind::Event),
        TraceEvent::Listened { .. } | TraceEvent::Accepted { .. } | TraceEvent::Registered { .. } => {
            (TurnStep::Accept, LineKind::Call)
        }
        TraceEvent::ConnectStarted { .. } => (TurnStep::Connect, LineKind::Call),
        TraceEvent::ConnectChecked { .. }
        | TraceEvent::Read { .. }
        | TraceEvent::Wrote { .. }
        | TraceEvent::Finished { .. }
        | TraceEvent::Received { .. }
        | TraceEvent::Sent { .. } => (TurnStep::Serve, LineKind::Call),
        // A stream that is refused is dropped where it was accepted.
        TraceEvent::Dropped { wire } | TraceEvent::Reset { wire } => {
            let is_refused =
                now == TurnStep::Accept && names.connections.get(*wire).is_none_or(|it| it.endpoint.is_none());
            (if is_refused { TurnStep::Accept } else { TurnStep::Reap }, LineKind::Call)
        }
        TraceEvent::PeerConnected { .. }
        | TraceEvent::PeerRefused { .. }
        | TraceEvent::PeerWrote { .. }
        | TraceEvent::PeerRead { .. }
        | TraceEvent::PeerSawEnd { .. }
        | TraceEvent::PeerSawError { .. }
        | TraceEvent::PeerFinished { .. }
        | TraceEvent::PeerReset { .. }
        | TraceEvent::PeerClosed { .. } => (now, LineKind::Peer),
    }
}

/// The stream that an event is about.
fn wire_of(event: &TraceEvent, names: &Names) -> Option<usize> {
    match *event {
        TraceEvent::Polled { .. }
        | TraceEvent::Control(_)
        | TraceEvent::Listened { .. }
        | TraceEvent::Received { .. }
        | TraceEvent::Sent { .. } => None,
        TraceEvent::Ready { token, .. } => names.wire_of_token(token),
        TraceEvent::Accepted { result, .. } | TraceEvent::ConnectStarted { result, .. } => result.ok(),
        TraceEvent::Registered { wire, .. }
        | TraceEvent::ConnectChecked { wire, .. }
        | TraceEvent::Read { wire, .. }
        | TraceEvent::Wrote { wire, .. }
        | TraceEvent::Finished { wire, .. }
        | TraceEvent::Dropped { wire }
        | TraceEvent::Reset { wire }
        | TraceEvent::PeerConnected { wire, .. } => Some(wire),
        TraceEvent::PeerRefused { peer }
        | TraceEvent::PeerWrote { peer, .. }
        | TraceEvent::PeerRead { peer, .. }
        | TraceEvent::PeerSawEnd { peer }
        | TraceEvent::PeerSawError { peer, .. }
        | TraceEvent::PeerFinished { peer }
        | TraceEvent::PeerReset { peer }
        | TraceEvent::PeerClosed { peer } => names.wire_of_peer(peer),
    }
}

/// The bytes that an event moves.
fn moved(event: &TraceEvent) -> Option<(ByteFlow, usize)> {
    if let TraceEvent::Read { result: Ok(len), .. } = *event {
        Some((ByteFlow::ToLoop, len))
    } else if let TraceEvent::Wrote { result: Ok(len), .. } = *event {
        Some((ByteFlow::FromLoop, len))
    } else if let TraceEvent::PeerWrote { len, .. } = *event {
        Some((ByteFlow::FromPeer, len))
    } else if let TraceEvent::PeerRead { len, .. } = *event {
        Some((ByteFlow::ToPeer, len))
    } else {
        None
    }
}

/// The lesson about an event, if it is a trap.
fn lesson(event: &TraceEvent) -> Option<Lesson> {
    let is_short = matches!(event, TraceEvent::Wrote { result: Ok(len), wanted, .. } if len < wanted);
    if is_short || matches!(event, TraceEvent::Wrote { result: Err(EAGAIN), .. }) {
        Some(Lesson::Queues)
    } else if matches!(event, TraceEvent::Read { result: Err(EAGAIN), .. }) {
        Some(Lesson::Readiness)
    } else if matches!(event, TraceEvent::Read { result: Ok(0), .. } | TraceEvent::PeerFinished { .. }) {
        Some(Lesson::HalfClose)
    } else if matches!(event, TraceEvent::Control(ControlEvent::Wake)) {
        Some(Lesson::Wakeups)
    } else {
        let is_error = matches!(
            event,
            TraceEvent::Read { result: Err(_), .. }
                | TraceEvent::Wrote { result: Err(_), .. }
                | TraceEvent::Accepted { result: Err(EMFILE | ENFILE), .. }
                | TraceEvent::PeerReset { .. }
        );
        is_error.then_some(Lesson::Errors)
    }
}
