//! The administration endpoint of several processes that serve the same addresses.
//!
//! Each process has an administration endpoint of its own on a Unix socket. This one asks them and merges
//! their responses. It asks on threads of its own, so the loop never waits for a process.
//!
//! | path | response to GET or HEAD |
//! |---|---|
//! | `/metrics` | the metrics of all processes; each sample has the label `process` |
//! | `/healthz` | 200 |
//! | `/readyz` | 200 while at least one process is ready, or 503 |
//! | `/loop` | the sums over all processes, as JSON |
//! | `/process/NAME/PATH` | what this process answers to `/PATH` |
//! | `/` | a page with links to the pages of the processes |

mod fetch;
mod merge;
mod service;

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::admission::Listen;
use crate::event_loop::{EventLoop, ListenError};
use crate::net::{Address, Net};
use crate::offload::Offload;

use super::for_administration;
use super::http::HttpCodec;
use service::ProcessesService;

/// Threads that ask the processes. A thread waits for a process that does not answer.
const THREADS: NonZero<usize> = NonZero::new(2).expect("two are not zero");

/// Requests that may wait for a thread. There are fewer clients.
const WAITING_MAX: usize = 64;

/// A process with an administration endpoint of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEndpoint {
    /// The name of the process: the value of the label `process`, and a part of paths. Letters and digits.
    pub name: String,
    /// The path of the Unix socket of its administration endpoint; `None` while the process does not serve.
    pub path: Option<PathBuf>,
    /// How often the process was started, also after a crash.
    pub starts: u64,
}

/// The processes that an endpoint asks. The list can change at any time.
#[derive(Clone, Debug, Default)]
pub struct ProcessList {
    processes: Arc<Mutex<Vec<ProcessEndpoint>>>,
}

impl ProcessList {
    /// Replaces the list.
    pub fn replace(&self, processes: Vec<ProcessEndpoint>) {
        *self.processes.lock().unwrap_or_else(PoisonError::into_inner) = processes;
    }

    fn all(&self) -> Vec<ProcessEndpoint> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Adds an administration endpoint for all processes of a list. Returns the bound address.
///
/// # Errors
/// As [`EventLoop::listen`], or the system refuses a thread.
pub fn listen_for_processes<N: Net + 'static>(
    event_loop: &mut EventLoop<N>,
    listen: impl TryInto<Listen, Error: Into<ListenError>>,
    processes: ProcessList,
) -> Result<Address, ListenError> {
    let listen = for_administration(listen.try_into().map_err(Into::into)?);
    let offload = Offload::start(THREADS, WAITING_MAX);
    let offload = offload.map_err(|error| ListenError::System(listen.address.clone(), error))?;
    let service = |sender| ProcessesService::new(processes, offload, sender);
    let id = event_loop.listen_with(listen, HttpCodec, service)?;
    Ok(event_loop.local_address(&id).clone())
}
