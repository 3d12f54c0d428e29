//! Topics: groups of peers that a service sends the same frame to.
//!
//! It only records which peer belongs to which topic. It sends nothing, and it reads no frame.

use std::borrow::Borrow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;

use thiserror::Error;

use crate::slab::Key;

/// Which peers belong to which topics.
///
/// A peer joins a topic by [`subscribe`](Self::subscribe). A service removes it from all of its
/// topics by [`remove`](Self::remove) in [`Service::on_close`](super::Service::on_close). A topic
/// exists while it has a member.
///
/// The memory is bounded: a peer belongs to at most `per_peer_max` topics. Each name is stored once
/// for the topic and once for each member, so a long name is best an `Arc<[u8]>` or an `Arc<str>`.
///
/// Every call takes a time that grows with the logarithm of the topics and of the members.
/// [`remove`](Self::remove) takes this time for each topic of the peer. The order of members is the
/// order of their keys, so a run in the simulated network is repeatable.
///
/// ```
/// use std::num::NonZero;
///
/// use readyloop::Key;
/// use readyloop::service::Topics;
///
/// let (ann, bob) = (Key::from_bits(1), Key::from_bits(2));
/// let mut topics: Topics<String> = Topics::new(NonZero::new(100).unwrap());
/// topics.subscribe(ann, "news".to_owned()).unwrap();
/// topics.subscribe(bob, "news".to_owned()).unwrap();
/// assert!(topics.members("news").eq([ann, bob]));
///
/// topics.remove(ann);
/// assert!(topics.members("news").eq([bob]));
/// ```
#[derive(Clone, Debug)]
pub struct Topics<T> {
    members: BTreeMap<T, BTreeSet<Key>>,
    topics: BTreeMap<Key, BTreeSet<T>>,
    per_peer_max: usize,
}

/// A peer already belongs to as many topics as are permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the peer already belongs to {per_peer_max} topics, which is the limit")]
pub struct TooManyTopics {
    /// The limit of topics for each peer.
    pub per_peer_max: usize,
}

impl<T: Ord + Clone> Topics<T> {
    /// No topics. A peer may belong to `per_peer_max` topics at once.
    pub const fn new(per_peer_max: NonZero<usize>) -> Self {
        Self { members: BTreeMap::new(), topics: BTreeMap::new(), per_peer_max: per_peer_max.get() }
    }

    /// Adds a peer to a topic. Returns whether the peer was not a member.
    ///
    /// # Errors
    /// The peer belongs to as many other topics as are permitted. Nothing changes.
    pub fn subscribe(&mut self, peer: Key, topic: T) -> Result<bool, TooManyTopics> {
        let topics = match self.topics.entry(peer) {
            Entry::Occupied(entry) if entry.get().contains(&topic) => return Ok(false),
            Entry::Occupied(entry) if entry.get().len() >= self.per_peer_max => {
                return Err(TooManyTopics { per_peer_max: self.per_peer_max });
            }
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(BTreeSet::new()),
        };
        topics.insert(topic.clone());
        self.members.entry(topic).or_default().insert(peer);
        Ok(true)
    }

    /// Removes a peer from a topic. Returns whether the peer was a member.
    pub fn unsubscribe<Q: Ord + ?Sized>(&mut self, peer: Key, topic: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let Some(topics) = self.topics.get_mut(&peer) else { return false };
        if !topics.remove(topic) {
            return false;
        }
        if topics.is_empty() {
            self.topics.remove(&peer);
        }
        self.remove_member(peer, topic);
        true
    }

    /// Removes a peer from all of its topics, and returns them.
    pub fn remove(&mut self, peer: Key) -> BTreeSet<T> {
        let topics = self.topics.remove(&peer).unwrap_or_default();
        for topic in &topics {
            self.remove_member(peer, topic);
        }
        topics
    }

    /// The peers of a topic, in the order of their keys.
    pub fn members<Q: Ord + ?Sized>(&self, topic: &Q) -> impl ExactSizeIterator<Item = Key> + Clone
    where
        T: Borrow<Q>,
    {
        const NONE: &BTreeSet<Key> = &BTreeSet::new();
        self.members.get(topic).unwrap_or(NONE).iter().copied()
    }

    /// The topics of a peer, in their order.
    pub fn topics_of(&self, peer: Key) -> impl ExactSizeIterator<Item = &T> + Clone {
        self.topics.get(&peer).map(BTreeSet::iter).unwrap_or_default()
    }

    /// The number of topics that have a member.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no topic has a member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn remove_member<Q: Ord + ?Sized>(&mut self, peer: Key, topic: &Q)
    where
        T: Borrow<Q>,
    {
        let Some(members) = self.members.get_mut(topic) else { return };
        members.remove(&peer);
        if members.is_empty() {
            self.members.remove(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PER_PEER_MAX: usize = 3;

    fn topics() -> Topics<u8> {
        Topics::new(NonZero::new(PER_PEER_MAX).unwrap())
    }

    #[test]
    fn a_topic_ends_with_its_last_member() {
        let (ann, bob) = (Key::from_bits(1), Key::from_bits(2));
        let mut topics = topics();
        assert_eq!(topics.subscribe(ann, 7), Ok(true));
        assert_eq!(topics.subscribe(bob, 7), Ok(true));
        assert_eq!(topics.subscribe(bob, 7), Ok(false));
        assert!(topics.unsubscribe(ann, &7));
        assert!(!topics.unsubscribe(ann, &7));
        assert_eq!(topics.remove(bob), BTreeSet::from([7]));
        assert_eq!(topics.remove(bob), BTreeSet::new());
        assert!(topics.is_empty() && topics.topics.is_empty());
    }

    #[test]
    fn a_peer_at_its_limit_joins_no_further_topic() {
        let ann = Key::from_bits(1);
        let mut topics = topics();
        for topic in 0..3 {
            assert_eq!(topics.subscribe(ann, topic), Ok(true));
        }
        assert_eq!(topics.subscribe(ann, 3), Err(TooManyTopics { per_peer_max: 3 }));
        assert_eq!(topics.subscribe(ann, 2), Ok(false), "it is a member already");
        assert_eq!(topics.members(&3).len(), 0);
        assert!(topics.unsubscribe(ann, &0));
        assert_eq!(topics.subscribe(ann, 3), Ok(true));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Subscribe(Key, u8),
        Unsubscribe(Key, u8),
        Remove(Key),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let peer = || (0_u64..6).prop_map(Key::from_bits);
        let step = prop_oneof![
            5 => (peer(), 0_u8..6).prop_map(|(peer, topic)| Step::Subscribe(peer, topic)),
            2 => (peer(), 0_u8..6).prop_map(|(peer, topic)| Step::Unsubscribe(peer, topic)),
            1 => peer().prop_map(Step::Remove),
        ];
        prop::collection::vec(step, 1..100)
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_pairs(steps in steps()) {
            let mut topics = topics();
            let mut model: BTreeSet<(Key, u8)> = BTreeSet::new();
            let of_peer = |model: &BTreeSet<(Key, u8)>, peer| -> BTreeSet<u8> {
                model.iter().filter(|pair| pair.0 == peer).map(|pair| pair.1).collect()
            };
            for step in steps {
                match step {
                    Step::Subscribe(peer, topic) => {
                        let is_full = of_peer(&model, peer).len() == PER_PEER_MAX && !model.contains(&(peer, topic));
                        let joined = topics.subscribe(peer, topic);
                        prop_assert_eq!(joined.is_err(), is_full);
                        prop_assert!(is_full || joined == Ok(model.insert((peer, topic))));
                    }
                    Step::Unsubscribe(peer, topic) => {
                        prop_assert_eq!(topics.unsubscribe(peer, &topic), model.remove(&(peer, topic)));
                    }
                    Step::Remove(peer) => {
                        prop_assert_eq!(topics.remove(peer), of_peer(&model, peer));
                        model.retain(|pair| pair.0 != peer);
                    }
                }
                for id in 0..6 {
                    let (peer, topic) = (Key::from_bits(id), id as u8);
                    prop_assert!(topics.topics_of(peer).copied().eq(of_peer(&model, peer)));
                    let members = model.iter().filter(|pair| pair.1 == topic).map(|pair| pair.0);
                    prop_assert!(topics.members(&topic).eq(members));
                }
                let names: BTreeSet<u8> = model.iter().map(|pair| pair.1).collect();
                prop_assert_eq!((topics.len(), topics.is_empty()), (names.len(), names.is_empty()));
                // Nothing is kept for a peer without topics.
                let peers: BTreeSet<Key> = model.iter().map(|pair| pair.0).collect();
                prop_assert!(topics.topics.keys().eq(&peers));
            }
        }
    }
}
