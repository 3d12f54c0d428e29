//! The loop of a thread that serves one connection.
//!
//! The connection, the service and the pump are those of the reactor. Only the waiting differs: the
//! thread waits inside a read or a write of its socket.

use std::convert::Infallible;
use std::thread;

use log::debug;

use crate::codec::Codec;
use crate::connection::{CloseReason, Connection, Limits};
use crate::event_loop::shutdown::Stage;
use crate::host::{CloseMode, Host, OrderAllowance};
use crate::instant::Instant;
use crate::net::blocking::{ReadMode, SOCKET_TIMEOUT, TimeoutStream};
use crate::net::{Link, PeerAddress, Stream, pump};
use crate::service::Service;
use crate::slab::Key;

use super::executor::WorkerState;

/// An admitted connection that waits for its thread. Dropping it resets the connection, so that the
/// peer does not mistake a refusal for an empty reply.
pub(super) struct AdmittedPeer {
    address: PeerAddress,
    link: Option<Link<TimeoutStream>>,
}

impl AdmittedPeer {
    pub(super) fn new(stream: TimeoutStream, address: PeerAddress) -> Self {
        Self { address, link: Some(Link::new(stream, address.group())) }
    }
}

impl Drop for AdmittedPeer {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            reset(link, self.address);
        }
    }
}

fn reset(link: Link<TimeoutStream>, address: PeerAddress) {
    if let Err(error) = link.into_stream().reset_on_drop() {
        debug!("cannot reset {address}: {error}");
    }
}

/// One connection, its host, and the state of its thread.
struct Driver<'a, S: Service> {
    host: Host<S, Link<TimeoutStream>>,
    key: Key,
    address: PeerAddress,
    worker: &'a mut WorkerState,
    now: Instant,
    /// The stage that the connection was last notified of.
    stage: Stage,
    /// The last step did nothing.
    is_idle: bool,
}

/// Serves one connection until it is closed, and counts it.
pub(super) fn serve<S: Service>(
    mut host: Host<S, Link<TimeoutStream>>,
    mut peer: AdmittedPeer,
    worker: &mut WorkerState,
) {
    let Some(link) = peer.link.take() else { return };
    let address = peer.address;
    let now = worker.shared.clock.now();
    let Ok(key) = host.open(address, &mut worker.reserve, now, |_| Ok::<_, Infallible>(link));
    debug!("opened {address}");
    let mut driver = Driver { host, key, address, worker, now, stage: Stage::Running, is_idle: false };
    while !driver.host.is_empty() {
        driver.turn();
    }
    driver.worker.shared.count_closed(address.group(), driver.host.counters());
}

impl<S: Service> Driver<'_, S> {
    fn turn(&mut self) {
        self.apply_stage();
        self.serve_steps();
        let reserve = &mut self.worker.reserve;
        self.host.apply_orders(reserve, self.now, &mut OrderAllowance::UNLIMITED.clone(), pump::write_queued);
        // The only peer is served in each turn, whether it is marked or not.
        while self.host.pop_marked().is_some() {}
        self.host.reschedule(self.key);
        // After serving, so that a peer with unread data does not count as idle.
        self.host.handle_deadlines(reserve, self.now);
        self.host.handle_timers(reserve, self.now);
        self.host.reap_closed(usize::MAX, reserve, self.now, |_, link, reason, close_mode| {
            debug!("closed {}: {reason}", self.address);
            match close_mode {
                CloseMode::Graceful => {}
                CloseMode::Reset => reset(link, self.address),
            }
            None
        });
        self.host.refuse_connects(self.now);
        self.worker.count_blocks();
    }

    /// Notifies the connection when the server has entered another stage of its shutdown.
    fn apply_stage(&mut self) {
        let stage = self.worker.shared.stage();
        if stage == self.stage {
            return;
        }
        self.stage = stage;
        self.is_idle = false;
        if stage == Stage::Draining {
            self.host.handle_drain(self.now);
        }
        self.host.for_peers_from(0, usize::MAX, &mut self.worker.reserve, self.now, |peer, resources| match stage {
            Stage::Running | Stage::NotReady | Stage::LameDuck => {}
            Stage::Draining => {
                peer.connection.handle_drain();
                // Data that the peer sent earlier may still wait for space in our receive buffer.
                peer.link.read_on();
            }
            Stage::Finishing => peer.connection.handle_drain_timeout(resources),
            Stage::Stopping => peer.connection.handle_error(CloseReason::Stopped),
        });
    }

    /// Runs the pump: a step reads once, calls the service and writes.
    ///
    /// Steps follow each other while each one serves whole messages: between two messages nothing else is due.
    fn serve_steps(&mut self) {
        let WorkerState { shared, scratch, reserve, .. } = &mut *self.worker;
        let Some(mut guard) = self.host.peer_guard(self.key, reserve, self.now) else { return };
        // A draining connection is finished as soon as its socket is empty: the read must not wait for more.
        let drains = self.stage == Stage::Draining && !self.is_idle;
        let read_mode = match drains || has_work(&guard.peer.connection, guard.resources.limits) {
            true => ReadMode::NoWait,
            false => ReadMode::Wait,
        };
        loop {
            guard.peer.link.prepare_step(read_mode);
            self.is_idle = guard.step(scratch, usize::MAX) == 0;
            self.now = guard.resources.now;
            if self.is_idle || !guard.is_between_messages() || shared.stage() != self.stage {
                break;
            }
        }
        if self.is_idle && waits_without_io(&guard.peer.connection) {
            // No thread unparks this one. After the timeout it checks its deadlines and the shutdown.
            thread::park_timeout(SOCKET_TIMEOUT);
            self.now = shared.clock.now();
        }
    }
}

/// Whether there is more to do than to read: bytes to write, a callback to make, our end to send.
fn has_work<C: Codec>(connection: &Connection<C>, limits: &Limits) -> bool {
    !connection.unsent().is_empty() || connection.is_writable_due(limits) || connection.wants_finish()
}

/// Whether there is nothing to read or write: the service has paused the peer or owes it a reply.
fn waits_without_io<C: Codec>(connection: &Connection<C>) -> bool {
    connection.closed().is_none() && !connection.wants_read() && connection.unsent().is_empty()
}
