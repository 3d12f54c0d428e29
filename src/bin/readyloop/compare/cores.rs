//! Which core is whose. A process runs where the thread that starts it may run.

use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::report::comparison::Cores;

/// A core for the servers and another for the generator, where there are two.
pub(super) fn choose() -> Option<Cores> {
    let set = sched_getaffinity(None).ok()?;
    let mut ours = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core));
    Some(Cores { server: ours.next()?, generator: ours.next()? })
}

/// Runs `act` in a thread that may only use this core; what it starts may only use it as well.
pub(super) fn on<T: Send>(core: Option<usize>, act: impl FnOnce() -> T + Send) -> T {
    let Some(core) = core else { return act() };
    // In a thread of its own, so that nothing has to be put back.
    let done = thread::scope(|scope| {
        let there = scope.spawn(|| {
            let mut set = CpuSet::new();
            set.set(core);
            // A core that was taken from us meanwhile: then anywhere.
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
    fn what_is_started_there_stays_there() {
        let before = sched_getaffinity(None).unwrap();
        let Some(cores) = choose() else { return };
        assert_ne!(cores.server, cores.generator);
        let inside = on(Some(cores.generator), || sched_getaffinity(None).unwrap());
        assert!(inside.is_set(cores.generator) && inside.count() == 1);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
