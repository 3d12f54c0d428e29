//! Converts the settings to the limits and options of the library.

use std::num::NonZero;

use readyloop::codec::{Framing, Lines, Raw};
use readyloop::datagram::DatagramLimits;
use readyloop::net::{DatagramOptions, ListenOptions};
use readyloop::watermark::Watermarks;
use readyloop::{Limits, ServerLimits, WhenFull};

use super::settings::{Service, Settings, WhenFullAction};

/// The default number of threads in a pool.
///
/// Threads mostly wait for their peer, so there are many for each processor.
const WORKERS: NonZero<usize> = NonZero::new(64).expect("64 is not zero");

impl Settings {
    /// Returns the framing, by default the one that service and prefix need.
    pub(super) fn framing(&self) -> Framing {
        let needs_frames = self.prefix().is_some() || self.endpoints.service == Service::Chat;
        match self.endpoints.framing {
            Some(framing) => framing.with_exit(),
            None if needs_frames => Framing::Lines(Lines::new().with_exit()),
            None => Framing::Raw(Raw),
        }
    }

    /// Returns the prefix. An empty text means no prefix.
    pub(super) fn prefix(&self) -> Option<&str> {
        self.endpoints.prefix.as_deref().filter(|prefix| !prefix.is_empty())
    }

    pub(super) fn workers(&self) -> NonZero<usize> {
        self.threads.workers.and_then(NonZero::new).unwrap_or(WORKERS)
    }

    /// Returns the limits on one peer. The watermarks must have been checked.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            queue: Watermarks::new(self.peer.queue_low, self.peer.queue_high),
            frame_len_max: self.peer.frame_len_max,
            handshake_timeout: self.tls.handshake_timeout,
            idle_timeout: self.peer.idle_timeout,
            frame_timeout: self.peer.frame_timeout,
            write_timeout: self.peer.write_timeout,
            linger_timeout: self.peer.linger_timeout,
            min_rate: self.peer.min_rate.and_then(NonZero::new),
            max_lifetime: self.peer.max_lifetime,
            ..Limits::default()
        }
    }

    pub(super) fn server_limits(&self, connections_max: usize) -> ServerLimits {
        ServerLimits {
            connections_max,
            connections_per_address_max: self.total.max_connections_per_ip.unwrap_or(usize::MAX),
            when_full: match self.total.when_full {
                WhenFullAction::Pause => WhenFull::Pause,
                WhenFullAction::Refuse => WhenFull::Refuse,
            },
            handshakes_max: self.tls.max_handshakes,
            queue_total_max: self.total.queue_total_max,
            shutdown_delay: self.total.shutdown_delay,
            lame_duck_timeout: self.total.lame_duck_timeout,
            drain_timeout: self.total.drain_timeout,
            ..ServerLimits::default()
        }
    }

    pub(super) fn datagram_options(&self) -> DatagramOptions {
        DatagramOptions {
            reuse_port: self.sockets.reuse_port,
            recv_buffer: self.sockets.recv_buffer,
            send_buffer: self.sockets.send_buffer,
            multicast: self.datagrams.multicast.clone(),
        }
    }

    pub(super) fn datagram_limits(&self) -> DatagramLimits {
        DatagramLimits {
            source_rate: self.datagrams.udp_source_rate,
            total_rate: self.datagrams.udp_total_rate,
            ..DatagramLimits::default()
        }
    }

    pub(super) fn listen_options(&self) -> ListenOptions {
        ListenOptions {
            backlog: self.sockets.backlog,
            nodelay: !self.sockets.no_nodelay,
            keepalive: self.sockets.keepalive,
            reuse_port: self.sockets.reuse_port,
            recv_buffer: self.sockets.recv_buffer,
            send_buffer: self.sockets.send_buffer,
            ..ListenOptions::default()
        }
    }
}
