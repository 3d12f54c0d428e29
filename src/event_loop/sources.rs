//! Own sources: descriptors of the program that the loop watches, such as a pipe or inotify.
//!
//! Their callbacks run on the thread of the loop, between the events and the turns of the endpoints.

use std::io;
use std::mem;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use log::debug;

use crate::net::{Net, Reactor, Readiness, Token};
use crate::slab::{Key, Slab};

use super::EventLoop;

/// The top byte of the tokens of sources, which no endpoint has.
const SOURCES: u64 = (u8::MAX as u64) << 56;

/// What a watched source may be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceEvent {
    /// A read may succeed, or returns the end or an error.
    pub readable: bool,
    /// A write may succeed.
    pub writable: bool,
}

/// A source and its callback.
trait Source<N: Net> {
    /// Calls the callback. Breaks if the source is to be watched no more.
    fn call(&mut self, event_loop: &mut EventLoop<N>, event: SourceEvent) -> ControlFlow<()>;
    /// Ends the watch.
    fn release(&mut self, net: &mut N);
}

/// The sources of one loop, and which of them are ready.
pub(super) struct Sources<N: Net> {
    /// `None` while its callback runs.
    sources: Slab<Option<Box<dyn Source<N>>>>,
    ready: Vec<(Key, SourceEvent)>,
}

impl<N: Net> Default for Sources<N> {
    fn default() -> Self {
        Self { sources: Slab::new(), ready: Vec::new() }
    }
}

impl<N: Net> Sources<N> {
    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Remembers the event of a source. An event of a source that is gone has no effect.
    pub(super) fn handle_event(&mut self, readiness: &Readiness) {
        let event = SourceEvent { readable: readiness.readable | readiness.read_closed, writable: readiness.writable };
        if readiness.token.0 >= SOURCES {
            self.ready.push((Key::from_bits(readiness.token.0), event));
        }
    }
}

impl<N: Net> EventLoop<N> {
    pub(super) fn call_sources(&mut self) {
        for (key, event) in mem::take(&mut self.sources.ready) {
            let Some(mut source) = self.sources.sources.get_mut(key).and_then(Option::take) else { continue };
            if source.call(self, event).is_break() {
                source.release(&mut self.state.net);
                self.sources.sources.remove(key);
            } else if let Some(place) = self.sources.sources.get_mut(key) {
                *place = Some(source);
            }
        }
    }
}

/// A descriptor of the program, with its callback.
struct Watched<F, C> {
    descriptor: F,
    callback: C,
}

impl<F: AsFd, C> Source<Reactor> for Watched<F, C>
where
    C: FnMut(&mut F, &mut EventLoop<Reactor>, SourceEvent) -> ControlFlow<()>,
{
    fn call(&mut self, event_loop: &mut EventLoop<Reactor>, event: SourceEvent) -> ControlFlow<()> {
        (self.callback)(&mut self.descriptor, event_loop, event)
    }

    fn release(&mut self, reactor: &mut Reactor) {
        if let Err(error) = reactor.unwatch(&self.descriptor) {
            debug!("cannot unwatch a descriptor: {error}");
        }
    }
}

impl EventLoop<Reactor> {
    /// Watches a descriptor of the program, such as a pipe, inotify or a signalfd.
    ///
    /// `callback` runs on the thread of the loop, with access to its services. It must not block, and it
    /// must not call [`turn`](Self::turn). The descriptor must be non-blocking. Readiness is reported
    /// once: the callback must read or write until `WouldBlock`. [`ControlFlow::Break`] ends the watch and
    /// drops the descriptor.
    ///
    /// # Errors
    /// The kernel cannot watch the descriptor. Linux refuses regular files.
    pub fn watch<F: AsFd + 'static>(
        &mut self,
        descriptor: F,
        callback: impl FnMut(&mut F, &mut Self, SourceEvent) -> ControlFlow<()> + 'static,
    ) -> io::Result<()> {
        let reactor = &mut self.state.net;
        self.sources.sources.try_insert_with(|key| {
            reactor.watch(&descriptor, Token(SOURCES | key.to_bits()))?;
            let source: Box<dyn Source<Reactor>> = Box::new(Watched { descriptor, callback });
            Ok::<_, io::Error>(Some(source))
        })?;
        Ok(())
    }
}

impl AsFd for EventLoop<Reactor> {
    /// The same descriptor as that of `as_raw_fd`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.net().as_fd()
    }
}

impl AsRawFd for EventLoop<Reactor> {
    /// The descriptor of the poll. It is readable when a turn has events to serve; see
    /// [`EventLoop::timeout`] for deadlines.
    fn as_raw_fd(&self) -> RawFd {
        self.net().as_raw_fd()
    }
}
