//! What must hold after every turn of a simulated run, whatever went wrong in it.
//!
//! It compares three accounts that know nothing of each other: what the server remembers, what
//! the simulated kernel knows, and what the services were told.

use std::collections::HashMap;

use super::crowd::Talk;
use super::departure::{Departure, check_answer, check_close};
use super::scene::Scene;
use super::witness::{Closed, Name};
use crate::admission::Totals;
use crate::connection::{CloseReason, KIB, Limits, READ_LEN_MAX, WriteHalf};
use crate::instant::Instant;
use crate::net::Token;
use crate::server::{EndpointSnapshot, PeerSnapshot, Snapshot};
use crate::sim::{Fault, ListenerView, StreamView, WorldCounters};

/// What one turn may move for a peer: four reads and their echo. The last read, its echo and a full
/// queue may pass it.
const SERVE_BUDGET_BYTES: usize = 512 * KIB;
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
}

/// What must hold.
#[derive(Default)]
pub(super) struct Watch {
    shadows: HashMap<Name, Shadow>,
    /// How each peer ended, by its port.
    reasons: HashMap<u16, CloseReason>,
    before: Before,
    idle_turns: u32,
    turns: u64,
    turns_with_marks_left: u64,
    ending: Ending,
}

/// How far the server's own end has come.
#[derive(Default)]
struct Ending {
    may_drain: bool,
    may_stop: bool,
    began_at: Option<Instant>,
    late_turns: u32,
    /// What peers had given to their kernels when the drain began, by number; as far as that
    /// must be served.
    sent: Vec<u64>,
    /// Reads that would block though there was something, until then.
    blocked_reads: u64,
}

/// What was so before the turn.
#[derive(Default)]
struct Before {
    counters: WorldCounters,
    totals: Totals,
    callbacks: u64,
    former: u64,
    backlog_len: usize,
    marked: usize,
    spurious: u64,
    wants_sleep: bool,
}

/// All accounts after one turn.
struct Look<'a> {
    scene: &'a Scene<'a>,
    snapshot: Snapshot,
    totals: Totals,
    counters: WorldCounters,
    streams: HashMap<Token, StreamView>,
}

impl Watch {
    pub(super) fn turns(&self) -> u64 {
        self.turns
    }

    pub(super) fn turns_with_marks_left(&self) -> u64 {
        self.turns_with_marks_left
    }

    pub(super) fn asked_to_drain(&mut self) {
        // A second drain is a stop.
        self.ending.may_stop |= self.ending.may_drain;
        self.ending.may_drain = true;
    }

    pub(super) fn asked_to_stop(&mut self) {
        self.ending.may_stop = true;
    }

    pub(super) fn before_turn(&mut self, scene: &Scene<'_>) {
        self.before.backlog_len = scene.world.backlog_len();
        if self.ending.may_drain && self.ending.began_at.is_none() {
            self.ending.sent = scene.guests.iter().map(|guest| guest.peer.sent_len()).collect();
            self.ending.blocked_reads = scene.world.fault_counts().of(Fault::ReadBlocks);
        }
    }

    /// All that must hold after a turn.
    pub(super) fn after_turn(&mut self, scene: &Scene<'_>) {
        self.turns += 1;
        let mut streams = HashMap::new();
        scene.world.for_each_stream(|stream| {
            assert!(streams.insert(stream.token, stream).is_none(), "two streams of one name");
        });
        let (snapshot, totals, counters) = (scene.server.snapshot(), scene.server.totals(), scene.world.counters());
        let look = Look { scene, snapshot, totals, counters, streams };
        self.turns_with_marks_left += u64::from(look.marked() > 0);
        look.check_books();
        look.check_memory();
        if let Some(letters) = &scene.letters {
            letters.check(&look.totals.datagrams);
        }
        self.check_closed(&look);
        for (number, room) in look.snapshot.endpoints.iter().enumerate() {
            for peer in &room.peers {
                let name = (number, peer.key);
                let stream = &look.streams[&token(name)];
                look.check_work(name, peer, stream);
                self.check_deadlines(name, peer, stream, &look);
            }
        }
        scene.world.for_each_listener(|listener| look.check_listener(&listener));
        self.check_progress(&look);
        self.check_stale(&look);
        self.check_ending(&look);
        self.before = look.into_before();
    }

    /// Who was closed had reason to be, and not too early.
    fn check_closed(&mut self, look: &Look<'_>) {
        let closed = std::mem::take(&mut look.scene.log.lock().closed);
        let is_one = closed.len() == 1;
        for Closed { name, port, reason, is_end_told } in closed {
            self.reasons.insert(port, reason);
            let guest = look.scene.guest(port);
            let shadow = self.shadows.remove(&name).unwrap_or_default();
            let departure = Departure {
                now: look.snapshot.now,
                finishing: shadow.finishing,
                finished_at: shadow.finished_at,
                begun_at: shadow.begun.map(|(at, _)| at),
                queued_since: shadow.queued_since,
                wrote_at: shadow.wrote_at,
                may_drain: self.ending.may_drain,
                may_stop: self.ending.may_stop || self.ending.is_over(look),
                is_poor: look.scene.is_poor(),
                is_end_told,
            };
            check_close(guest, reason, &departure);
            let unsent = look.totals.peers.ledger.bytes_unsent - self.before.totals.peers.ledger.bytes_unsent;
            if is_one && unsent > 0 {
                assert!(!guest.peer.is_connected(), "{unsent} bytes are lost in silence, {reason}: {guest:?}");
            }
        }
    }

    /// Every state has a deadline, which passes neither unseen nor later than it should.
    fn check_deadlines(&mut self, name: Name, peer: &PeerSnapshot, stream: &StreamView, look: &Look<'_>) {
        let (now, limits) = (look.snapshot.now, &look.snapshot.endpoints[name.0].limits);
        let frames = look.scene.log.lock().frames.get(&name).copied().unwrap_or(0);
        let shadow = self.shadows.entry(name).or_default();
        shadow.see(peer, stream, now, frames);
        if peer.is_marked {
            return;
        }
        let (at, what) = shadow.deadline(peer, stream, limits);
        assert!(peer.deadline <= at, "{name:?} has until {:?}, not {at:?} for {what}: {peer:?}", peer.deadline);
        assert!(peer.deadline > now || look.snapshot.deadlines_wait, "{name:?} is late at {now:?}: {peer:?}");
        assert!(peer.armed_at <= peer.deadline, "nobody looks at {name:?} in time: {peer:?}");
    }

    /// A turn that does nothing must have been willing to sleep.
    fn check_progress(&mut self, look: &Look<'_>) {
        let (counters, before) = (&look.counters, &self.before);
        let has_moved = counters.progress > before.counters.progress || counters.events > before.counters.events;
        let has_served = look.scene.log.lock().callbacks > before.callbacks
            || look.totals.peers != before.totals.peers
            || look.totals.accept_errors > before.totals.accept_errors
            // A short turn finds out of some of the marks that they are moot, and leaves the rest.
            || look.marked() < before.marked + (look.spurious() - before.spurious) as usize;
        // A poll that told nothing though there is something to tell is no doing of the server.
        let was_told_nothing = look.snapshot.deadlines_wait;
        let is_idle = !has_moved && !has_served && !before.wants_sleep && !was_told_nothing;
        self.idle_turns = if is_idle { self.idle_turns + 1 } else { 0 };
        assert!(self.idle_turns <= IDLE_TURNS_MAX, "{} turns without sleep and progress", self.idle_turns);
    }

    /// A fact about somebody who has gone is counted, and nothing else.
    fn check_stale(&self, look: &Look<'_>) {
        let told = look.scene.world.fault_counts().of(Fault::Former) - self.before.former;
        let counted = look.totals.peers.stale_events - self.before.totals.peers.stale_events;
        assert_eq!(counted, told, "facts about those who have gone");
    }

    /// A drain takes in who waits, and ends in time.
    fn check_ending(&mut self, look: &Look<'_>) {
        let is_ending = look.snapshot.endpoints.iter().all(|room| !room.is_listening);
        if !is_ending {
            return;
        }
        if look.scene.world.fault_counts().of(Fault::ReadBlocks) > self.ending.blocked_reads {
            // Whoever is told that there is no more need not look again.
            self.ending.sent.clear();
        }
        let Some(began_at) = self.ending.began_at else {
            self.ending.began_at = Some(look.snapshot.now);
            let is_plain = !self.ending.may_stop && look.totals.accept_errors == self.before.totals.accept_errors;
            if is_plain && look.scene.world.fault_counts().of(Fault::AcceptBlocks) == 0 && !look.scene.is_short() {
                let taken = (look.counters.accepted - self.before.counters.accepted) as usize;
                assert!(taken >= self.before.backlog_len, "{taken} of {} taken in", self.before.backlog_len);
            }
            return;
        };
        let timeout = look.scene.server_limits.drain_timeout;
        let lasted = look.snapshot.now.since(began_at);
        if lasted >= timeout / 2 {
            // From half of its time on peers are finished whatever they had sent.
            self.ending.sent.clear();
        }
        if look.scene.server.is_done() {
            return;
        }
        self.ending.late_turns = if lasted < timeout { 0 } else { self.ending.late_turns + 1 };
        assert!(self.ending.late_turns <= LATE_TURNS_MAX, "still there {lasted:?} after the drain began");
    }

    /// Once nothing is left to happen, nobody is left, and nobody was cheated.
    pub(super) fn check_rest(&self, scene: &Scene<'_>) {
        if !scene.server.is_done() {
            assert_eq!(scene.server.totals().open, 0, "somebody waits for ever");
            assert_eq!(scene.world.backlog_len(), 0, "somebody is stranded in the backlog");
            assert_eq!(scene.world.datagrams_len(), 0, "a datagram is stranded in its socket");
            assert_eq!(scene.server.totals().datagrams.waiting, 0, "an answer waits for a socket that has room");
        }
    }

    /// After the end: who was treated well has heard everything.
    pub(super) fn check_end(&self, scene: &Scene<'_>) {
        assert!(scene.log.lock().open.is_empty(), "a service waits for somebody's close");
        for guest in &scene.guests {
            let Some(&reason) = self.reasons.get(&guest.port) else { continue };
            check_answer(guest, reason);
            let sent = self.ending.sent.get(guest.peer.number()).copied().unwrap_or(0);
            if reason == CloseReason::Drained && guest.peer.is_ended() && !guest.peer.is_harmed() {
                assert!(guest.has_heard(sent), "a drain left out what had been sent: {guest:?}");
            }
        }
    }
}

impl Ending {
    /// Whether the time for the drain is up.
    fn is_over(&self, look: &Look<'_>) -> bool {
        let timeout = look.scene.server_limits.drain_timeout;
        self.began_at.is_some_and(|at| look.snapshot.now.since(at) >= timeout)
    }
}

impl Shadow {
    fn see(&mut self, peer: &PeerSnapshot, stream: &StreamView, now: Instant, frames: u64) {
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
    fn deadline(&self, peer: &PeerSnapshot, stream: &StreamView, limits: &Limits) -> (Instant, &'static str) {
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

impl Look<'_> {
    /// How many peers are left to be served.
    fn marked(&self) -> usize {
        self.snapshot.endpoints.iter().map(|room| room.marked).sum()
    }

    /// How many facts were told that are not true.
    fn spurious(&self) -> u64 {
        self.scene.world.fault_counts().of(Fault::Spurious)
    }

    fn into_before(self) -> Before {
        Before {
            marked: self.marked(),
            spurious: self.spurious(),
            counters: self.counters,
            callbacks: self.scene.log.lock().callbacks,
            former: self.scene.world.fault_counts().of(Fault::Former),
            backlog_len: 0,
            wants_sleep: self.snapshot.sleeps_until.is_none_or(|at| at > self.scene.world.now()),
            totals: self.totals,
        }
    }

    /// Everybody and every byte is accounted for, by all three accounts.
    fn check_books(&self) {
        let (ledger, log, streams) = (&self.totals.peers.ledger, self.scene.log.lock(), self.streams.len());
        if let Some(broken) = &log.broken {
            panic!("{broken}");
        }
        assert!(self.totals.reconciles(), "{:?}", self.totals);
        assert_eq!(ledger.bytes_read, self.counters.bytes_read, "bytes read");
        assert_eq!(ledger.bytes_written, self.counters.bytes_written, "bytes written");
        let peers = self.snapshot.endpoints.iter().map(|room| room.peers.len()).sum::<usize>();
        let here = streams - self.totals.connecting as usize;
        assert_eq!((peers, self.snapshot.open, log.open.len()), (here, streams, here), "peers, admitted, open");
        assert_eq!(self.totals.peers.opened, log.opened, "opened");
        let lost = self.scene.world.fault_counts().of(Fault::RegisterFails);
        let refused = self.totals.refused_full + self.totals.refused_address;
        assert_eq!(self.counters.accepted, self.totals.peers.opened + refused + lost, "accepted");
        assert!(self.counters.resets <= self.totals.peers.resets + refused, "resets that nobody wanted");
        let is_here = |name: &Name| self.streams.contains_key(&token(*name));
        assert!(log.open.keys().all(is_here), "a service knows somebody whom the server does not");
        let lucky = log.panicked.iter().find(|name| log.open.contains_key(name));
        assert_eq!(lucky, None, "it survived the panic of its service");
    }

    /// No queue is longer than it may be, and all together take no more than they may.
    fn check_memory(&self) {
        assert!(self.snapshot.lent_bytes <= self.snapshot.lent_bytes_max, "{} bytes lent", self.snapshot.lent_bytes);
        for room in &self.snapshot.endpoints {
            for peer in &room.peers {
                assert!(peer.output_len <= room.limits.queue_len_max(), "too much is queued: {peer:?}");
                assert!(peer.input_len <= room.limits.input_len_max(), "too much is stored: {peer:?}");
            }
        }
        if self.streams.is_empty() {
            assert_eq!(self.snapshot.lent_bytes, 0, "memory is lent to nobody");
            let is_busy = |room: &EndpointSnapshot| !room.is_listening || room.is_acceptable || room.marked > 0;
            let is_waiting = self.snapshot.endpoints.iter().any(is_busy);
            assert!(
                is_waiting || self.snapshot.sleeps_until.is_none(),
                "somebody who has gone will wake us: {:#?}",
                self.snapshot
            );
        }
    }

    /// Nobody who has work is forgotten: it is marked, or the kernel or a timer will tell of it.
    fn check_work(&self, name: Name, peer: &PeerSnapshot, stream: &StreamView) {
        let (snapshot, limits, place) =
            (&self.snapshot, &self.snapshot.endpoints[name.0].limits, &self.scene.places[name.0]);
        let moved_max = SERVE_BUDGET_BYTES + 2 * READ_LEN_MAX + limits.queue_len_max();
        assert!(stream.moved_in_turn <= moved_max, "{} bytes in one turn: {peer:?}", stream.moved_in_turn);
        assert_eq!(peer.closed, None, "closed and not buried: {peer:?}");
        if peer.is_marked {
            assert_eq!(snapshot.sleeps_until, Some(Instant::ORIGIN), "it would sleep with {peer:?} marked");
            return;
        }
        assert!(snapshot.sleeps_until.is_some_and(|at| at <= peer.armed_at), "it would oversleep {peer:?}");
        let (queued, write) = (peer.output_len, peer.halves.write());
        let forgotten = if peer.wants_read && (stream.unread > 0 || stream.is_read_closed) && !stream.is_listed {
            Some("input")
        } else if queued > 0 && !stream.is_listed && !stream.awaits_room {
            Some("output")
        } else if (peer.wants_read && peer.readable) || (queued > 0 && peer.writable) {
            Some("what it was told")
        } else if peer.is_paused && queued == 0 {
            Some("its pause, though nothing is queued,")
        } else if write == WriteHalf::Finishing && queued == 0 {
            Some("its end")
        } else if place.talk == Talk::Chargen && write == WriteHalf::Open && queued <= limits.queue.low() {
            Some("its wish for room")
        } else {
            None
        };
        if let Some(what) = forgotten {
            panic!("{what} of a peer is forgotten: {peer:?} {stream:?}");
        }
    }

    /// A backlog with somebody in it is told of, or known, or there is no room.
    fn check_listener(&self, listener: &ListenerView) {
        let room = &self.snapshot.endpoints[(listener.token.0 >> 56) as usize];
        let is_known = listener.is_listed || room.is_acceptable;
        assert!(listener.backlog_len == 0 || is_known, "a backlog is forgotten: {listener:?}");
    }
}
