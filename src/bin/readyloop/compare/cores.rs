//! Core affinity. A child process inherits the affinity of the thread that starts it.

use std::thread;

use crate::report::comparison::Cores;

/// One core for the servers and another one for the generator, if there are two.
pub(super) fn choose() -> Option<Cores> {
    let mut available = system::available_cores();
    Some(Cores { server: available.next()?, generator: available.next()? })
}

/// Runs `act` in a thread that is pinned to `core`. Processes that it starts are pinned as well.
pub(super) fn on<T: Send>(core: Option<usize>, act: impl FnOnce() -> T + Send) -> T {
    let Some(core) = core else { return act() };
    // A new thread, so that the affinity of this one stays unchanged.
    let done = thread::scope(|scope| {
        let there = scope.spawn(|| {
            system::pin(core);
            act()
        });
        there.join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(not(target_vendor = "apple"))]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// The cores on which the calling thread may run.
    pub(super) fn available_cores() -> impl Iterator<Item = usize> {
        let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        (0..CpuSet::MAX_CPU).filter(move |core| set.is_set(*core))
    }

    /// Pins the calling thread to `core`. If the core is not available, the thread runs on any core.
    pub(super) fn pin(core: usize) {
        let mut set = CpuSet::new();
        set.set(core);
        let _ = sched_setaffinity(None, &set);
    }
}

/// Apple systems cannot pin a thread to a core.
#[cfg(target_vendor = "apple")]
mod system {
    pub(super) fn available_cores() -> impl Iterator<Item = usize> {
        std::iter::empty()
    }

    pub(super) fn pin(_core: usize) {}
}

#[cfg(all(test, not(target_vendor = "apple")))]
mod tests {
    use rustix::thread::sched_getaffinity;

    use super::*;

    #[test]
    fn a_thread_runs_on_its_core() {
        let before = sched_getaffinity(None).unwrap();
        let Some(cores) = choose() else { return };
        assert_ne!(cores.server, cores.generator);
        let inside = on(Some(cores.generator), || sched_getaffinity(None).unwrap());
        assert!(inside.is_set(cores.generator) && inside.count() == 1);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
