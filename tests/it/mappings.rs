//! Queues of one process at the limit of memory mappings (`vm.max_map_count`, mmap(2)).
//!
//! Each test runs in a process of its own, because the kernel counts mappings for each process.

use std::fs;
use std::iter;
use std::time::Duration;

use memmap2::{MmapMut, MmapOptions};
use readyloop::buffer::{ByteQueue, Exhausted, IDLE_BYTES_MAX, Reserve};
use readyloop::service::Echo;
use readyloop::{CloseReason, Limits, Raw, ServerLimits};

use crate::support::{Behavior, Crowd, InProcessServer, KIB, MIB, Process, TIMEOUT, print_note, runs_in_own_process};

/// When every other block is freed, there are more separate pieces than the default limit of Linux, 65,530.
const BLOCKS: usize = 140_000;

/// The highest limit that the tests exhaust. Many distributions set 1,048,576: a process with that many mappings
/// takes hundreds of megabytes of kernel memory, which may run out first.
const EXHAUSTED_MAX: usize = 262_144;

/// The number of mappings of this process.
fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").expect("/proc is mounted").lines().count()
}

/// The most mappings that a process may have.
fn mappings_max() -> usize {
    let max = fs::read_to_string("/proc/sys/vm/max_map_count").expect("/proc is mounted");
    max.trim().parse().expect("a number")
}

/// Whether all mappings of a process can be taken; prints a note if not.
fn can_exhaust_mappings() -> bool {
    let max = mappings_max();
    if max > EXHAUSTED_MAX {
        print_note(&format!(
            "a process without mappings was NOT tested: vm.max_map_count is {max}, the test needs at most {EXHAUSTED_MAX}"
        ));
    }
    max <= EXHAUSTED_MAX
}

/// Takes all mappings without using memory. The kernel does not merge neighbors whose flags differ.
fn take_all_mappings() -> Vec<MmapMut> {
    // A list that grows would need mappings itself.
    let mut taken = Vec::with_capacity(mappings_max());
    let mut one = MmapOptions::new();
    let mut other = MmapOptions::new();
    let pair = [one.len(4 * KIB), other.len(4 * KIB).no_reserve_swap()];
    // New mappings, not parts of one: splitting fails when one more new mapping is still possible.
    taken.extend(pair.iter().cycle().map_while(|options| options.map_anon().ok()));
    taken
}

#[test]
fn more_blocks_than_the_kernel_keeps_mappings_for_are_lent_and_none_is_lost() {
    if runs_in_own_process("mappings::more_blocks_than_the_kernel_keeps_mappings_for_are_lent_and_none_is_lost", "") {
        return;
    }
    let process = Process { pid: std::process::id() };
    let mut queues: Vec<ByteQueue> = iter::repeat_with(ByteQueue::new).take(BLOCKS).collect();
    let mut reserve = Reserve::new(usize::MAX);
    let base = process.memory_bytes();
    for (place, queue) in queues.iter_mut().enumerate() {
        queue.push(&place.to_le_bytes(), &mut reserve).expect("memory is free");
    }
    assert_eq!(reserve.blocks(), BLOCKS);
    for every_other in [0, 1] {
        for (place, queue) in queues.iter_mut().enumerate().skip(every_other).step_by(2) {
            assert_eq!(queue.as_slice(), place.to_le_bytes());
            queue.clear(&mut reserve);
        }
        assert!(mappings() < mappings_max() * 3 / 4, "{} mappings", mappings());
    }
    // Besides the idle blocks of the reserve, the heap keeps some memory of small allocations.
    let left = process.memory_bytes().saturating_sub(base);
    assert!(left <= IDLE_BYTES_MAX + 16 * MIB, "{left} bytes are still in use");
}

#[test]
fn a_refused_mapping_is_reported_as_exhausted_memory() {
    let name = "mappings::a_refused_mapping_is_reported_as_exhausted_memory";
    if !can_exhaust_mappings() || runs_in_own_process(name, "") {
        return;
    }
    let mut reserve = Reserve::new(usize::MAX);
    let mut queue = ByteQueue::new();
    let taken = take_all_mappings();
    assert_eq!(queue.push(b"refused", &mut reserve), Err(Exhausted));
    assert_eq!((queue.len(), reserve.lent_bytes(), reserve.blocks()), (0, 0, 0));
    drop(taken);
    queue.push(b"stored again", &mut reserve).expect("mappings are free");
    assert_eq!((queue.as_slice(), reserve.blocks()), (b"stored again".as_slice(), 1));
}

#[test]
fn a_server_without_mappings_loses_those_that_do_not_read_and_serves_the_others() {
    const UNREAD: usize = 20;
    let name = "mappings::a_server_without_mappings_loses_those_that_do_not_read_and_serves_the_others";
    if !can_exhaust_mappings() || runs_in_own_process(name, "") {
        return;
    }
    let server = InProcessServer::serve(Echo::new(), Raw, Limits::default(), ServerLimits::default());
    let mut crowd = Crowd::new();
    let pingers = crowd.join(server.address, 10, Behavior::OnRequest);
    crowd.echo(pingers.clone(), 100, TIMEOUT);
    let taken = take_all_mappings();
    let unread = crowd.join_with_buffers(4 * KIB, server.address, UNREAD, Behavior::NeverReads);
    assert!(crowd.run_until_closed(TIMEOUT, unread), "a peer that does not read is open");
    crowd.echo(pingers.clone(), 100, TIMEOUT);
    drop(taken);
    let more = crowd.join_with_buffers(4 * KIB, server.address, UNREAD, Behavior::NeverReads);
    crowd.run_for(Duration::from_millis(300));
    assert!(crowd.members[more].iter().all(|member| member.is_open()), "queues have memory again");
    crowd.echo(pingers, 100, TIMEOUT);
    drop(crowd);
    assert_eq!(server.drain().closed(CloseReason::BudgetSpent), UNREAD as u64);
}
