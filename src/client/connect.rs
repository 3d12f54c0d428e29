//! Connecting to an address as people write it: looks the name up, races what it stands for, and
//! tries again, all before one deadline.
//!
//! It blocks the calling thread, and sends no byte: so a new try never repeats anything.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
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
use super::race::{Race, Step};

/// How to connect, and how hard to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Until when it must have succeeded: the look-up, every address and every retry in it.
    ///
    /// 5 seconds: two lost packets and their retransmissions, after 1 and 3 seconds.
    pub timeout: Duration,
    /// How often to try again when nobody answers at any address. None by default.
    pub retries: u32,
    /// How long to wait before each of them.
    pub backoff: Backoff,
    /// How the stream is set.
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

/// A connection, and how it came about.
#[derive(Debug)]
pub struct Connected {
    /// The stream; its reads and writes block.
    pub stream: BlockingStream,
    /// Which of the addresses it leads to.
    pub to: Destination,
    /// How many tries failed before.
    pub retries: u32,
    /// How long all of it took.
    pub took: Duration,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The name is not known, or nobody could be asked.
    #[error("cannot look up {name}: {error}")]
    LookUp {
        /// What was looked up.
        name: String,
        /// What the system says.
        error: io::Error,
    },
    /// Nothing came back before the deadline: from the resolver, or from these addresses.
    #[error("nothing came back within {after:?}")]
    TimedOut {
        /// The time there was.
        after: Duration,
        /// What did fail meanwhile.
        failures: Vec<(Destination, io::Error)>,
    },
    /// Every address failed, as often as it was tried.
    #[error("no connection after {} tries", retries + 1)]
    Failed {
        /// How often it was tried again.
        retries: u32,
        /// Each address of the last try, and what the system says.
        failures: Vec<(Destination, io::Error)>,
    },
    /// The system has no room for what connecting takes.
    #[error("cannot begin to connect: {0}")]
    System(#[from] io::Error),
}

impl Connect {
    /// Connects to `address`. Where it is a `tls://` one, nothing has been agreed on yet: that is
    /// left to whoever speaks first.
    ///
    /// # Errors
    /// The name is not known, nobody answers there, or not in time.
    pub fn to(&self, address: &Address) -> Result<Connected, ConnectError> {
        let begun = SystemInstant::now();
        let destinations = resolve(address, self.timeout)?;
        let mut net = Reactor::new()?;
        let left = self.timeout.saturating_sub(begun.elapsed());
        let deadline = net.now() + left;
        let (stream, to, retries) = self.insist(&mut net, &destinations, deadline)?;
        let stream = BlockingStream::from_nonblocking(stream)?;
        Ok(Connected { stream, to, retries, took: begun.elapsed() })
    }

    /// Tries until it succeeds, there is no use in it, or one of the bounds is reached.
    fn insist<N: Net>(
        &self,
        net: &mut N,
        destinations: &[Destination],
        deadline: Instant,
    ) -> Result<(N::Stream, Destination, u32), ConnectError> {
        // A random state is seeded by the system: the one source of chance that std has.
        let seed = RandomState::new().hash_one(0);
        let mut retries = 0;
        loop {
            let failures = match try_once(net, destinations, &self.options, deadline)? {
                Tried::Through(stream, to) => return Ok((stream, to, retries)),
                Tried::TimedOut(failures) => return Err(ConnectError::TimedOut { after: self.timeout, failures }),
                Tried::Failed(failures) => failures,
            };
            let again_at = net.now() + self.backoff.pause(retries, seed);
            let is_hopeless = !failures.iter().any(|(_, error)| may_pass(error));
            if retries == self.retries || again_at >= deadline || is_hopeless {
                return Err(ConnectError::Failed { retries, failures });
            }
            retries += 1;
            let again_in = again_at.since(net.now());
            for (to, error) in &failures {
                debug!("{to}: {error}; again in {} ms ({retries} of {})", again_in.as_millis(), self.retries);
            }
            sleep(net, again_at)?;
        }
    }
}

/// How one try ended.
enum Tried<S> {
    Through(S, Destination),
    TimedOut(Vec<(Destination, io::Error)>),
    Failed(Vec<(Destination, io::Error)>),
}

fn try_once<N: Net>(
    net: &mut N,
    destinations: &[Destination],
    options: &ConnectOptions,
    deadline: Instant,
) -> io::Result<Tried<N::Stream>> {
    match destinations {
        [Destination::Unix(_)] => try_unix(net, &destinations[0], options, deadline),
        destinations => {
            let addresses = destinations.iter().filter_map(|to| match to {
                Destination::Tcp(address) => Some(*address),
                Destination::Unix(_) => None,
            });
            run(Race::new(addresses, deadline), net, options)
        }
    }
}

/// A Unix socket is connected at once, or refused, or its backlog is full.
fn try_unix<N: Net>(
    net: &mut N,
    to: &Destination,
    options: &ConnectOptions,
    deadline: Instant,
) -> io::Result<Tried<N::Stream>> {
    loop {
        match net.connect(to, options, Token(0)) {
            Ok(stream) => return Ok(Tried::Through(stream, to.clone())),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                return Ok(Tried::Failed(vec![(to.clone(), error)]));
            }
            Err(_) if deadline <= net.now() => return Ok(Tried::TimedOut(Vec::new())),
            Err(_) => sleep(net, deadline.min(net.now() + FULL_PAUSE))?,
        }
    }
}

/// Drives a race to its end; whoever has not won is dropped with its stream.
fn run<N: Net>(mut race: Race, net: &mut N, options: &ConnectOptions) -> io::Result<Tried<N::Stream>> {
    let mut events = Vec::new();
    let mut running: Vec<(SocketAddr, N::Stream)> = Vec::new();
    loop {
        match race.poll_step(net.now()) {
            Step::Start(address) => match net.connect(&Destination::Tcp(address), options, Token(0)) {
                Ok(stream) => running.push((address, stream)),
                Err(error) => race.handle_failure(address, error),
            },
            Step::Wait(until) => {
                events.clear();
                net.poll(&mut events, Some(until))?;
                // So few that each is asked, whomever the facts name.
                let mut place = 0;
                while let Some((address, stream)) = running.get_mut(place) {
                    match net.is_connected(stream) {
                        Ok(true) => {
                            let (address, stream) = running.swap_remove(place);
                            return Ok(Tried::Through(stream, Destination::Tcp(address)));
                        }
                        Ok(false) => place += 1,
                        Err(error) => {
                            race.handle_failure(*address, error);
                            running.swap_remove(place);
                        }
                    }
                }
            }
            Step::TimedOut => return Ok(Tried::TimedOut(named(race))),
            Step::Lost => return Ok(Tried::Failed(named(race))),
        }
    }
}

fn named(race: Race) -> Vec<(Destination, io::Error)> {
    race.into_failures().into_iter().map(|(address, error)| (Destination::Tcp(address), error)).collect()
}

fn sleep<N: Net>(net: &mut N, until: Instant) -> io::Result<()> {
    while net.now() < until {
        net.poll(&mut Vec::new(), Some(until))?;
    }
    Ok(())
}

/// Whether a later try may fare better: the server may start, the path may heal.
fn may_pass(error: &io::Error) -> bool {
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

/// Where an address leads; for a name, to all that it stands for, the most welcome first.
///
/// # Errors
/// The name is not known, or that did not show in time.
pub fn resolve(address: &Address, timeout: Duration) -> Result<Vec<Destination>, ConnectError> {
    match address {
        Address::Tcp(name) | Address::Tls(name) => {
            Ok(look_up(name, timeout)?.into_iter().map(Destination::Tcp).collect())
        }
        Address::Udp(_) => {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "a udp:// address has no connections");
            Err(error.into())
        }
        Address::Unix(path) => Ok(vec![Destination::Unix(path.clone())]),
    }
}

/// All that `host:port` stands for, the most welcome first.
///
/// The look-up is made on a thread of its own, since it can neither be watched nor broken off:
/// when it takes too long the thread is left behind, and ends when the resolver gives up.
///
/// # Errors
/// The name is not known, or that did not show in time.
pub fn look_up(host_port: &str, timeout: Duration) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(literal) = host_port.parse() {
        return Ok(vec![literal]);
    }
    let (answer, answers) = sync_channel(1);
    let (name, question) = (host_port.to_owned(), host_port.to_owned());
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let addresses = question.to_socket_addrs().map(Iterator::collect);
        // Nobody waits for it any more when it comes too late.
        let _ = answer.send(addresses);
    })?;
    match answers.recv_timeout(timeout) {
        Ok(addresses) => addresses.map_err(|error| ConnectError::LookUp { name, error }),
        Err(RecvTimeoutError::Timeout) => Err(ConnectError::TimedOut { after: timeout, failures: Vec::new() }),
        Err(RecvTimeoutError::Disconnected) => {
            Err(ConnectError::LookUp { name, error: io::Error::other("the resolver died") })
        }
    }
}

#[cfg(test)]
mod tests;
