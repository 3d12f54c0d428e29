//! [`Connect`]: a blocking connect by name, with several addresses, retries and one deadline.
//!
//! Only connecting is retried. No byte is sent, so a retry repeats nothing.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant as SystemInstant};

use log::debug;
use thiserror::Error;

use crate::connector::FULL_PAUSE;
use crate::instant::Instant;
use crate::net::{Address, ConnectOptions, Destination, Net, Reactor, Token};

use super::backoff::Backoff;
use super::blocking::BlockingStream;
use super::race::{Race, RaceAction};

/// Options of a blocking connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The time for everything together: the lookup, all addresses and all retries.
    ///
    /// Default 5 seconds, which allows two lost packets: TCP retransmits after 1 and 3 seconds.
    pub timeout: Duration,
    /// The most retries after all addresses have failed. Default 0.
    pub retries: u32,
    /// The pause before each retry.
    pub backoff: Backoff,
    /// The options of the socket.
    pub options: ConnectOptions,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            retries: 0,
            backoff: Backoff::default(),
            options: ConnectOptions::default(),
        }
    }
}

/// An established connection, with the retries and the time it took.
#[derive(Debug)]
pub struct Connected {
    /// The stream.
    pub stream: BlockingStream,
    /// The address that was reached.
    pub to: Destination,
    /// How many retries were needed.
    pub retries: u32,
    /// The time for everything together.
    pub took: Duration,
}

/// Why no connection was established.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The name is unknown, or no name server could be reached.
    #[error("cannot look up {name}: {error}")]
    LookUp {
        /// The name with its port.
        name: String,
        /// The system's error.
        error: io::Error,
    },
    /// The deadline passed without an answer from the resolver, or from some addresses.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// The timeout.
        after: Duration,
        /// The addresses that failed before, and why.
        failures: Vec<(Destination, io::Error)>,
    },
    /// Every address failed in every attempt.
    #[error("no connection after {}", attempts(*retries))]
    Failed {
        /// How many retries were made.
        retries: u32,
        /// The addresses of the last attempt, and why each failed.
        failures: Vec<(Destination, io::Error)>,
    },
    /// The address cannot be connected to, or the system has no resources for a connection.
    #[error("cannot start to connect: {0}")]
    System(#[from] io::Error),
}

fn attempts(retries: u32) -> String {
    if retries == 0 { "1 attempt".to_owned() } else { format!("{} attempts", u64::from(retries) + 1) }
}

impl Connect {
    /// Connects to `address`, blocking the calling thread. For a `tls://` address it establishes only
    /// the TCP connection; the handshake is left to the caller.
    ///
    /// # Errors
    /// The name is unknown, every attempt failed, or the timeout was exceeded.
    pub fn to(&self, address: &Address) -> Result<Connected, ConnectError> {
        let started = SystemInstant::now();
        let destinations = resolve(address, self.timeout)?;
        let mut net = Reactor::new()?;
        let left = self.timeout.saturating_sub(started.elapsed());
        let deadline = net.now() + left;
        let (stream, to, retries) = self.connect_with_retries(&mut net, &destinations, deadline)?;
        let stream = BlockingStream::from_nonblocking(stream)?;
        Ok(Connected { stream, to, retries, took: started.elapsed() })
    }

    /// Tries until a connection is established, a retry is useless, or a bound is reached.
    fn connect_with_retries<N: Net>(
        &self,
        net: &mut N,
        destinations: &[Destination],
        deadline: Instant,
    ) -> Result<(N::Stream, Destination, u32), ConnectError> {
        // The only source of randomness in std: the system seeds a `RandomState`.
        let seed = RandomState::new().hash_one(0);
        let mut retries = 0;
        loop {
            let failures = match run_race(Race::new(destinations.iter().cloned(), deadline), net, &self.options)? {
                AttemptOutcome::Connected(stream, to) => return Ok((stream, to, retries)),
                AttemptOutcome::TimedOut(failures) => {
                    return Err(ConnectError::TimedOut { after: self.timeout, failures });
                }
                AttemptOutcome::Failed(failures) => failures,
            };
            let retry_at = net.now() + self.backoff.pause(retries, seed);
            let is_permanent = !failures.iter().any(|(_, error)| is_temporary(error));
            if retries == self.retries || retry_at >= deadline || is_permanent {
                return Err(ConnectError::Failed { retries, failures });
            }
            retries += 1;
            let millis = retry_at.since(net.now()).as_millis();
            for (to, error) in &failures {
                debug!("{to}: {error}; retry {retries} of {} in {millis} ms", self.retries);
            }
            sleep_until(net, retry_at)?;
        }
    }
}

/// The outcome of one attempt, over all addresses.
enum AttemptOutcome<S> {
    Connected(S, Destination),
    TimedOut(Vec<(Destination, io::Error)>),
    Failed(Vec<(Destination, io::Error)>),
}

/// Drives a race to its end. The streams of all attempts but the first established one are dropped.
fn run_race<N: Net>(mut race: Race, net: &mut N, options: &ConnectOptions) -> io::Result<AttemptOutcome<N::Stream>> {
    let mut events = Vec::new();
    let mut running: Vec<(Destination, N::Stream)> = Vec::new();
    loop {
        match race.poll_action(net.now()) {
            RaceAction::Start(to) => match (&to, net.connect(&to, options, Token(0))) {
                (_, Ok(stream)) => running.push((to, stream)),
                (Destination::Unix(_), Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    race.handle_full(to, net.now() + FULL_PAUSE);
                }
                (_, Err(error)) => race.handle_failure(to, error),
            },
            RaceAction::Wait(until) => {
                events.clear();
                net.poll(&mut events, Some(until))?;
                // The attempts are few, so each one is checked, whatever the events report.
                let mut index = 0;
                while let Some((_, stream)) = running.get_mut(index) {
                    match net.is_connected(stream) {
                        Ok(true) => {
                            let (to, stream) = running.swap_remove(index);
                            return Ok(AttemptOutcome::Connected(stream, to));
                        }
                        Ok(false) => index += 1,
                        Err(error) => race.handle_failure(running.swap_remove(index).0, error),
                    }
                }
            }
            RaceAction::TimedOut => return Ok(AttemptOutcome::TimedOut(race.into_failures())),
            RaceAction::Failed => return Ok(AttemptOutcome::Failed(race.into_failures())),
        }
    }
}

fn sleep_until<N: Net>(net: &mut N, until: Instant) -> io::Result<()> {
    while net.now() < until {
        net.poll(&mut Vec::new(), Some(until))?;
    }
    Ok(())
}

/// Whether a later attempt may succeed, since the server may start or the path may recover.
fn is_temporary(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, NotFound, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkUnreachable
            | NotFound
            | TimedOut
    )
}

/// The destinations of an address, most preferred first; a name may have several.
///
/// # Errors
/// The name cannot be resolved within `timeout`, or the address is a `udp://` one.
pub fn resolve(address: &Address, timeout: Duration) -> Result<Vec<Destination>, ConnectError> {
    match address {
        Address::Tcp(name) | Address::Tls(name) => {
            Ok(look_up(name, timeout)?.into_iter().map(Destination::Tcp).collect())
        }
        Address::Udp(_) => {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "a udp:// address does not accept connections");
            Err(error.into())
        }
        Address::Unix(path) => Ok(vec![Destination::Unix(path.clone())]),
    }
}

/// The socket addresses of `host:port`, most preferred first.
///
/// A lookup can be neither polled nor canceled, so it runs on a thread of its own. After `timeout`
/// the thread is abandoned; it ends when the resolver does.
///
/// # Errors
/// The name cannot be resolved within `timeout`.
pub fn look_up(host_port: &str, timeout: Duration) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(literal) = host_port.parse() {
        return Ok(vec![literal]);
    }
    let (sender, receiver) = sync_channel(1);
    let (name, query) = (host_port.to_owned(), host_port.to_owned());
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let addresses = Address::resolve(&query);
        // Sending fails if the lookup took longer than the timeout.
        let _ = sender.send(addresses);
    })?;
    match receiver.recv_timeout(timeout) {
        Ok(addresses) => addresses.map_err(|error| ConnectError::LookUp { name, error }),
        Err(RecvTimeoutError::Timeout) => Err(ConnectError::TimedOut { after: timeout, failures: Vec::new() }),
        Err(RecvTimeoutError::Disconnected) => {
            Err(ConnectError::LookUp { name, error: io::Error::other("the resolver thread panicked") })
        }
    }
}

#[cfg(test)]
mod tests;
