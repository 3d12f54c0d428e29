//! [`Race`]: which address of a name to try when, as in Happy Eyeballs (RFC 8305).
//!
//! A pure state machine: addresses, times and failures go in, the next action comes out. It opens
//! no socket and reads no clock.
//!
//! The address families alternate, starting with that of the first address. Each attempt has a head
//! start before the next begins; a failure starts the next at once. The first established connection
//! wins, and the driver drops the others.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::destination::Destination;
use crate::instant::Instant;

/// The head start of each attempt, as RFC 8305, section 5, recommends.
const HEAD_START: Duration = Duration::from_millis(250);

/// The next action of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RaceAction {
    /// Start to connect to this address.
    Start(Destination),
    /// Wait for an event of a running attempt, at most until this time.
    Wait(Instant),
    /// The deadline has passed, and some attempts are still running.
    TimedOut,
    /// Every attempt has failed.
    Failed,
}

/// Concurrent connection attempts to the addresses of one name.
#[derive(Debug)]
pub(super) struct Race {
    waiting: VecDeque<Destination>,
    running: usize,
    /// When the next attempt may start.
    next_at: Instant,
    deadline: Instant,
    failures: Vec<(Destination, io::Error)>,
}

impl Race {
    /// A race to these addresses, most preferred first. It ends at `deadline`.
    pub(super) fn new(addresses: impl IntoIterator<Item = Destination>, deadline: Instant) -> Self {
        Self { waiting: interleave(addresses), running: 0, next_at: Instant::ORIGIN, deadline, failures: Vec::new() }
    }

    /// The next action. Call again after it is done.
    pub(super) fn poll_action(&mut self, now: Instant) -> RaceAction {
        if self.deadline <= now {
            return RaceAction::TimedOut;
        }
        if self.next_at <= now
            && let Some(to) = self.waiting.pop_front()
        {
            self.running += 1;
            self.next_at = now + HEAD_START;
            return RaceAction::Start(to);
        }
        match (self.running, self.waiting.is_empty()) {
            (0, true) => RaceAction::Failed,
            (_, true) => RaceAction::Wait(self.deadline),
            (_, false) => RaceAction::Wait(self.next_at.min(self.deadline)),
        }
    }

    /// A running attempt has failed. The next one may start at once.
    pub(super) fn handle_failure(&mut self, to: Destination, error: io::Error) {
        self.running -= 1;
        self.next_at = Instant::ORIGIN;
        self.failures.push((to, error));
    }

    /// A started attempt has found a full backlog. It starts again at `at`.
    pub(super) fn handle_full(&mut self, to: Destination, at: Instant) {
        self.running -= 1;
        self.next_at = at;
        self.waiting.push_front(to);
    }

    /// The failed addresses with their errors, in the order of failure.
    pub(super) fn into_failures(self) -> Vec<(Destination, io::Error)> {
        self.failures
    }
}

/// The distinct addresses, with the families alternating while both have some left.
fn interleave(addresses: impl IntoIterator<Item = Destination>) -> VecDeque<Destination> {
    let is_v6 = |to: &Destination| matches!(to, Destination::Tcp(SocketAddr::V6(_)));
    let mut distinct: Vec<Destination> = Vec::new();
    for address in addresses {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    let first_is_v6 = distinct.first().is_some_and(is_v6);
    let (preferred, other): (VecDeque<_>, VecDeque<_>) = distinct.into_iter().partition(|to| is_v6(to) == first_is_v6);
    let mut queues = [preferred, other];
    let mut interleaved = VecDeque::new();
    while queues.iter().any(|queue| !queue.is_empty()) {
        interleaved.extend(queues.iter_mut().filter_map(VecDeque::pop_front));
    }
    interleaved
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);
    const DEADLINE: Instant = Instant::from_nanos(5_000_000_000);

    fn v6(number: u16) -> Destination {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, number], 80)).into()
    }

    fn v4(number: u8) -> Destination {
        SocketAddr::from(([192, 0, 2, number], 80)).into()
    }

    fn at(millis: u32) -> Instant {
        Instant::ORIGIN + millis * MILLISECOND
    }

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    #[track_caller]
    fn check_order(addresses: &[Destination], order: &[Destination]) {
        assert_eq!(interleave(addresses.iter().cloned()), order);
    }

    #[test]
    fn the_families_alternate_starting_with_the_first() {
        check_order(&[v6(1), v6(2), v6(3), v4(1), v4(2)], &[v6(1), v4(1), v6(2), v4(2), v6(3)]);
        check_order(&[v4(1), v4(2), v6(1)], &[v4(1), v6(1), v4(2)]);
        check_order(&[v6(1), v4(1), v6(1), v4(1)], &[v6(1), v4(1)]);
        check_order(&[v4(2), v4(1)], &[v4(2), v4(1)]);
        check_order(&[], &[]);
    }

    #[test]
    fn each_attempt_has_a_head_start() {
        let mut race = Race::new([v6(1), v4(1)], DEADLINE);
        assert_eq!(race.poll_action(at(10)), RaceAction::Start(v6(1)));
        assert_eq!(race.poll_action(at(10)), RaceAction::Wait(at(260)));
        assert_eq!(race.poll_action(at(259)), RaceAction::Wait(at(260)));
        assert_eq!(race.poll_action(at(260)), RaceAction::Start(v4(1)));
        assert_eq!(race.poll_action(at(260)), RaceAction::Wait(DEADLINE));
    }

    #[test]
    fn a_failure_starts_the_next_attempt_at_once() {
        let mut race = Race::new([v6(1), v4(1)], DEADLINE);
        assert_eq!(race.poll_action(at(0)), RaceAction::Start(v6(1)));
        race.handle_failure(v6(1), refused());
        assert_eq!(race.poll_action(at(1)), RaceAction::Start(v4(1)));
        assert_eq!(race.poll_action(at(1)), RaceAction::Wait(DEADLINE));
        race.handle_failure(v4(1), refused());
        assert_eq!(race.poll_action(at(2)), RaceAction::Failed);
        let failed: Vec<Destination> = race.into_failures().into_iter().map(|(address, _)| address).collect();
        assert_eq!(failed, [v6(1), v4(1)]);
    }

    #[test]
    fn the_race_goes_on_while_one_attempt_is_running() {
        let mut race = Race::new([v6(1), v4(1)], DEADLINE);
        race.poll_action(at(0));
        race.poll_action(at(250));
        race.handle_failure(v6(1), refused());
        assert_eq!(race.poll_action(at(300)), RaceAction::Wait(DEADLINE));
    }

    #[test]
    fn the_deadline_ends_all_attempts() {
        let mut race = Race::new([v6(1), v4(1), v6(2)], at(300));
        assert_eq!(race.poll_action(at(0)), RaceAction::Start(v6(1)));
        assert_eq!(race.poll_action(at(250)), RaceAction::Start(v4(1)));
        assert_eq!(race.poll_action(at(250)), RaceAction::Wait(at(300)));
        assert_eq!(race.poll_action(at(300)), RaceAction::TimedOut);
    }

    #[test]
    fn without_addresses_the_race_fails_at_once() {
        assert_eq!(Race::new([], DEADLINE).poll_action(at(0)), RaceAction::Failed);
    }
}
