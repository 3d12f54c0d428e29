//! UDP without a socket: who may be answered, and with how much.
//!
//! A datagram's source is whatever its sender wrote there, so an answer can be aimed at somebody
//! who asked for nothing, or at another server that answers in turn, for ever (CVE-1999-0103,
//! CVE-2024-2169). Hence the rules of [`Guard`]; no socket and no clock is known here.

use std::collections::HashMap;
use std::time::Duration;

use crate::instant::Instant;
use crate::service::{Chargen, Discard, Echo};

/// An application that answers datagrams one by one.
pub trait DatagramService {
    /// The answer to one datagram, if there is one: a piece of the datagram itself, or what was
    /// put into `room`, which comes empty.
    ///
    /// An answer longer than the datagram is not sent: see [`DatagramRefusal::TooLong`]. A panic leaves this
    /// one datagram without an answer, and nothing else: [`DatagramRefusal::Panicked`].
    fn on_datagram<'a>(&mut self, datagram: &'a [u8], room: &'a mut Vec<u8>) -> Option<&'a [u8]>;
}

impl DatagramService for Echo {
    fn on_datagram<'a>(&mut self, datagram: &'a [u8], _room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        Some(datagram)
    }
}

impl DatagramService for Discard {
    fn on_datagram<'a>(&mut self, _datagram: &'a [u8], _room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        None
    }
}

impl DatagramService for Chargen {
    /// The first line of the pattern, and no more of it than was sent.
    fn on_datagram<'a>(&mut self, datagram: &'a [u8], room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        room.extend_from_slice(&Self::line(0));
        room.extend_from_slice(b"\r\n");
        Some(&room[..room.len().min(datagram.len())])
    }
}

/// What is known of a datagram's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its network as a number: an IPv4 /24 or an IPv6 /56, as for limiting the rate of DNS responses.
    pub prefix: u64,
    /// Its port.
    pub port: u16,
    /// Whether its address is one that a single host can have.
    pub reach: Reach,
}

/// What kind of address a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One host.
    Unicast,
    /// Many hosts, or none: multicast, broadcast, unspecified.
    Other,
}

/// Why a datagram is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatagramRefusal {
    /// It comes from a port on which we, or another of our kind, answer too.
    OwnPort,
    /// It comes from port 0 or from one of the small services that answer anything.
    ServicePort,
    /// It comes from an address that no single host has.
    Unanswerable,
    /// It did not fit the buffer: its end is missing.
    Truncated,
    /// Its network asks more than its share.
    SourceRate,
    /// All together ask more than we answer.
    TotalRate,
    /// The answer is longer than the question: we would amplify.
    TooLong,
    /// Answers wait for the socket already, as many as may.
    QueueFull,
    /// The service panicked over it.
    Panicked,
}

impl DatagramRefusal {
    /// Every refusal, in the order of their declaration.
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
}

/// How much is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramLimits {
    /// Answers a second to one source network.
    ///
    /// 10,000: a busy host's worth; at the size of a question each, no gain for who forges it.
    pub source_rate: u32,
    /// Answers a second in all.
    ///
    /// 200,000: about what one thread can send.
    pub total_rate: u32,
    /// How much of a second's answers may go at once.
    ///
    /// 100 milliseconds: longer than any scheduling hiccup of an honest client.
    pub burst: Duration,
    /// Bytes of answers that may wait for the socket. One answer always may.
    ///
    /// 256 KiB: a socket's own buffer again.
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

/// Datagrams by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramCounters {
    /// That came.
    pub received: u64,
    /// Bytes in them.
    pub bytes_in: u64,
    /// That were answered: the kernel took the answer.
    pub answered: u64,
    /// Bytes in the answers.
    pub bytes_out: u64,
    /// To which the service had nothing to say.
    pub unanswered: u64,
    /// That were refused, by [`DatagramRefusal`].
    pub refused: [u64; DatagramRefusal::ALL.len()],
    /// Answers that the kernel did not take, or that were thrown away at the end.
    pub lost: u64,
    /// Answers that wait for the socket.
    pub waiting: u64,
    /// Receiving failed.
    pub receive_errors: u64,
}

impl DatagramCounters {
    /// How many were refused for that reason.
    pub fn refused(&self, refusal: DatagramRefusal) -> u64 {
        self.refused[refusal as usize]
    }

    /// Whether every datagram that came is accounted for.
    pub fn reconciles(&self) -> bool {
        let refused: u64 = self.refused.iter().sum();
        self.received == self.answered + self.unanswered + refused + self.lost + self.waiting
    }
}

impl std::ops::AddAssign for DatagramCounters {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.bytes_in += other.bytes_in;
        self.answered += other.answered;
        self.bytes_out += other.bytes_out;
        self.unanswered += other.unanswered;
        self.refused.iter_mut().zip(other.refused).for_each(|(sum, more)| *sum += more);
        self.lost += other.lost;
        self.waiting += other.waiting;
        self.receive_errors += other.receive_errors;
    }
}

/// Services that answer whatever comes, and whose answers would be answered by us: echo, discard,
/// daytime, quote of the day, chargen, time, DNS, TFTP, NTP. 7007 is our own.
const SERVICE_PORTS: [u16; 10] = [7, 9, 13, 17, 19, 37, 53, 69, 123, 7007];

/// How many source networks are told apart: 1 MiB of memory. A flood of forged ones beyond that
/// shares one bucket.
const SOURCES_MAX: usize = 1 << 16;

/// Decides who is answered.
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
    /// A guard that has seen nobody yet.
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

    /// Ports on which this server answers datagrams.
    pub fn learn_own_ports(&mut self, ports: &[u16]) {
        self.own_ports = ports.to_vec();
    }

    /// Whether a datagram of that source may be answered at all.
    ///
    /// # Errors
    /// Why not.
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

/// A token bucket as one instant: when it would be full again (the "generic cell rate algorithm" of
/// ITU-T I.371, which needs no refilling).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Takes one token, if there is one. There is always a first one.
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
    fn what_could_bounce_is_not_answered() {
        let mut guard = guard(100, 100);
        guard.learn_own_ports(&[40_001]);
        for port in [0, 7, 9, 13, 17, 19, 37, 53, 69, 123, 7007] {
            assert_eq!(guard.admit(&Source { port, ..CLIENT }, Instant::ORIGIN), Err(DatagramRefusal::ServicePort));
        }
        assert_eq!(guard.admit(&Source { port: 40_001, ..CLIENT }, Instant::ORIGIN), Err(DatagramRefusal::OwnPort));
        let crowd = Source { reach: Reach::Other, ..CLIENT };
        assert_eq!(guard.admit(&crowd, Instant::ORIGIN), Err(DatagramRefusal::Unanswerable));
        assert_eq!(guard.admit(&CLIENT, Instant::ORIGIN), Ok(()));
    }

    #[test]
    fn a_source_has_its_share_and_a_second_gives_it_back() {
        let mut guard = guard(10, 1000);
        let answered = |guard: &mut Guard, now| (0..50).filter(|_| guard.admit(&CLIENT, now).is_ok()).count();
        assert_eq!(answered(&mut guard, Instant::ORIGIN), 10);
        assert_eq!(guard.admit(&Source { prefix: 2, ..CLIENT }, Instant::ORIGIN), Ok(()));
        let later = Instant::ORIGIN + Duration::from_millis(500);
        assert_eq!(answered(&mut guard, later), 5);
    }

    #[test]
    fn all_together_have_a_bound() {
        let mut guard = guard(1000, 10);
        let answered = (0..50).filter(|n| guard.admit(&Source { prefix: *n, ..CLIENT }, Instant::ORIGIN).is_ok());
        assert_eq!(answered.count(), 10);
        assert_eq!(guard.admit(&CLIENT, Instant::ORIGIN), Err(DatagramRefusal::TotalRate));
    }

    #[test]
    fn a_flood_of_forged_sources_takes_no_more_memory() {
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
    fn an_answer_of_chargen_is_as_long_as_the_question_at_most() {
        let mut room = Vec::new();
        assert_eq!(Chargen::new().on_datagram(b"abc", &mut room), Some(&b" !\""[..]));
        room.clear();
        assert_eq!(Chargen::new().on_datagram(&[0; 500], &mut room).map(<[u8]>::len), Some(74));
    }
}
