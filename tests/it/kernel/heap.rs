//! The C library's heap: what it keeps of what was freed.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use crate::support::{KIB, MIB, Process, is_own_process, run_in_own_process};

    #[test]
    fn a_heap_does_not_shrink_below_its_top_block() {
        run_in_own_process("kernel::heap::glibc::the_heap_of_a_process_with_one_thread", "");
    }

    #[test]
    #[ignore = "needs a process of its own: see the test above"]
    fn the_heap_of_a_process_with_one_thread() {
        if !is_own_process() {
            return;
        }
        let process = Process { pid: std::process::id() };
        let base = process.memory_bytes();
        let used = || process.memory_bytes().saturating_sub(base);
        // Below the size from which a block is mapped on its own (mallopt(3): 128 KiB).
        let mut small: Vec<Vec<u8>> = (0..16 * KIB).map(|_| vec![1; 4 * KIB]).collect();
        assert!(used() > 64 * MIB);
        small.drain(..16 * KIB - 1);
        assert!(used() > 60 * MIB, "one block at the top keeps all the freed ones resident");
    }

    #[test]
    fn a_block_that_is_mapped_goes_back_at_once() {
        run_in_own_process("kernel::heap::glibc::the_mapped_blocks_of_a_process_with_one_thread", "");
    }

    #[test]
    #[ignore = "needs a process of its own: see the test above"]
    fn the_mapped_blocks_of_a_process_with_one_thread() {
        if !is_own_process() {
            return;
        }
        let process = Process { pid: std::process::id() };
        let base = process.memory_bytes();
        let mut large: Vec<Vec<u8>> = (0..256).map(|_| vec![1; 256 * KIB]).collect();
        let last = large.pop();
        drop(large);
        let used = process.memory_bytes().saturating_sub(base);
        assert!(used < 4 * MIB, "{used} bytes stay in use");
        drop(last);
    }
}
