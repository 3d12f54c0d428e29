//! Own sources: what a program adds to the loop besides endpoints.
//!
//! A descriptor, such as a pipe or inotify, has a callback. It runs on the thread of the loop, between the
//! events and the turns of the endpoints. A UDP socket has no callback, because the program itself receives
//! and sends between two turns.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use log::debug;

use crate::net::{Address, DatagramOptions, Net, Readiness, SystemNet, Token};
use crate::slab::{Key, Slab};

use super::EventLoop;

/// The top byte of the tokens of sources, which no endpoint has.
const SOURCES: u64 = (u8::MAX as u64) << 56;

/// What a source may be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceEvent {
    /// A read may succeed, or returns the end or an error.
    pub readable: bool,
    /// A write may succeed.
    pub writable: bool,
}

/// A source of the program.
enum OwnSource<N: Net> {
    /// `None` while its callback runs.
    Descriptor(Option<Box<dyn AnyDescriptor<N>>>),
    /// A UDP socket, with the readiness that [`EventLoop::poll_socket`] has not returned yet.
    Socket(N::Datagrams, Option<SourceEvent>),
}

/// A descriptor and its callback.
trait AnyDescriptor<N: Net> {
    /// Calls the callback. Breaks if the source is to be watched no more.
    fn call(&mut self, event_loop: &mut EventLoop<N>, event: SourceEvent) -> ControlFlow<()>;
    /// Ends the watch.
    fn release(&mut self, net: &mut N);
}

/// The sources of one loop, and which of them are ready.
pub(super) struct Sources<N: Net> {
    sources: Slab<OwnSource<N>>,
    ready: Vec<(Key, SourceEvent)>,
    /// The sockets with a readiness to return, each once.
    ready_sockets: VecDeque<Key>,
}

impl<N: Net> Default for Sources<N> {
    fn default() -> Self {
        Self { sources: Slab::new(), ready: Vec::new(), ready_sockets: VecDeque::new() }
    }
}

impl<N: Net> Sources<N> {
    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Remembers the event of a source. An event of a source that is gone has no effect.
    pub(super) fn handle_event(&mut self, readiness: &Readiness) {
        if readiness.token.0 < SOURCES {
            return;
        }
        let key = Key::from_bits(readiness.token.0);
        let event = SourceEvent { readable: readiness.readable | readiness.read_closed, writable: readiness.writable };
        match self.sources.get_mut(key) {
            Some(OwnSource::Socket(_, Some(waiting))) => {
                waiting.readable |= event.readable;
                waiting.writable |= event.writable;
            }
            Some(OwnSource::Socket(_, none)) => {
                *none = Some(event);
                self.ready_sockets.push_back(key);
            }
            Some(OwnSource::Descriptor(_)) => self.ready.push((key, event)),
            None => {}
        }
    }

    fn descriptor_mut(&mut self, key: Key) -> Option<&mut Option<Box<dyn AnyDescriptor<N>>>> {
        match self.sources.get_mut(key)? {
            OwnSource::Descriptor(place) => Some(place),
            OwnSource::Socket(..) => None,
        }
    }
}

impl<N: Net> EventLoop<N> {
    /// Binds a UDP socket for the program, watches it, and returns its key.
    ///
    /// The loop neither receives nor sends. The program does, through [`socket`](Self::socket) between two
    /// turns: a client sends requests this way. A server uses [`listen_datagrams`](Self::listen_datagrams).
    ///
    /// # Errors
    /// The address is not a `udp://` one or cannot be bound.
    pub fn bind_socket(&mut self, address: &Address, options: &DatagramOptions) -> io::Result<Key> {
        let net = &mut self.state.net;
        self.sources.sources.try_insert_with(|key| {
            let (socket, _) = net.bind(address, options, Token(SOURCES | key.to_bits()))?;
            Ok(OwnSource::Socket(socket, None))
        })
    }

    /// Returns the next socket that has become ready. Call it after each turn until it returns `None`.
    ///
    /// Readiness is returned once: receive until `WouldBlock`, or remember that a receive may succeed.
    pub fn poll_socket(&mut self) -> Option<(Key, SourceEvent)> {
        let key = self.sources.ready_sockets.pop_front()?;
        let Some(OwnSource::Socket(_, event)) = self.sources.sources.get_mut(key) else { return None };
        Some((key, event.take()?))
    }

    /// The socket with this key.
    ///
    /// # Panics
    /// The socket is closed, or belongs to another loop.
    pub fn socket(&mut self, key: Key) -> &mut N::Datagrams {
        match self.sources.sources.get_mut(key) {
            Some(OwnSource::Socket(socket, _)) => socket,
            Some(OwnSource::Descriptor(_)) | None => panic!("{key} is not an open socket of this loop"),
        }
    }

    /// Closes the socket with this key, if it is open.
    pub fn close_socket(&mut self, key: Key) {
        if let Some(OwnSource::Socket(..)) = self.sources.sources.get(key) {
            self.sources.sources.remove(key);
            self.sources.ready_sockets.retain(|ready| *ready != key);
        }
    }

    pub(super) fn call_sources(&mut self) {
        for (key, event) in mem::take(&mut self.sources.ready) {
            let Some(mut source) = self.sources.descriptor_mut(key).and_then(Option::take) else { continue };
            if source.call(self, event).is_break() {
                source.release(&mut self.state.net);
                self.sources.sources.remove(key);
            } else if let Some(place) = self.sources.descriptor_mut(key) {
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

impl<F: AsFd, C, N: SystemNet> AnyDescriptor<N> for Watched<F, C>
where
    C: FnMut(&mut F, &mut EventLoop<N>, SourceEvent) -> ControlFlow<()>,
{
    fn call(&mut self, event_loop: &mut EventLoop<N>, event: SourceEvent) -> ControlFlow<()> {
        (self.callback)(&mut self.descriptor, event_loop, event)
    }

    fn release(&mut self, net: &mut N) {
        if let Err(error) = net.reactor().unwatch(&self.descriptor) {
            debug!("cannot unwatch a descriptor: {error}");
        }
    }
}

impl<N: SystemNet> EventLoop<N> {
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
        let reactor = self.state.net.reactor();
        self.sources.sources.try_insert_with(|key| {
            reactor.watch(&descriptor, Token(SOURCES | key.to_bits()))?;
            Ok::<_, io::Error>(OwnSource::Descriptor(Some(Box::new(Watched { descriptor, callback }))))
        })?;
        Ok(())
    }
}

impl<N: SystemNet> AsFd for EventLoop<N> {
    /// The same descriptor as that of `as_raw_fd`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.state.net.reactor().as_fd()
    }
}

impl<N: SystemNet> AsRawFd for EventLoop<N> {
    /// The descriptor of the poll. It is readable when a turn has events to serve; see
    /// [`EventLoop::timeout`] for deadlines.
    fn as_raw_fd(&self) -> RawFd {
        self.state.net.reactor().as_raw_fd()
    }
}
