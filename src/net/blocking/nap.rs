//! A nap: a read that sleeps and has no end of its own; and how whoever naps is roused.
//!
//! A read that ends by itself takes a timer of the kernel for each message, set and taken back: among
//! a thousand threads 4 to 6 % of all that a message costs. So naps have no end. Who watches over them
//! looks from time to time, and rouses whoever has slept in one read since the look before.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem};

use log::warn;
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use signal_hook::{SigId, flag, low_level};
use slab::Slab;
use socket2::Socket;

use crate::net::Wake;

/// Interrupts a call. Hardly anybody has another use for it, and where no handler is it does nothing.
const ROUSE: Signal = Signal::SIGURG;

/// With this a read that finds nothing ends at once, as far as the kernel knows such a thing.
const NO_TIME: Duration = Duration::from_micros(1);

/// A socket, and whether its thread is in a read of it.
#[derive(Debug)]
pub(super) struct Bed {
    pub(super) socket: Socket,
    /// One more whenever its thread lies down to read and whenever it gets up: odd in between.
    moves: AtomicU32,
}

impl Bed {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, moves: AtomicU32::new(0) }
    }

    /// Its thread begins to read, or has read.
    #[inline]
    pub(super) fn count_move(&self) {
        // Only its thread counts, and who looks on may see it later.
        self.moves.store(self.moves.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// Somebody who naps, or is about to.
#[derive(Debug)]
struct Sleeper {
    thread: Pthread,
    bed: Arc<Bed>,
    /// How often it had moved at the last look.
    moves_before: u32,
    is_roused: bool,
}

impl Sleeper {
    /// Ends its read, if it is in one.
    ///
    /// The signal interrupts it, and the kernel begins it anew, since no timeout was set when it began
    /// (signal(7)); now one is. A thread that is not quite there finds the timeout by itself.
    fn rouse(&mut self) {
        let reads = self.bed.moves.load(Ordering::Relaxed) % 2 == 1;
        if self.is_roused || !reads {
            return;
        }
        self.is_roused = true;
        let timeout_set = self.bed.socket.set_read_timeout(Some(NO_TIME));
        let sent = pthread_kill(self.thread, ROUSE).map_err(io::Error::from);
        if let Err(error) = timeout_set.and(sent) {
            warn!("cannot rouse a thread from its read: {error}");
        }
    }
}

/// All who nap.
pub(crate) struct Naps {
    sleepers: Mutex<Slab<Sleeper>>,
    /// Who looks at them; wants to know of the first.
    watch: Arc<dyn Wake>,
    handler: SigId,
}

impl Naps {
    /// # Errors
    /// The signal cannot be caught.
    pub(crate) fn new(watch: Arc<dyn Wake>) -> io::Result<Self> {
        // It says nothing but that the call was interrupted, and that the call says itself.
        let handler = flag::register(ROUSE as i32, Arc::new(AtomicBool::new(false)))?;
        Ok(Self { sleepers: Mutex::default(), watch, handler })
    }

    fn sleepers(&self) -> MutexGuard<'_, Slab<Sleeper>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calling thread will nap in that bed, until it leaves the place it gets here.
    pub(super) fn enter(&self, bed: &Arc<Bed>) -> usize {
        let moves_before = bed.moves.load(Ordering::Relaxed);
        let sleeper = Sleeper { thread: pthread_self(), bed: Arc::clone(bed), moves_before, is_roused: false };
        let mut sleepers = self.sleepers();
        let place = sleepers.insert(sleeper);
        let is_first = sleepers.len() == 1;
        drop(sleepers);
        if is_first {
            self.watch.wake();
        }
        place
    }

    /// It naps no more; says whether it was roused, so that its socket has a timeout now.
    pub(super) fn leave(&self, place: usize) -> bool {
        // A thread is signalled only while it is entered: it cannot have ended by then.
        self.sleepers().remove(place).is_roused
    }

    /// Whether nobody naps.
    pub(crate) fn is_empty(&self) -> bool {
        self.sleepers().is_empty()
    }

    /// Rouses whoever has slept in one read since the last look. A thread that a service keeps is left
    /// alone: it does not nap, and what it waits for is no concern of ours.
    pub(crate) fn rouse_the_quiet(&self) {
        for (_, sleeper) in self.sleepers().iter_mut() {
            let moves = sleeper.bed.moves.load(Ordering::Relaxed);
            if mem::replace(&mut sleeper.moves_before, moves) == moves {
                sleeper.rouse();
            }
        }
    }

    /// Rouses everybody. Who lies down only now is roused after the next looks.
    pub(crate) fn rouse_all(&self) {
        self.sleepers().iter_mut().for_each(|(_, sleeper)| sleeper.rouse());
    }
}

impl Drop for Naps {
    fn drop(&mut self) {
        low_level::unregister(self.handler);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write};
    use std::thread;

    use crate::instant::Instant;
    use crate::net::blocking::{Bell, BlockingStream, Patience};
    use crate::net::listener::TcpOrUnix;
    use crate::net::{Clock, Stream};

    use super::*;

    #[derive(Default)]
    struct Watch {
        wakes: AtomicU32,
    }

    impl Wake for Watch {
        fn wake(&self) {
            self.wakes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn bed() -> Arc<Bed> {
        Arc::new(Bed::new(Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()))
    }

    #[test]
    fn who_sleeps_in_a_read_is_roused_and_nobody_else() {
        let naps = Naps::new(Arc::new(Watch::default())).unwrap();
        let [busy, kept, asleep] = [bed(), bed(), bed()];
        let [busy_place, kept_place, asleep_place] = [&busy, &kept, &asleep].map(|bed| naps.enter(bed));
        asleep.count_move();
        for _ in 0..3 {
            busy.count_move();
            naps.rouse_the_quiet();
        }
        let is_timed = |bed: &Bed| bed.socket.read_timeout().unwrap().is_some();
        assert!(!naps.leave(busy_place) && !is_timed(&busy), "it reads on");
        assert!(!naps.leave(kept_place) && !is_timed(&kept), "a service keeps it");
        assert!(naps.leave(asleep_place) && is_timed(&asleep));
        assert!(naps.is_empty());
    }

    #[test]
    fn the_first_who_naps_wakes_the_watch_and_nobody_else_does() {
        let watch = Arc::new(Watch::default());
        let naps = Naps::new(Arc::<Watch>::clone(&watch)).unwrap();
        let bed = bed();
        let places = [naps.enter(&bed), naps.enter(&bed)];
        assert_eq!(watch.wakes.load(Ordering::Relaxed), 1);
        places.into_iter().for_each(|place| assert!(!naps.leave(place)));
        naps.enter(&bed);
        assert_eq!(watch.wakes.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_read_that_sleeps_is_roused_and_the_next_one_sleeps_on() {
        let naps = Arc::new(Naps::new(Arc::new(Watch::default())).unwrap());
        let (stream, mut other) = mio::net::UnixStream::pair().unwrap();
        let bell = Arc::new(Bell::new().unwrap());
        let mut stream = BlockingStream::new(TcpOrUnix::Unix(stream), bell, Arc::clone(&naps), Clock::new()).unwrap();
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                stream.adopt(Patience::Nap);
                assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
                // As whoever was roused does: it watches, and naps again once something has come.
                stream.adopt(Patience::Watch(Instant::ORIGIN));
                stream.adopt(Patience::Nap);
                assert_eq!(stream.bed.socket.read_timeout().unwrap(), None, "nothing of the rousing is left");
                stream.read(&mut [0; 8]).unwrap()
            });
            while !naps.sleepers().iter().any(|(_, sleeper)| sleeper.is_roused) {
                naps.rouse_the_quiet();
                thread::yield_now();
            }
            while naps.sleepers().iter().any(|(_, sleeper)| sleeper.is_roused) {
                thread::yield_now();
            }
            other.write_all(b"morning").unwrap();
            assert_eq!(sleeper.join().unwrap(), b"morning".len());
        });
        drop(stream);
        assert!(naps.is_empty(), "who is gone naps no more");
    }
}
