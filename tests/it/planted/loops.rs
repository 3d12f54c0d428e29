//! Faults of event loops that are written by hand. In a service of this crate the loop prevents them.

use std::time::Duration;

use readyloop::sim::{Behavior, Fault, Faults, PeerEnding, SimPeer, World};

use super::Version;
use super::hand_loop::{LoopFault, READ_LEN, story};
use super::scene::{SMALL_BUFFER, address};

const SECOND: Duration = Duration::from_secs(1);

/// The fault, or none in the correct version.
fn planted(version: Version, fault: LoopFault) -> LoopFault {
    if version == Version::Faulty { fault } else { LoopFault::None }
}

/// Connects a peer that sends this many bytes.
fn connect(world: &World, len: usize) -> SimPeer {
    let peer = world.connect(&address());
    peer.send(&vec![b'x'; len]);
    peer
}

pub(super) fn lost_edge(version: Version) -> String {
    story(World::new(1), planted(version, LoopFault::OneRead), |world, run| {
        connect(world, READ_LEN + 10);
        run(SECOND);
    })
}

pub(super) fn one_accept(version: Version) -> String {
    story(World::new(1), planted(version, LoopFault::OneAccept), |world, run| {
        connect(world, 10);
        connect(world, 10);
        run(SECOND);
    })
}

pub(super) fn forgotten_partial_write(version: Version) -> String {
    let world = World::new(1).with_kernel_buffer(SMALL_BUFFER);
    story(world, planted(version, LoopFault::DropsRest), |world, run| {
        connect(world, 900);
        run(SECOND);
    })
}

pub(super) fn starvation(version: Version) -> String {
    story(World::new(1), planted(version, LoopFault::NoBudget), |world, run| {
        let (busy, other) = (connect(world, 1), connect(world, 1));
        run(SECOND);
        busy.send(&vec![b'x'; 10 * READ_LEN + 7]);
        other.send(b"hello");
        run(SECOND);
    })
}

pub(super) fn unbounded_queue(version: Version) -> String {
    let world = World::new(1).with_kernel_buffer(SMALL_BUFFER);
    story(world, planted(version, LoopFault::NoPause), |world, run| {
        let behavior = Behavior { read_len_max: 0, ending: PeerEnding::Stays, ..Behavior::default() };
        let source = "10.0.0.1:1024".parse().expect("it is an address");
        world.connect_as(&address(), source, behavior).send(&vec![b'x'; 20 * READ_LEN]);
        run(SECOND);
    })
}

pub(super) fn stranded_after_emfile(version: Version) -> String {
    let world = World::new(1).with_descriptors(1);
    story(world, planted(version, LoopFault::NoRetry), |world, run| {
        let first = connect(world, 10);
        connect(world, 10);
        run(SECOND / 2);
        first.finish();
        run(SECOND);
    })
}

pub(super) fn fatal_interrupt(version: Version) -> String {
    let world = World::new(1).with_faults(Faults::none().with(Fault::ReadInterrupted, 0.7));
    story(world, planted(version, LoopFault::InterruptedIsFatal), |world, run| {
        connect(world, 10);
        run(SECOND);
    })
}

pub(super) fn end_taken_for_nothing(version: Version) -> String {
    story(World::new(1), planted(version, LoopFault::EndIsNothing), |world, run| {
        connect(world, 10).finish();
        run(SECOND);
    })
}
