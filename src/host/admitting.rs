//! How peers enter a host: pending first, then open, or removed.
//!
//! ```text
//! insert_pending ──▶ Pending ── handle_opened ──▶ Open
//!                       ├── remove_pending, close_pending ──▶ removed
//!                       └── refuse_pending ──▶ Refused ── lingers ──▶ removed
//! ```

use crate::buffer::Reserve;
use crate::connection::{CloseReason, Connection, Role};
use crate::instant::Instant;
use crate::peer_address::PeerAddress;
use crate::service::{Identity, Service};
use crate::slab::Key;

use super::{Host, Lifetime, Mark, Peer, PeerGuard, Presence};

impl<S: Service, L: Identity> Host<S, L> {
    /// Inserts a peer and opens it at once. `link` makes its link from its key.
    ///
    /// # Errors
    /// Passes on an error of `link`, and inserts no peer.
    pub fn open<E>(
        &mut self,
        address: PeerAddress,
        reserve: &mut Reserve,
        now: Instant,
        link: impl FnOnce(Key) -> Result<L, E>,
    ) -> Result<Key, E> {
        let key = self.insert_pending(now, link)?;
        self.handle_opened(key, S::Peer::default(), (address, Role::Accepted), reserve, now);
        Ok(key)
    }

    /// Inserts a pending peer, which is still connecting or in its handshake.
    ///
    /// It can be marked, but it is not served and the service does not know of it.
    ///
    /// # Errors
    /// Passes on an error of `link`, and inserts no peer.
    pub fn insert_pending<E>(&mut self, now: Instant, link: impl FnOnce(Key) -> Result<L, E>) -> Result<Key, E> {
        self.peers.try_insert_with(|key| {
            Ok(Peer {
                link: link(key)?,
                connection: Connection::new(Role::Accepted, now),
                state: S::Peer::default(),
                armed_at: Instant::NEVER,
                presence: Presence::Pending,
                mark: Mark::Unmarked,
                was_at_rest: true,
                lifetime: Lifetime::ENDLESS,
            })
        })
    }

    /// The link of a pending peer. Returns `None` if the peer is open or gone.
    pub fn pending(&mut self, key: Key) -> Option<&mut L> {
        self.pending_peer(key).map(|peer| &mut peer.link)
    }

    fn pending_peer(&mut self, key: Key) -> Option<&mut Peer<S, L>> {
        self.peers.get_mut(key).filter(|peer| peer.is_pending())
    }

    /// Opens a pending peer with this state, and calls [`Service::on_open`].
    pub fn handle_opened(
        &mut self,
        key: Key,
        state: S::Peer,
        (address, role): (PeerAddress, Role),
        reserve: &mut Reserve,
        now: Instant,
    ) {
        let lifetime = Lifetime::until(self.limits.lifetime_end(now, key.to_bits()));
        let Some(peer) = self.pending_peer(key) else { return };
        peer.presence = Presence::Open;
        peer.state = state;
        peer.connection = Connection::new(role, now);
        peer.lifetime = lifetime;
        self.counters.opened += 1;
        if let Some(mut peer_guard) = self.peer_guard(key, reserve, now) {
            peer_guard.handle_open(address, role);
        }
        self.reschedule(key);
    }

    /// Removes a pending peer, which is not counted.
    pub fn remove_pending(&mut self, key: Key) -> Option<L> {
        self.pending(key)?;
        self.peers.remove(key).map(|peer| peer.link)
    }

    /// Finishes a pending peer after a failed handshake. The buffered bytes of its stream are written, and
    /// its input is discarded within the limits. The service is not notified.
    pub fn refuse_pending(&mut self, key: Key, reason: CloseReason, reserve: &mut Reserve, now: Instant) {
        let Some(peer) = self.pending_peer(key) else { return };
        peer.presence = Presence::Refused;
        peer.connection = Connection::new(Role::Accepted, now);
        self.counters.opened += 1;
        if let Some(PeerGuard { peer, mut resources, .. }) = self.peer_guard(key, reserve, now) {
            peer.connection.handle_layer_error(reason, &mut resources);
        }
        self.reschedule(key);
        self.mark(key);
    }

    /// Counts a peer that was opened and closed before it was inserted, without notifying the service.
    pub fn count_refused(&mut self, reason: CloseReason) {
        self.counters.opened += 1;
        self.counters.count_closed(reason);
    }

    /// Removes a pending peer and counts it as opened and closed, without notifying the service.
    pub fn close_pending(&mut self, key: Key, reason: CloseReason) -> Option<L> {
        let link = self.remove_pending(key)?;
        self.counters.opened += 1;
        self.counters.count_closed(reason);
        Some(link)
    }
}
