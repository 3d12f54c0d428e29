//! The C library's heap: which freed memory returns to the system.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use crate::support::{KIB, MIB, Process, runs_in_own_process};

    #[test]
    fn a_heap_does_not_shrink_below_its_top_block() {
        if runs_in_own_process("kernel::heap::glibc::a_heap_does_not_shrink_below_its_top_block", "") {
            return;
        }
        let process = Process { pid: std::process::id() };
        let base = process.memory_bytes();
        let used = || process.memory_bytes().saturating_sub(base);
        // Smaller than the blocks that get a mapping of their own (mallopt(3): 128 KiB).
        let mut small: Vec<Vec<u8>> = (0..16 * KIB).map(|_| vec![1; 4 * KIB]).collect();
        assert!(used() > 64 * MIB);
        small.drain(..16 * KIB - 1);
        assert!(used() > 60 * MIB, "one block at the top keeps all freed blocks resident");
    }

    #[test]
    fn a_mapped_block_returns_to_the_system_at_once() {
        if runs_in_own_process("kernel::heap::glibc::a_mapped_block_returns_to_the_system_at_once", "") {
            return;
        }
        let process = Process { pid: std::process::id() };
        let base = process.memory_bytes();
        let mut large: Vec<Vec<u8>> = (0..256).map(|_| vec![1; 256 * KIB]).collect();
        let last = large.pop();
        drop(large);
        let used = process.memory_bytes().saturating_sub(base);
        assert!(used < 4 * MIB, "{used} bytes are still in use");
        drop(last);
    }
}
