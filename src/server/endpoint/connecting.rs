//! Connections that a service ordered: begun here, and taken in as peers once they are through.
//!
//! Which may begin, and which is late, is the [`Dial`]'s to say. Every order has one outcome, told
//! in a turn of its own: what a service orders when it hears of one begins in the next.
//!
//! [`Dial`]: crate::dial::Dial

use std::io;

use log::{debug, warn};

use crate::codec::Codec;
use crate::dial::{Failure, Wanted};
use crate::door::{Refusal, times_more};
use crate::net::{AddressGroup, ConnectOptions, Layer, Link, Net};
use crate::service::Service;
use crate::table::Key;

use super::{Endpoint, Shared, drain, token};

/// Connections begun per endpoint and turn: 32 of them take about as long as one peer's whole budget.
const CONNECT_BUDGET: usize = 32;

/// How many may wait to begin, per endpoint. As many newcomers as one backlog holds at most can
/// each order one; who orders more than that is told.
const WANTED_MAX: usize = 1 << 16;

impl<S: Service, C: Codec, N: Net, W: Layer<N::Stream>> Endpoint<S, C, N, W> {
    /// Takes the orders to connect, and begins as many as may.
    pub(super) fn begin_ordered(&mut self, shared: &mut Shared<N>) {
        while let Some((to, ticket)) = self.host.pop_wanted() {
            if W::OPENS {
                let error = io::Error::new(io::ErrorKind::Unsupported, "a tls:// endpoint connects to nobody");
                self.dial.refuse(to, ticket, error);
            } else if self.dial.wanted() >= WANTED_MAX {
                self.dial.refuse(to, ticket, io::Error::other("too many connections wait to begin"));
            } else {
                self.dial.want(to, None, ticket, Some(shared.now));
            }
        }
        for _ in 0..CONNECT_BUDGET {
            let Some(wanted) = self.dial.poll_begin(shared.now) else { break };
            match self.begin(&wanted, shared) {
                Ok(key) => self.dial.handle_begun(key, wanted, shared.now),
                Err(error) => self.dial.handle_not_begun(wanted, error, shared.now),
            }
        }
        self.tell_failures(shared);
    }

    fn begin(&mut self, wanted: &Wanted<u64>, shared: &mut Shared<N>) -> io::Result<Key> {
        shared.admission.admit(AddressGroup::OURS).map_err(|refusal| match refusal {
            Refusal::Full | Refusal::AddressFull => io::Error::other("the server is full"),
        })?;
        let (index, net, layer) = (self.index, &mut shared.net, &self.layer);
        let begun = self.host.expect(|key| {
            let stream = net.connect(&wanted.to, &ConnectOptions::default(), token(index, key))?;
            Ok::<_, io::Error>(Link::new(layer.lay_over(stream)?, AddressGroup::OURS))
        });
        if begun.is_err() {
            shared.admission.release(AddressGroup::OURS);
        }
        begun
    }

    /// Looks how far one has come: whether it is through, so that its peer can be served.
    pub(super) fn go_on_connecting(&mut self, key: Key, shared: &mut Shared<N>) -> bool {
        let Some(link) = self.host.expected(key) else { return true };
        match shared.net.is_connected(self.layer.beneath(link.stream_mut())) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                self.dial.handle_failure(key, error);
                self.let_go(key, shared);
                self.tell_failures(shared);
                return false;
            }
        }
        let Some(connecting) = self.dial.take(key) else { return false };
        debug!("peer {key:?} at {}", connecting.to);
        self.host.handle_connected(key, connecting.peer, &mut shared.reserve, shared.now);
        if let (None, Some(visit)) = (&self.listener, self.host.visit(key, &mut shared.reserve, shared.now)) {
            drain(&mut visit.peer.link, &mut visit.peer.connection);
        }
        true
    }

    pub(super) fn give_up_late(&mut self, shared: &mut Shared<N>) {
        while let Some(key) = self.dial.poll_late(shared.now) {
            self.let_go(key, shared);
        }
        self.tell_failures(shared);
    }

    /// Nobody is connected to any more.
    pub(super) fn stop_connecting(&mut self, shared: &mut Shared<N>) {
        self.dial.close();
        while let Some(key) = self.dial.poll_given_up() {
            self.let_go(key, shared);
        }
        self.tell_failures(shared);
    }

    fn let_go(&mut self, key: Key, shared: &mut Shared<N>) {
        if self.host.dismiss(key).is_some() {
            shared.admission.release(AddressGroup::OURS);
            shared.closes += 1;
        }
    }

    fn tell_failures(&mut self, shared: &mut Shared<N>) {
        while let Some(Failure { peer: ticket, to, error }) = self.dial.poll_failure() {
            shared.connects_failed += 1;
            if let Some(held_back) = self.unreached.may_say(shared.now) {
                warn!("cannot connect to {to} from {}: {error}{}", self.address, times_more(held_back));
            }
            self.host.handle_connect_failed(ticket, &error, &mut shared.reserve, shared.now);
        }
    }
}
