//! The administration endpoint: metrics and the state of a loop over HTTP/1.1.
//!
//! It is an ordinary endpoint of the loop that it describes. It changes nothing, and it has no users or
//! passwords. Every client that can connect can read it, so let it listen on loopback or on a Unix socket.
//!
//! ```no_run
//! use readyloop::service::Echo;
//! use readyloop::{Raw, Reactor, Server, ServerLimits, admin};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut server = Server::new(Reactor::new()?, ServerLimits::default());
//! server.listen("127.0.0.1:7007", Raw, Echo::new())?;
//! admin::listen(&mut server, "127.0.0.1:9007")?;
//! server.run()?;
//! # Ok(())
//! # }
//! ```
//!
//! | path | response to GET or HEAD |
//! |---|---|
//! | `/metrics` | all counters and histograms, as text for Prometheus (0.0.4) |
//! | `/healthz` | 200: the loop turns |
//! | `/readyz` | 200, or 503 once a lame duck, a drain or a stop has begun |
//! | `/connections` | the peers, as JSON; see below |
//! | `/connections/KEY` | one peer with its limits and its last 16 transitions |
//! | `/loop` | stage, totals, time per phase and histograms, as JSON |
//! | `/` | a page that shows these numbers live |
//!
//! `/connections` takes the parameters `endpoint=0`, `address=10.1.` (how the address begins), `paused=true`,
//! `output_min=4096` (queued bytes), `sort=output`, `input` or `idle` (largest first), and `limit=100`. It reads
//! the peers in slices, one in each turn. So the list is not one moment: a peer that stays open is listed exactly
//! once, in the state that it has in its slice. A sorted list has at most 1,000 peers.

mod clients;
mod connections;
mod http;
mod loop_report;
mod metrics;
mod process;
mod processes;
mod service;

use std::time::Duration;

use crate::admission::{EndpointPurpose, Listen};
use crate::connection::Limits;
use crate::event_loop::{EventLoop, ListenError};
use crate::net::{Address, Net};

pub use processes::{ProcessEndpoint, ProcessList, listen_for_processes};

use http::{HEAD_LEN_MAX, HttpCodec};
use service::AdminService;

/// How long a client may take for a whole request head, and how long it may not read its response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may stay open without a request. A scraper asks more often.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Adds an administration endpoint to a loop and starts its measurements. Returns the bound address.
///
/// At most [`ADMINISTRATION_MAX`](crate::admission::ADMINISTRATION_MAX) connections are open at a time, besides
/// those of the server. For a further one, the client that has waited longest without a request is closed. The limits of `listen` are replaced by narrow ones. A Unix socket is
/// for its owner only.
///
/// # Errors
/// As [`EventLoop::listen`].
pub fn listen<N: Net + 'static>(
    event_loop: &mut EventLoop<N>,
    listen: impl TryInto<Listen, Error: Into<ListenError>>,
) -> Result<Address, ListenError> {
    let listen = for_administration(listen.try_into().map_err(Into::into)?);
    let inspector = event_loop.inspector();
    let id = event_loop.listen_with(listen, HttpCodec, |sender| AdminService::new(inspector, sender))?;
    event_loop.measure();
    event_loop.record_transitions();
    Ok(event_loop.local_address(&id).clone())
}

/// Gives an endpoint the narrow limits of administration.
fn for_administration(mut listen: Listen) -> Listen {
    listen.purpose = EndpointPurpose::Administration;
    listen.socket.unix_mode.get_or_insert(0o600);
    listen.limits = Limits {
        frame_len_max: HEAD_LEN_MAX,
        frame_timeout: TIMEOUT,
        write_timeout: TIMEOUT,
        idle_timeout: IDLE_TIMEOUT,
        ..Limits::default()
    };
    listen
}

#[cfg(test)]
mod tests;
