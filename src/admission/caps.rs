//! The caps on the number of peers, in total and per address.

use std::collections::HashMap;

use thiserror::Error;

use crate::net::AddressGroup;

use super::{EndpointPurpose, ServerLimits, WhenFull};

/// Most connections of administration endpoints at a time.
pub const ADMINISTRATION_MAX: usize = 16;

/// Why a connection is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum AdmissionRefusal {
    #[error("the server is full")]
    Full,
    #[error("its address has too many connections")]
    AddressFull,
}

/// The number of peers, in total and by address, and their caps.
///
/// It only counts: it accepts and refuses no connection itself.
pub(crate) struct Admission {
    open: usize,
    open_max: usize,
    by_address: HashMap<AddressGroup, usize>,
    by_address_max: usize,
    when_full: WhenFull,
    /// The number of connections of administration endpoints, which are not open peers.
    administration: usize,
}

impl Admission {
    pub(crate) fn new(limits: &ServerLimits) -> Self {
        Self {
            open: 0,
            open_max: limits.connections_max,
            by_address: HashMap::new(),
            by_address_max: limits.connections_per_address_max,
            when_full: limits.when_full,
            administration: 0,
        }
    }

    /// Changes the caps. A lower cap closes no peer: nothing is admitted until enough peers have left.
    ///
    /// Returns whether the addresses of all peers must be counted by [`Self::recount`], because without a cap
    /// they were not.
    pub(crate) fn change_limits(&mut self, limits: &ServerLimits) -> bool {
        let (old, new) = (self.by_address_max, limits.connections_per_address_max);
        (self.open_max, self.by_address_max, self.when_full) = (limits.connections_max, new, limits.when_full);
        if new == usize::MAX {
            self.by_address = HashMap::new();
        }
        old == usize::MAX && new != usize::MAX
    }

    /// Counts the address of a peer that was admitted while addresses were not counted.
    pub(crate) fn recount(&mut self, group: AddressGroup) {
        if let Some(count) = self.counted(group) {
            *count += 1;
        }
    }

    /// Whether to accept connections: the server is not full, or it accepts them to refuse them.
    pub(crate) fn may_accept(&self, purpose: EndpointPurpose) -> bool {
        match purpose {
            EndpointPurpose::Service => self.open < self.open_max || self.when_full == WhenFull::Refuse,
            EndpointPurpose::Administration => self.administration < ADMINISTRATION_MAX,
        }
    }

    /// Counts a new peer.
    ///
    /// # Errors
    /// A cap is reached, and the peer is not counted.
    pub(crate) fn admit(&mut self, group: AddressGroup) -> Result<(), AdmissionRefusal> {
        if group == AddressGroup::ADMINISTRATION {
            self.administration += 1;
            return Ok(());
        }
        if self.open >= self.open_max {
            return Err(AdmissionRefusal::Full);
        }
        let by_address_max = self.by_address_max;
        if by_address_max == 0 && group.is_counted() {
            return Err(AdmissionRefusal::AddressFull);
        }
        if let Some(count) = self.counted(group) {
            if *count >= by_address_max {
                return Err(AdmissionRefusal::AddressFull);
            }
            *count += 1;
        }
        self.open += 1;
        Ok(())
    }

    /// The number of peers of an address, if the cap applies to it.
    fn counted(&mut self, group: AddressGroup) -> Option<&mut usize> {
        let is_capped = self.by_address_max != usize::MAX && group.is_counted();
        is_capped.then(|| self.by_address.entry(group).or_default())
    }

    /// Counts an admitted peer under another address, such as the one that a proxy announces for it.
    ///
    /// # Errors
    /// The cap of the other address is reached. The peer still counts under its first address.
    pub(crate) fn regroup(&mut self, old: AddressGroup, new: AddressGroup) -> Result<(), AdmissionRefusal> {
        if old == new {
            return Ok(());
        }
        self.release(old);
        let moved = self.admit(new);
        if moved.is_err() {
            // Its place is free, because it was released just before.
            self.open += 1;
            if let Some(count) = self.counted(old) {
                *count += 1;
            }
        }
        moved
    }

    /// Removes an admitted peer from the count.
    pub(crate) fn release(&mut self, group: AddressGroup) {
        if group == AddressGroup::ADMINISTRATION {
            self.administration -= 1;
            return;
        }
        self.open -= 1;
        if let Some(count) = self.by_address.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&group);
            }
        }
    }

    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// The number of connections with a descriptor.
    pub(crate) fn descriptors(&self) -> usize {
        self.open + self.administration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str) -> AddressGroup {
        AddressGroup::of(&text.parse().unwrap())
    }

    #[test]
    fn a_released_place_is_used_again_and_an_address_without_peers_is_dropped() {
        let limits = ServerLimits { connections_max: 2, connections_per_address_max: 1, ..ServerLimits::default() };
        let mut admission = Admission::new(&limits);
        let (one, two, three) = (group("10.0.0.1:1"), group("10.0.0.2:1"), group("10.0.0.3:1"));
        assert_eq!(admission.admit(one), Ok(()));
        assert_eq!(admission.admit(one), Err(AdmissionRefusal::AddressFull));
        assert_eq!(admission.admit(two), Ok(()));
        assert!(!admission.may_accept(EndpointPurpose::Service));
        assert_eq!(admission.admit(three), Err(AdmissionRefusal::Full));
        admission.release(one);
        assert_eq!(admission.by_address.len(), 1);
        assert_eq!(admission.admit(three), Ok(()));
        assert_eq!(admission.open(), 2);
    }

    #[test]
    fn a_cap_that_is_turned_on_later_counts_the_peers_that_are_open() {
        let mut admission = Admission::new(&ServerLimits::default());
        let (one, two) = (group("10.0.0.1:1"), group("10.0.0.2:1"));
        [one, one, AddressGroup::UNIX].into_iter().for_each(|group| admission.admit(group).unwrap());
        let capped = ServerLimits { connections_per_address_max: 1, ..ServerLimits::default() };
        assert!(admission.change_limits(&capped));
        [one, one, AddressGroup::UNIX].into_iter().for_each(|group| admission.recount(group));
        assert!(!admission.change_limits(&capped), "they are counted already");
        assert_eq!((admission.admit(one), admission.admit(two)), (Err(AdmissionRefusal::AddressFull), Ok(())));
        admission.release(one);
        assert_eq!(admission.admit(one), Err(AdmissionRefusal::AddressFull), "one of the two is still open");
        admission.release(one);
        assert_eq!(admission.admit(one), Ok(()));
        assert!(!admission.change_limits(&ServerLimits::default()));
        assert!(admission.by_address.is_empty());
        [one, two, AddressGroup::UNIX].into_iter().for_each(|group| admission.release(group));
        assert_eq!(admission.open(), 0);
    }

    #[test]
    fn a_peer_behind_a_proxy_counts_under_its_original_address() {
        let limits = ServerLimits { connections_per_address_max: 1, ..ServerLimits::default() };
        let mut admission = Admission::new(&limits);
        let (proxy, one, two) = (group("10.0.0.1:1"), group("10.0.0.2:1"), group("10.0.0.3:1"));
        assert_eq!((admission.admit(proxy), admission.regroup(proxy, one)), (Ok(()), Ok(())));
        assert_eq!((admission.admit(proxy), admission.regroup(proxy, two)), (Ok(()), Ok(())));
        assert_eq!(admission.admit(proxy), Ok(()));
        assert_eq!(admission.regroup(proxy, one), Err(AdmissionRefusal::AddressFull));
        assert_eq!(admission.admit(proxy), Err(AdmissionRefusal::AddressFull), "it still counts there");
        assert_eq!(admission.open(), 3);
    }
}
