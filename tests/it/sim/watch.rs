//! What must hold after every turn of a simulated run, whatever went wrong in it.
//!
//! It compares three accounts that know nothing of each other: what the server remembers, what
//! the simulated kernel knows, and what the services were told.

use std::collections::HashMap;
use std::time::Duration;

use readyloop::conn::{READ_LEN_MAX, WriteHalf};
use readyloop::instant::Instant;
use readyloop::net::Token;
use readyloop::server::{Audit, PeerAudit, RoomAudit};
use readyloop::sim::{Fault, ListenerView, StreamView, WorldTally};
use readyloop::{CloseReason, Limits, Totals};

use super::crowd::Guest;
use super::scene::Scene;
use super::services::Name;

/// The most that one turn may move for a peer beyond its queue: four reads of budget, and the
/// read and the write that pass it.
const MOVED_IN_TURN_MAX: usize = 6 * READ_LEN_MAX;
/// Turns in a row that may do nothing without having slept: one finds out that its marks are moot.
const IDLE_TURNS_MAX: u32 = 1;
/// Turns in which a server that was told to end may still be there when its time for that is up.
const LATE_TURNS_MAX: u32 = 2;

/// What the watch remembers of a peer from turn to turn.
#[derive(Debug, Default)]
struct Shadow {
    /// When it was first seen to be finishing, and when bytes had last moved by then.
    finishing: Option<(Instant, Instant)>,
    /// When it was first seen with our end out.
    finished_at: Option<Instant>,
    /// Since when the same frame has been stored in part, and how many came before it.
    begun: Option<(Instant, u64)>,
    /// Since when something has been queued without a break.
    queued_since: Option<Instant>,
    wrote_at: Instant,
    awaited: Option<Instant>,
}

/// What must hold.
pub(super) struct Watch {
    shadows: HashMap<Name, Shadow>,
    /// How each peer ended, by its port.
    reasons: HashMap<u16, CloseReason>,
    before: Before,
    idle_turns: u32,
    turns: u64,
    end_by: Option<Instant>,
    late_turns: u32,
}

/// What was so before the turn.
#[derive(Default)]
struct Before {
    tally: WorldTally,
    totals: Totals,
    callbacks: u64,
    former: u64,
    wants_sleep: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            shadows: HashMap::new(),
            reasons: HashMap::new(),
            before: Before::default(),
            idle_turns: 0,
            turns: 0,
            end_by: None,
            late_turns: 0,
        }
    }

    pub(super) fn turns(&self) -> u64 {
        self.turns
    }

    pub(super) fn before_turn(&mut self, scene: &Scene) {
        let wants_sleep = scene.server.audit().sleeps_until.is_none_or(|at| at > scene.world.now());
        self.before = Before {
            tally: scene.world.tally(),
            totals: scene.server.totals(),
            callbacks: scene.log.lock().callbacks,
            former: scene.world.fault_counts().of(Fault::Former),
            wants_sleep,
        };
    }

    /// All that must hold after a turn.
    pub(super) fn after_turn(&mut self, scene: &Scene) {
        self.turns += 1;
        let (audit, totals) = (scene.server.audit(), scene.server.totals());
        let mut streams = HashMap::new();
        scene.world.for_each_stream(|stream| {
            assert!(streams.insert(stream.token, stream).is_none(), "two streams of one name");
        });
        check_books(scene, &audit, &totals, streams.len());
        check_memory(&audit);
        self.check_closed(scene, &audit);
        for (number, room) in audit.rooms.iter().enumerate() {
            for peer in &room.peers {
                let name = (number, peer.key);
                let stream = &streams[&token(name)];
                check_work(peer, stream, &audit);
                let frames = scene.log.lock().frames.get(&name).copied().unwrap_or(0);
                self.check_deadlines(name, peer, stream, room, audit.now, frames);
            }
        }
        scene.world.for_each_listener(|listener| check_listener(&listener, &audit));
        self.check_progress(scene, &totals);
        self.check_stale(scene, &totals);
        self.check_end_in_time(scene, &audit);
    }

    /// Who was closed had reason to be, and not too early.
    fn check_closed(&mut self, scene: &Scene, audit: &Audit) {
        let closed = std::mem::take(&mut scene.log.lock().closed);
        for (name, port, reason) in closed {
            self.reasons.insert(port, reason);
            let limits = &audit.rooms[name.0].limits;
            let Some(shadow) = self.shadows.remove(&name) else { continue };
            let (since, span) = match (reason, shadow.finishing) {
                (CloseReason::IdleTimeout, Some((at, moved_at))) => (at.since(moved_at), limits.idle_timeout),
                (CloseReason::FrameTimeout, Some((at, _))) => {
                    let (begun_at, _) = shadow.begun.expect("a frame had begun");
                    (at.since(begun_at), limits.frame_timeout)
                }
                (CloseReason::WriteTimeout, _) => {
                    let since = shadow.queued_since.expect("something was queued").max(shadow.wrote_at);
                    (audit.now.since(since), limits.write_timeout)
                }
                (CloseReason::IdleTimeout | CloseReason::FrameTimeout, None) => panic!("{name:?} never finished"),
                _ => continue,
            };
            assert!(since >= span, "{name:?} closed for {reason} after {since:?} of {span:?}");
        }
    }

    /// Every state has a deadline, which passes neither unseen nor later than it should.
    fn check_deadlines(
        &mut self,
        name: Name,
        peer: &PeerAudit,
        stream: &StreamView,
        room: &RoomAudit,
        now: Instant,
        frames: u64,
    ) {
        let shadow = self.shadows.entry(name).or_default();
        shadow.see(peer, stream, now, frames);
        if peer.is_marked {
            return;
        }
        let (at, what) = shadow.deadline(peer, stream, &room.limits);
        assert!(peer.deadline <= at, "{name:?} has until {:?}, not {at:?} for {what}: {peer:?}", peer.deadline);
        assert!(peer.deadline > now, "{name:?} is late at {now:?}: {peer:?}");
        assert!(peer.armed_at <= peer.deadline, "nobody looks at {name:?} in time: {peer:?}");
        shadow.awaited = Some(peer.deadline);
    }

    /// A turn that does nothing must have slept.
    fn check_progress(&mut self, scene: &Scene, totals: &Totals) {
        let (tally, before) = (scene.world.tally(), &self.before);
        let has_moved = tally.progress > before.tally.progress || tally.facts > before.tally.facts;
        let has_served = scene.log.lock().callbacks > before.callbacks
            || totals.peers != before.totals.peers
            || totals.accept_errors > before.totals.accept_errors;
        if has_moved || has_served || before.wants_sleep {
            self.idle_turns = 0;
        } else {
            self.idle_turns += 1;
        }
        assert!(
            self.idle_turns <= IDLE_TURNS_MAX,
            "{} turns without sleep and progress: {:#?}",
            self.idle_turns,
            scene.server.audit()
        );
    }

    /// A fact about somebody who has gone is counted, and nothing else.
    fn check_stale(&self, scene: &Scene, totals: &Totals) {
        let told = scene.world.fault_counts().of(Fault::Former) - self.before.former;
        let counted = totals.peers.stale_facts - self.before.totals.peers.stale_facts;
        assert_eq!(counted, told, "facts about those who have gone");
    }

    fn check_end_in_time(&mut self, scene: &Scene, audit: &Audit) {
        let is_ending = audit.rooms.iter().all(|room| !room.is_listening);
        if !is_ending || scene.server.is_done() {
            return;
        }
        let end_by = *self.end_by.get_or_insert(audit.now + scene.server_limits.drain_timeout);
        self.late_turns = if audit.now < end_by { 0 } else { self.late_turns + 1 };
        assert!(self.late_turns <= LATE_TURNS_MAX, "still there {:?} after the end", audit.now.since(end_by));
    }

    /// Once nothing is left to happen, nobody is left, and nobody was cheated.
    pub(super) fn check_rest(&self, scene: &Scene) {
        if !scene.server.is_done() {
            assert_eq!(scene.server.totals().open, 0, "somebody waits for ever");
            assert_eq!(scene.world.backlog_len(), 0, "somebody is stranded in the backlog");
        }
    }

    /// After the end: who was treated well has heard everything.
    pub(super) fn check_end(&self, scene: &Scene) {
        assert!(scene.log.lock().open.is_empty(), "a service waits for somebody's close");
        for guest in &scene.guests {
            if let Some(reason) = self.reasons.get(&guest.port) {
                check_farewell(guest, *reason);
            }
        }
    }
}

impl Shadow {
    fn see(&mut self, peer: &PeerAudit, stream: &StreamView, now: Instant, frames: u64) {
        self.wrote_at = stream.wrote_at;
        let is_open = peer.halves.write() == WriteHalf::Open;
        if !is_open && self.finishing.is_none() {
            self.finishing = Some((now, stream.moved_at));
        }
        if peer.halves.write() == WriteHalf::Finished {
            self.finished_at.get_or_insert(now);
        }
        if is_open {
            let has_begun = peer.input_len > 0 && !peer.is_paused;
            self.begun = match self.begun {
                Some((at, before)) if has_begun && before == frames => Some((at, before)),
                _ => has_begun.then_some((now, frames)),
            };
        }
        self.queued_since = (peer.output_len > 0).then(|| self.queued_since.unwrap_or(now));
    }

    /// The latest that the deadline of this peer may be, and which it is.
    fn deadline(&self, peer: &PeerAudit, stream: &StreamView, limits: &Limits) -> (Instant, &'static str) {
        if let Some(at) = self.finished_at {
            return (at + limits.linger_timeout, "lingering");
        }
        let quiet = match self.queued_since {
            Some(at) => (at.max(stream.wrote_at) + limits.write_timeout, "writing"),
            None => (stream.moved_at + limits.idle_timeout, "being idle"),
        };
        match self.begun {
            Some((at, _)) if peer.halves.write() == WriteHalf::Open && at + limits.frame_timeout < quiet.0 => {
                (at + limits.frame_timeout, "a frame")
            }
            Some(_) | None => quiet,
        }
    }
}

/// As the server names a peer to its net.
fn token((room, key): Name) -> Token {
    Token((room as u64) << 56 | key.to_bits())
}

/// Everybody and every byte is accounted for, by all three accounts.
fn check_books(scene: &Scene, audit: &Audit, totals: &Totals, streams: usize) {
    let (tally, ledger, log) = (scene.world.tally(), &totals.peers.ledger, scene.log.lock());
    if let Some(broken) = &log.broken {
        panic!("{broken}");
    }
    assert!(totals.reconciles(), "{totals:?}");
    assert_eq!(ledger.bytes_read, tally.bytes_read, "bytes read");
    assert_eq!(ledger.bytes_written, tally.bytes_written, "bytes written");
    let peers = audit.rooms.iter().map(|room| room.peers.len()).sum::<usize>();
    assert_eq!((peers, audit.open, log.open.len()), (streams, streams, streams), "peers, admitted, open to services");
    assert_eq!(totals.peers.opened, log.opened, "opened");
    let lost = scene.world.fault_counts().of(Fault::RegisterFails);
    let refused = totals.refused_full + totals.refused_address;
    assert_eq!(tally.accepted, totals.peers.opened + refused + lost, "accepted");
    let by_token = |(name, _): (&Name, &u16)| audit.rooms[name.0].peers.iter().any(|peer| peer.key == name.1);
    assert!(log.open.iter().all(by_token), "a service knows somebody whom the server does not");
}

/// No queue is longer than it may be, and all together take no more than they may.
fn check_memory(audit: &Audit) {
    assert!(audit.lent_bytes <= audit.lent_bytes_max, "{} bytes lent", audit.lent_bytes);
    for room in &audit.rooms {
        for peer in &room.peers {
            assert!(peer.output_len <= room.limits.queue_len_max(), "too much is queued: {peer:?}");
            assert!(peer.input_len <= room.limits.input_len_max(), "too much is stored: {peer:?}");
        }
    }
    if audit.rooms.iter().all(|room| room.peers.is_empty()) {
        assert_eq!(audit.lent_bytes, 0, "memory is lent to nobody");
    }
}

/// Nobody who has work is forgotten: it is marked, or the kernel or a timer will tell of it.
fn check_work(peer: &PeerAudit, stream: &StreamView, audit: &Audit) {
    assert!(stream.moved_in_turn <= MOVED_IN_TURN_MAX, "{} bytes in one turn: {peer:?}", stream.moved_in_turn);
    assert_eq!(peer.closed, None, "closed and not buried: {peer:?}");
    if peer.is_marked {
        assert_eq!(audit.sleeps_until, Some(Instant::ORIGIN), "it would sleep with {peer:?} marked");
        return;
    }
    assert!(audit.sleeps_until.is_some_and(|at| at <= peer.armed_at), "it would oversleep {peer:?}");
    let forgotten = if peer.wants_read && (stream.unread > 0 || stream.is_read_closed) && !stream.is_listed {
        Some("input")
    } else if peer.output_len > 0 && !stream.is_listed && !stream.awaits_room {
        Some("output")
    } else if (peer.wants_read && peer.readable) || (peer.output_len > 0 && peer.writable) {
        Some("what it was told")
    } else if peer.is_paused && peer.output_len == 0 {
        Some("its pause, though nothing is queued")
    } else if peer.halves.write() == WriteHalf::Finishing && peer.output_len == 0 {
        Some("its end")
    } else {
        None
    };
    if let Some(what) = forgotten {
        panic!("{what} of a peer is forgotten: {peer:?} {stream:?}");
    }
}

/// A backlog with somebody in it is told of, or known, or there is no room.
fn check_listener(listener: &ListenerView, audit: &Audit) {
    let room = &audit.rooms[(listener.token.0 >> 56) as usize];
    let is_known = listener.is_listed || room.is_acceptable;
    assert!(listener.backlog_len == 0 || is_known, "a backlog is forgotten: {listener:?}");
}

/// Who behaved and met no fault was not robbed of its answer.
fn check_farewell(guest: &Guest, reason: CloseReason) {
    let peer = &guest.peer;
    let is_spared = guest.is_patient() && !peer.is_harmed();
    if reason == CloseReason::Finished && is_spared && guest.has_said_all() && peer.is_ended() {
        assert!(guest.has_heard_all(), "it ended well, and heard only part of its answer: {guest:?}");
    }
    let is_gentle = matches!(
        reason,
        CloseReason::Finished | CloseReason::PartialFrame | CloseReason::BadFrame | CloseReason::FrameTooLong
    );
    let lingers = guest.place.limits.linger_timeout > Duration::from_secs(1);
    if is_gentle && is_spared && guest.is_attentive() && lingers && guest.place.limits.linger_bytes_max > 1 << 20 {
        assert!(peer.is_ended() && !peer.is_broken(), "a gentle end was a reset: {guest:?}");
    }
}
