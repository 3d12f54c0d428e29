//! Limits that change while the loop runs, such as after a signal that reloads them.

use crate::admission::ServerLimits;
use crate::connection::Limits;
use crate::datagram::DatagramLimits;
use crate::net::Net;
use crate::service::Service;

use super::{EndpointId, EventLoop};

impl<N: Net + 'static> EventLoop<N> {
    /// Changes the limits that all peers share.
    ///
    /// A lower cap closes no peer. Connections beyond it are not accepted until enough peers have left, and
    /// connections that wait in the backlog are accepted as soon as a higher cap allows it. With less memory than
    /// the queues hold, the bound falls as they become empty. A new drain timeout counts for the next drain.
    ///
    /// The call that introduces `connections_per_address_max` visits all peers once to count their addresses.
    pub fn change_limits(&mut self, limits: ServerLimits) {
        if self.state.admission.change_limits(&limits) {
            let Self { endpoints, state, .. } = self;
            for cell in endpoints {
                cell.endpoint().visit_groups(&mut |group| state.admission.recount(group));
            }
        }
        self.state.reserve.change_lent_bytes_max(limits.queue_total_max);
        self.shutdown.change_limits(&limits);
        self.for_service_endpoints(|endpoint, _| endpoint.change_server_limits(&limits));
        self.limits = limits;
    }

    /// Changes the limits of the peers of every endpoint that is not for administration.
    ///
    /// They count for open peers too:
    ///
    /// - A deadline counts from the same moment as before. If it has passed, it expires within the next turns.
    /// - A peer with more queued output than the new watermark is not read until the queue is short enough.
    /// - A frame that has begun is closed as too long if it exceeds the new maximum length.
    /// - [`Limits::max_lifetime`] counts for connections that are opened later.
    pub fn change_peer_limits(&mut self, limits: &Limits) {
        self.for_service_endpoints(|endpoint, _| endpoint.change_peer_limits(limits));
    }

    /// Changes the limits of the peers of one endpoint, as [`Self::change_peer_limits`] does for all.
    pub fn change_peer_limits_of<S: Service + 'static>(&mut self, id: &EndpointId<S>, limits: &Limits) {
        self.endpoint_mut(id).0.change_peer_limits(limits);
    }

    /// Changes the rates at which every endpoint answers datagrams. They count from the next datagram on.
    pub fn change_datagram_limits(&mut self, limits: &DatagramLimits) {
        self.for_service_endpoints(|endpoint, _| endpoint.change_datagram_limits(limits));
    }
}
