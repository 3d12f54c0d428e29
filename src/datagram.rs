//! Datagram services, and the rules for which datagrams are answered.
//!
//! The source address of a datagram can be forged. An answer may therefore reach a host that sent
//! nothing, or another server that answers in turn, in an endless loop (CVE-1999-0103, CVE-2024-2169).
//! [`Guard`] prevents both. It has no socket and no clock.

use std::collections::HashMap;
use std::time::Duration;

use crate::codec::Raw;
use crate::counters::counters;
use crate::instant::Instant;
use crate::service::{Chargen, Discard, Echo, chargen_line};

/// An application that answers single datagrams.
pub trait DatagramService {
    /// Returns the answer to one datagram, or `None`.
    ///
    /// The answer is a part of the datagram or of `buffer`, which is empty at first. An answer longer than
    /// the datagram is not sent ([`DatagramRefusal::TooLong`]). A panic leaves only this datagram
    /// unanswered ([`DatagramRefusal::Panicked`]).
    fn on_datagram<'a>(&mut self, datagram: &'a [u8], buffer: &'a mut Vec<u8>) -> Option<&'a [u8]>;
}

impl DatagramService for Echo<Raw> {
    fn on_datagram<'a>(&mut self, datagram: &'a [u8], _buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        Some(datagram)
    }
}

impl DatagramService for Discard<Raw> {
    fn on_datagram<'a>(&mut self, _datagram: &'a [u8], _buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        None
    }
}

impl DatagramService for Chargen<Raw> {
    /// Answers with the first line of the pattern, cut to the length of the datagram.
    fn on_datagram<'a>(&mut self, datagram: &'a [u8], buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        buffer.extend_from_slice(&chargen_line(0));
        buffer.extend_from_slice(b"\r\n");
        Some(&buffer[..buffer.len().min(datagram.len())])
    }
}

/// The source of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its network as a number: an IPv4 /24 or an IPv6 /56, as in DNS response rate limiting.
    pub prefix: u64,
    /// The source port.
    pub port: u16,
    /// The kind of its address.
    pub reach: Reach,
}

/// The kind of a source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// An address of one host.
    Unicast,
    /// An address of many hosts or of none: multicast, broadcast, unspecified.
    Other,
}

/// Why a datagram is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatagramRefusal {
    /// It comes from a port on which this server, or another like it, answers datagrams.
    OwnPort,
    /// It comes from port 0 or from the port of a service that answers any datagram.
    ServicePort,
    /// Its source is not the address of a single host.
    Unanswerable,
    /// It was longer than the receive buffer, so its end is missing.
    Truncated,
    /// Its network is over [`DatagramLimits::source_rate`].
    SourceRate,
    /// The server is over [`DatagramLimits::total_rate`].
    TotalRate,
    /// The answer is longer than the datagram and would amplify an attack.
    TooLong,
    /// [`DatagramLimits::waiting_bytes_max`] bytes of answers are waiting already.
    QueueFull,
    /// The service panicked.
    Panicked,
}

impl DatagramRefusal {
    /// All variants in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::OwnPort,
        Self::ServicePort,
        Self::Unanswerable,
        Self::Truncated,
        Self::SourceRate,
        Self::TotalRate,
        Self::TooLong,
        Self::QueueFull,
        Self::Panicked,
    ];

    /// The reason in lower case with hyphens, for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnPort => "own-port",
            Self::ServicePort => "service-port",
            Self::Unanswerable => "unanswerable",
            Self::Truncated => "truncated",
            Self::SourceRate => "source-rate",
            Self::TotalRate => "total-rate",
            Self::TooLong => "too-long",
            Self::QueueFull => "queue-full",
            Self::Panicked => "panicked",
        }
    }
}

/// Limits on the answers to datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramLimits {
    /// Answers per second to one source network.
    ///
    /// The default is 10,000: enough for a busy host. No answer is longer than its datagram, so a forged
    /// source gains an attacker nothing.
    pub source_rate: u32,
    /// Answers per second in total.
    ///
    /// The default is 200,000, about as many as one thread can send.
    pub total_rate: u32,
    /// How many answers both rates allow at once, given as the time over which they add up.
    ///
    /// The default is 100 milliseconds, more than a client is commonly delayed by its scheduler.
    pub burst: Duration,
    /// Most bytes of answers that wait for the socket. One answer may always wait.
    ///
    /// The default is 256 KiB, about the size of a socket's own buffer.
    pub waiting_bytes_max: usize,
}

impl Default for DatagramLimits {
    fn default() -> Self {
        Self {
            source_rate: 10_000,
            total_rate: 200_000,
            burst: Duration::from_millis(100),
            waiting_bytes_max: 256 * 1024,
        }
    }
}

counters! {
    /// Counters of the datagrams of one endpoint.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DatagramCounters {
        /// Datagrams received, whether answered or not.
        pub received: Counter = "datagrams_received",
        /// Bytes in all received datagrams.
        pub bytes_in: Counter = "datagrams_received_bytes",
        /// Datagrams answered: the kernel accepted the answer.
        pub answered: Counter = "datagrams_answered",
        /// Bytes in these answers.
        pub bytes_out: Counter = "datagrams_answered_bytes",
        /// Datagrams to which the service returned no answer.
        pub unanswered: Counter = "datagrams_unanswered",
        /// Answers that the kernel rejected, or that were dropped when the endpoint closed.
        pub lost: Counter = "datagrams_lost",
        /// Answers that wait for the socket.
        pub waiting: Gauge = "datagrams_waiting",
        /// Failed attempts to receive.
        pub receive_errors: Counter = "datagram_receive_errors",
        by
        /// Datagrams refused, by reason.
        refused: DatagramRefusal = "datagrams_refused" as "refusal",
    }
}

impl DatagramCounters {
    /// The number of datagrams refused for this reason.
    pub fn refused(&self, refusal: DatagramRefusal) -> u64 {
        self.refused[refusal as usize]
    }

    /// The number of datagrams refused.
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().sum()
    }

    pub(crate) fn count_refused(&mut self, refusal: DatagramRefusal) {
        self.refused[refusal as usize] += 1;
    }

    /// Whether every datagram received is accounted for.
    pub fn reconciles(&self) -> bool {
        self.received == self.answered + self.unanswered + self.refused_total() + self.lost + self.waiting
    }
}

/// Ports of well-known services. Most answer any datagram, so two of them could answer each other endlessly:
/// echo, discard, daytime, quote of the day, chargen, time, DNS, TFTP, NTP. 7007 is our default.
const SERVICE_PORTS: [u16; 10] = [7, 9, 13, 17, 19, 37, 53, 69, 123, 7007];

/// Most source networks with a bucket of their own, about 1 MiB of memory. All further ones share one.
const SOURCES_MAX: usize = 1 << 16;

/// Decides which datagrams are answered.
#[derive(Debug)]
pub struct Guard {
    limits: DatagramLimits,
    own_ports: Vec<u16>,
    total: Bucket,
    sources: HashMap<u64, Bucket>,
    other_sources: Bucket,
    swept_at: Instant,
}

impl Guard {
    /// A guard that has seen no datagram.
    pub fn new(limits: DatagramLimits) -> Self {
        Self {
            limits,
            own_ports: Vec::new(),
            total: Bucket::default(),
            sources: HashMap::new(),
            other_sources: Bucket::default(),
            swept_at: Instant::ORIGIN,
        }
    }

    /// Changes the rates. The buckets keep what they hold.
    pub fn change_limits(&mut self, limits: DatagramLimits) {
        self.limits = limits;
    }

    /// Sets the ports on which this server answers datagrams. Datagrams from these ports are refused.
    pub fn refuse_own_ports(&mut self, ports: &[u16]) {
        self.own_ports = ports.to_vec();
    }

    /// Checks whether a datagram from this source may be answered.
    ///
    /// # Errors
    /// The reason why it may not.
    pub fn admit(&mut self, source: &Source, now: Instant) -> Result<(), DatagramRefusal> {
        if source.port == 0 || SERVICE_PORTS.contains(&source.port) {
            return Err(DatagramRefusal::ServicePort);
        }
        if self.own_ports.contains(&source.port) {
            return Err(DatagramRefusal::OwnPort);
        }
        if source.reach == Reach::Other {
            return Err(DatagramRefusal::Unanswerable);
        }
        let (rate, burst) = (self.limits.source_rate, self.limits.burst);
        if !self.bucket_of(source.prefix, now).take(rate, burst, now) {
            return Err(DatagramRefusal::SourceRate);
        }
        if !self.total.take(self.limits.total_rate, burst, now) {
            return Err(DatagramRefusal::TotalRate);
        }
        Ok(())
    }

    fn bucket_of(&mut self, prefix: u64, now: Instant) -> &mut Bucket {
        const SWEEP_EVERY: Duration = Duration::from_secs(1);
        if self.sources.len() >= SOURCES_MAX && now >= self.swept_at + SWEEP_EVERY {
            self.swept_at = now;
            self.sources.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&prefix) {
            return &mut self.other_sources;
        }
        self.sources.entry(prefix).or_default()
    }
}

/// A token bucket, stored as the time at which it is full again. It needs no refilling (generic cell
/// rate algorithm, ITU-T I.371).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Takes one token, if there is one. A full bucket has at least one, whatever the burst.
    fn take(&mut self, rate: u32, burst: Duration, now: Instant) -> bool {
        let per_token = Duration::from_secs(1) / rate.max(1);
        let full_at = self.full_at.max(now);
        if full_at.since(now) + per_token > burst.max(per_token) {
            return false;
        }
        self.full_at = full_at + per_token;
        true
    }

    fn is_full(self, now: Instant) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Source = Source { prefix: 1, port: 40_000, reach: Reach::Unicast };

    fn guard(source_rate: u32, total_rate: u32) -> Guard {
        let burst = Duration::from_secs(1);
        Guard::new(DatagramLimits { source_rate, total_rate, burst, ..DatagramLimits::default() })
    }

    #[test]
    fn datagrams_that_could_start_a_loop_are_not_answered() {
        let mut guard = guard(100, 100);
        guard.refuse_own_ports(&[40_001]);
        for port in [0, 7, 9, 13, 17, 19, 37, 53, 69, 123, 7007] {
            assert_eq!(guard.admit(&Source { port, ..CLIENT }, Instant::ORIGIN), Err(DatagramRefusal::ServicePort));
        }
        assert_eq!(guard.admit(&Source { port: 40_001, ..CLIENT }, Instant::ORIGIN), Err(DatagramRefusal::OwnPort));
        let multicast = Source { reach: Reach::Other, ..CLIENT };
        assert_eq!(guard.admit(&multicast, Instant::ORIGIN), Err(DatagramRefusal::Unanswerable));
        assert_eq!(guard.admit(&CLIENT, Instant::ORIGIN), Ok(()));
    }

    #[test]
    fn each_source_has_a_rate_limit_that_recovers_with_time() {
        let mut guard = guard(10, 1000);
        let answered = |guard: &mut Guard, now| (0..50).filter(|_| guard.admit(&CLIENT, now).is_ok()).count();
        assert_eq!(answered(&mut guard, Instant::ORIGIN), 10);
        assert_eq!(guard.admit(&Source { prefix: 2, ..CLIENT }, Instant::ORIGIN), Ok(()));
        let later = Instant::ORIGIN + Duration::from_millis(500);
        assert_eq!(answered(&mut guard, later), 5);
    }

    #[test]
    fn all_sources_together_have_a_rate_limit() {
        let mut guard = guard(1000, 10);
        let answered = (0..50).filter(|n| guard.admit(&Source { prefix: *n, ..CLIENT }, Instant::ORIGIN).is_ok());
        assert_eq!(answered.count(), 10);
        assert_eq!(guard.admit(&CLIENT, Instant::ORIGIN), Err(DatagramRefusal::TotalRate));
    }

    #[test]
    fn a_flood_of_forged_sources_has_bounded_memory() {
        let mut guard = guard(1, u32::MAX);
        for prefix in 0..SOURCES_MAX as u64 * 2 {
            let _ = guard.admit(&Source { prefix, ..CLIENT }, Instant::ORIGIN);
        }
        assert_eq!(guard.sources.len(), SOURCES_MAX);
        let later = Instant::ORIGIN + Duration::from_secs(2);
        assert_eq!(guard.admit(&Source { prefix: u64::MAX, ..CLIENT }, later), Ok(()));
        assert_eq!(guard.sources.len(), 1);
    }

    #[test]
    fn an_answer_of_chargen_is_never_longer_than_the_datagram() {
        let mut buffer = Vec::new();
        assert_eq!(Chargen::new().on_datagram(b"abc", &mut buffer), Some(&b" !\""[..]));
        buffer.clear();
        assert_eq!(Chargen::new().on_datagram(&[0; 500], &mut buffer).map(<[u8]>::len), Some(74));
    }
}
