//! Core affinity. A child process inherits the affinity of the thread that starts it.

use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::report::comparison::Cores;

/// One core for the servers and another one for the generator, if there are two.
pub(super) fn choose() -> Option<Cores> {
    let set = sched_getaffinity(None).ok()?;
    let mut available = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core));
    Some(Cores { server: available.next()?, generator: available.next()? })
}

/// Runs `act` in a thread that is pinned to `core`. Processes that it starts are pinned as well.
pub(super) fn on<T: Send>(core: Option<usize>, act: impl FnOnce() -> T + Send) -> T {
    let Some(core) = core else { return act() };
    // A new thread, so that the affinity of this one stays unchanged.
    let done = thread::scope(|scope| {
        let there = scope.spawn(|| {
            let mut set = CpuSet::new();
            set.set(core);
            // If the core is not available any more, the thread runs on any core.
            let _ = sched_setaffinity(None, &set);
            act()
        });
        there.join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
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
