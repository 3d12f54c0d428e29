//! What the process uses, as far as the system reports it in constant time.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Numbers of the whole process. Those from `/proc` exist on Linux only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProcessUsage {
    pub(super) cpu: Duration,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) descriptors: Option<u64>,
    pub(super) descriptors_max: Option<u64>,
}

impl ProcessUsage {
    pub(super) fn read() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let bytes = |name: &str| number_after(&status, name).map(|kib| kib * 1024);
        Self {
            cpu: Duration::try_from(cpu).unwrap_or_default(),
            resident_bytes: bytes("VmRSS:"),
            virtual_bytes: bytes("VmSize:"),
            // Since Linux 6.2 the length of the folder is the number of descriptors. To count its entries takes
            // longer with each of them.
            descriptors: fs::metadata("/proc/self/fd").ok().map(|folder| folder.len()).filter(|count| *count > 0),
            descriptors_max: number_after(&limits, "Max open files"),
        }
    }
}

/// The first number in the line that begins with `name`.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}
