//! `Race`: which address of a name to try when, in the manner of Happy Eyeballs (RFC 8305).
//!
//! A pure machine: addresses, times and failures go in, what to do next comes out. It opens no
//! socket and reads no clock.
//!
//! Both families take turns, beginning with that of the first address. Each address has a head
//! start before the next joins it; a failure lets the next go at once. Whoever is through first
//! has won, and the driver drops the rest.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::instant::Instant;

/// The head start of each address, as RFC 8305, section 5, recommends.
const HEAD_START: Duration = Duration::from_millis(250);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Begin to connect to this address.
    Start(SocketAddr),
    /// Wait for news of those that run, or until then.
    Wait(Instant),
    /// Time is up; some still run.
    TimedOut,
    /// Everybody failed.
    Lost,
}

/// A race of connections to the addresses of one name.
#[derive(Debug)]
pub(super) struct Race {
    waiting: VecDeque<SocketAddr>,
    running: usize,
    /// When the next one may start.
    next_at: Instant,
    deadline: Instant,
    failures: Vec<(SocketAddr, io::Error)>,
}

impl Race {
    /// A race to these addresses, the most welcome first; it is over at `deadline`.
    pub(super) fn new(addresses: impl IntoIterator<Item = SocketAddr>, deadline: Instant) -> Self {
        Self { waiting: in_turns(addresses), running: 0, next_at: Instant::ORIGIN, deadline, failures: Vec::new() }
    }

    /// What to do now; ask again after that is done.
    pub(super) fn poll_step(&mut self, now: Instant) -> Step {
        if self.deadline <= now {
            return Step::TimedOut;
        }
        if self.next_at <= now
            && let Some(address) = self.waiting.pop_front()
        {
            self.running += 1;
            self.next_at = now + HEAD_START;
            return Step::Start(address);
        }
        match (self.running, self.waiting.is_empty()) {
            (0, true) => Step::Lost,
            (_, true) => Step::Wait(self.deadline),
            (_, false) => Step::Wait(self.next_at.min(self.deadline)),
        }
    }

    /// One that runs has failed: the next need not wait.
    pub(super) fn handle_failure(&mut self, address: SocketAddr, error: io::Error) {
        self.running -= 1;
        self.next_at = Instant::ORIGIN;
        self.failures.push((address, error));
    }

    /// Who failed and why, in that order.
    pub(super) fn into_failures(self) -> Vec<(SocketAddr, io::Error)> {
        self.failures
    }
}

/// The addresses, each once, the families in turn as long as both have some.
fn in_turns(addresses: impl IntoIterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut distinct: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    let first_is_v6 = distinct.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (VecDeque<_>, VecDeque<_>) =
        distinct.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut queues = [preferred, other];
    let mut turns = VecDeque::new();
    while queues.iter().any(|queue| !queue.is_empty()) {
        turns.extend(queues.iter_mut().filter_map(VecDeque::pop_front));
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);
    const DEADLINE: Instant = Instant::from_nanos(5_000_000_000);

    fn v6(number: u16) -> SocketAddr {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, number], 80))
    }

    fn v4(number: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, number], 80))
    }

    fn at(millis: u32) -> Instant {
        Instant::ORIGIN + millis * MILLISECOND
    }

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    #[track_caller]
    fn check_order(addresses: &[SocketAddr], order: &[SocketAddr]) {
        assert_eq!(in_turns(addresses.iter().copied()), order);
    }

    #[test]
    fn the_families_take_turns_beginning_with_the_first() {
        check_order(&[v6(1), v6(2), v6(3), v4(1), v4(2)], &[v6(1), v4(1), v6(2), v4(2), v6(3)]);
        check_order(&[v4(1), v4(2), v6(1)], &[v4(1), v6(1), v4(2)]);
        check_order(&[v6(1), v4(1), v6(1), v4(1)], &[v6(1), v4(1)]);
        check_order(&[v4(2), v4(1)], &[v4(2), v4(1)]);
        check_order(&[], &[]);
    }

    #[test]
    fn each_has_a_head_start_and_no_more() {
        let mut race = Race::new([v6(1), v4(1)], DEADLINE);
        assert_eq!(race.poll_step(at(10)), Step::Start(v6(1)));
        assert_eq!(race.poll_step(at(10)), Step::Wait(at(260)));
        assert_eq!(race.poll_step(at(259)), Step::Wait(at(260)));
        assert_eq!(race.poll_step(at(260)), Step::Start(v4(1)));
        assert_eq!(race.poll_step(at(260)), Step::Wait(DEADLINE));
    }

    #[test]
    fn a_failure_lets_the_next_go_at_once() {
        let mut race = Race::new([v6(1), v4(1)], DEADLINE);
        assert_eq!(race.poll_step(at(0)), Step::Start(v6(1)));
        race.handle_failure(v6(1), refused());
        assert_eq!(race.poll_step(at(1)), Step::Start(v4(1)));
        assert_eq!(race.poll_step(at(1)), Step::Wait(DEADLINE));
        race.handle_failure(v4(1), refused());
        assert_eq!(race.poll_step(at(2)), Step::Lost);
        let failed: Vec<SocketAddr> = race.into_failures().into_iter().map(|(address, _)| address).collect();
        assert_eq!(failed, [v6(1), v4(1)]);
    }

    #[test]
    fn with_one_failed_and_one_running_it_is_not_lost() {
        let mut race = Race::new([v6(1), v4(1)], DEADLINE);
        race.poll_step(at(0));
        race.poll_step(at(250));
        race.handle_failure(v6(1), refused());
        assert_eq!(race.poll_step(at(300)), Step::Wait(DEADLINE));
    }

    #[test]
    fn the_deadline_is_one_for_all() {
        let mut race = Race::new([v6(1), v4(1), v6(2)], at(300));
        assert_eq!(race.poll_step(at(0)), Step::Start(v6(1)));
        assert_eq!(race.poll_step(at(250)), Step::Start(v4(1)));
        assert_eq!(race.poll_step(at(250)), Step::Wait(at(300)));
        assert_eq!(race.poll_step(at(300)), Step::TimedOut);
    }

    #[test]
    fn without_addresses_it_is_lost_at_once() {
        assert_eq!(Race::new([], DEADLINE).poll_step(at(0)), Step::Lost);
    }
}
