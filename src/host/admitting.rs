//! Who comes to a host: expected first, with a key and a place, then here, or given up.

use std::fmt::Display;

use crate::buffer::Reserve;
use crate::codec::Codec;
use crate::connection::{CloseReason, Connection};
use crate::instant::Instant;
use crate::service::{Context, Service};
use crate::slab::Key;

use super::{Host, Mark, Peer, Presence};

impl<S: Service, C: Codec, L> Host<S, C, L> {
    /// Takes in a peer; `link` makes its link once its key is known, and may fail.
    ///
    /// # Errors
    /// What `link` failed with; then nothing has happened.
    pub fn open<E>(
        &mut self,
        who: &dyn Display,
        reserve: &mut Reserve,
        now: Instant,
        link: impl FnOnce(Key) -> Result<L, E>,
    ) -> Result<Key, E> {
        let key = self.expect(link)?;
        self.handle_arrival(key, S::Peer::default(), who, reserve, now);
        Ok(key)
    }

    /// Gives a key and a place to a peer that has yet to come, as one that we connect to has.
    ///
    /// Until [`Self::handle_arrival`] it can be marked, and else nothing happens to it.
    ///
    /// # Errors
    /// What `link` failed with; then nothing has happened.
    pub fn expect<E>(&mut self, link: impl FnOnce(Key) -> Result<L, E>) -> Result<Key, E> {
        self.peers.try_insert_with(|key| {
            Ok(Peer {
                link: link(key)?,
                connection: Connection::new(Instant::ORIGIN),
                state: S::Peer::default(),
                armed_at: Instant::NEVER,
                presence: Presence::Pending,
                mark: Mark::Unmarked,
            })
        })
    }

    /// The link of a peer that has yet to come; `None` when it has come or is expected no more.
    pub fn expected(&mut self, key: Key) -> Option<&mut L> {
        let peer = self.peers.get_mut(key).filter(|peer| peer.presence == Presence::Pending)?;
        Some(&mut peer.link)
    }

    /// The expected peer has come: its life begins now, with `state`, and the service is told.
    pub fn handle_arrival(&mut self, key: Key, state: S::Peer, who: &dyn Display, reserve: &mut Reserve, now: Instant) {
        self.arrive(key, state, reserve, now, |service, peer, cx| service.on_open(peer, who, cx));
    }

    /// The expected peer, which the service ordered, has been connected to: as
    /// [`Self::handle_arrival`].
    pub fn handle_connected(&mut self, key: Key, ticket: u64, reserve: &mut Reserve, now: Instant) {
        self.arrive(key, S::Peer::default(), reserve, now, |service, peer, cx| service.on_connect(peer, ticket, cx));
    }

    fn arrive(
        &mut self,
        key: Key,
        state: S::Peer,
        reserve: &mut Reserve,
        now: Instant,
        tell: impl FnOnce(&mut S, &mut S::Peer, &mut Context<'_, '_>),
    ) {
        let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.presence == Presence::Pending) else { return };
        peer.presence = Presence::Open;
        peer.state = state;
        peer.connection = Connection::new(now);
        self.counters.opened += 1;
        if let Some(mut peer_guard) = self.peer_guard(key, reserve, now) {
            peer_guard.callback(tell);
        }
        self.after(key);
    }

    /// The expected peer does not come: its place is free, the service was never told of it.
    pub fn dismiss(&mut self, key: Key) -> Option<L> {
        self.expected(key)?;
        self.peers.remove(key).map(|peer| peer.link)
    }

    /// The expected peer is given up: counted as one that came and was closed for that reason,
    /// though the service was never told of it.
    pub fn give_up(&mut self, key: Key, reason: CloseReason) -> Option<L> {
        let link = self.dismiss(key)?;
        self.counters.opened += 1;
        self.counters.closed[reason as usize] += 1;
        Some(link)
    }
}
