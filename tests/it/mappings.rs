//! More blocks for queues than the kernel keeps mappings for: each is lent, none is lost; and where
//! the kernel refuses, that is a full memory and nothing worse.
//!
//! Each in a process of its own, for the kernel counts mappings by process.

use std::fs;
use std::iter;
use std::time::Duration;

use memmap2::{MmapMut, MmapOptions};
use readyloop::buffer::{ByteQueue, Exhausted, IDLE_BYTES_MAX, Reserve};
use readyloop::service::Echo;
use readyloop::{CloseReason, Limits, Raw, ServerLimits};

use crate::support::{
    Behavior, Crowd, InProcessServer, KIB, MIB, Process, TIMEOUT, is_own_process, run_in_own_process, shared_machine,
};

/// Freed every other one, more holes than Linux counts mappings (`vm.max_map_count`, 65,530).
const BLOCKS: usize = 140_000;

/// How many mappings this process has, as the kernel counts them.
fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").expect("it can be read").lines().count()
}

/// How many it may have.
fn mappings_max() -> usize {
    let max = fs::read_to_string("/proc/sys/vm/max_map_count").expect("it can be read");
    max.trim().parse().expect("a number")
}

/// Takes all mappings there are, without any memory: neighbours that differ are not joined.
fn take_all_mappings() -> Vec<MmapMut> {
    // A list that grows would ask for mappings itself.
    let mut taken = Vec::with_capacity(mappings_max());
    let mut one = MmapOptions::new();
    let mut other = MmapOptions::new();
    let pair = [one.len(4 * KIB), other.len(4 * KIB).no_reserve_swap()];
    // Not by a change of one that is there, which fails already where one more can still be had.
    taken.extend(pair.iter().cycle().map_while(|options| options.map_anon().ok()));
    taken
}

#[test]
fn more_blocks_than_the_kernel_keeps_mappings_for_are_lent_and_none_is_lost() {
    let _machine = shared_machine();
    run_in_own_process("mappings::a_process_with_very_many_blocks", "");
}

#[test]
#[ignore = "needs a process of its own: see the test above"]
fn a_process_with_very_many_blocks() {
    if !is_own_process() {
        return;
    }
    let process = Process { pid: std::process::id() };
    let mut queues: Vec<ByteQueue> = iter::repeat_with(ByteQueue::new).take(BLOCKS).collect();
    let mut reserve = Reserve::new(usize::MAX);
    let base = process.memory_bytes();
    for (place, queue) in queues.iter_mut().enumerate() {
        queue.push(&place.to_le_bytes(), &mut reserve).expect("there is memory enough");
    }
    assert_eq!(reserve.blocks(), BLOCKS);
    for every_other in [0, 1] {
        for (place, queue) in queues.iter_mut().enumerate().skip(every_other).step_by(2) {
            assert_eq!(queue.as_slice(), place.to_le_bytes());
            queue.clear(&mut reserve);
        }
        assert!(mappings() < mappings_max() * 3 / 4, "{} mappings", mappings());
    }
    // Beside what the reserve keeps there is what the heap keeps of the small things around each block.
    let left = process.memory_bytes().saturating_sub(base);
    assert!(left <= IDLE_BYTES_MAX + 16 * MIB, "{left} bytes stay in use");
}

#[test]
fn a_mapping_that_is_refused_is_a_full_memory_and_no_more() {
    let _machine = shared_machine();
    run_in_own_process("mappings::a_process_without_mappings", "");
}

#[test]
#[ignore = "needs a process of its own: see the test above"]
fn a_process_without_mappings() {
    if !is_own_process() {
        return;
    }
    let mut reserve = Reserve::new(usize::MAX);
    let mut queue = ByteQueue::new();
    let taken = take_all_mappings();
    assert_eq!(queue.push(b"refused", &mut reserve), Err(Exhausted));
    assert_eq!((queue.len(), reserve.lent_bytes(), reserve.blocks()), (0, 0, 0));
    drop(taken);
    queue.push(b"there is room again", &mut reserve).expect("mappings are free");
    assert_eq!((queue.as_slice(), reserve.blocks()), (b"there is room again".as_slice(), 1));
}

#[test]
fn a_server_without_mappings_loses_those_that_do_not_read_and_serves_the_others() {
    let _machine = shared_machine();
    run_in_own_process("mappings::a_server_in_a_process_without_mappings", "");
}

#[test]
#[ignore = "needs a process of its own: see the test above"]
fn a_server_in_a_process_without_mappings() {
    const DEAF: usize = 20;
    if !is_own_process() {
        return;
    }
    let server = InProcessServer::serve(Echo::new(), Raw, Limits::default(), ServerLimits::default());
    let mut crowd = Crowd::new();
    let pingers = crowd.join(server.address, 10, Behavior::OnRequest);
    crowd.echo(pingers.clone(), 100, TIMEOUT);
    let taken = take_all_mappings();
    let deaf = crowd.join_with_buffers(4 * KIB, server.address, DEAF, Behavior::NeverReads);
    let gone = crowd.run_until(TIMEOUT, |members| members[deaf.clone()].iter().all(|member| !member.is_open()));
    assert!(gone, "nothing can wait for those that do not read");
    crowd.echo(pingers.clone(), 100, TIMEOUT);
    drop(taken);
    let more = crowd.join_with_buffers(4 * KIB, server.address, DEAF, Behavior::NeverReads);
    crowd.run_for(Duration::from_millis(300));
    assert!(crowd.members[more].iter().all(|member| member.is_open()), "there is room again");
    crowd.echo(pingers, 100, TIMEOUT);
    drop(crowd);
    assert_eq!(server.drain().closed(CloseReason::BudgetSpent), DEAF as u64);
}
