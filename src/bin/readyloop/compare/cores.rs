//! The cores of servers and generators. A supervised process is pinned by its supervisor.

use crate::report::comparison::Cores;

/// One core for the servers and another one for the generator, if there are two.
pub(super) fn choose() -> Option<Cores> {
    let mut available = available().into_iter();
    Some(Cores { server: available.next()?, generator: available.next()? })
}

#[cfg(target_os = "linux")]
fn available() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};

    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Other systems cannot pin a process to a core.
#[cfg(not(target_os = "linux"))]
fn available() -> Vec<usize> {
    Vec::new()
}
