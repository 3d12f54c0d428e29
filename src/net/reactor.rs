//! [`Reactor`]: the production implementation of [`Net`], on mio.
//!
//! It reports events and decides nothing. It is the only place that polls.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Waker};
use socket2::Socket;

use crate::instant::Instant;

use super::alarm::Alarm;
use super::budget::TURN_PEERS;
use super::clock::{Clock, ClockAnchor};
use super::inherited::InheritedSockets;
use super::listener::Listener;
use super::{
    Address, ConnectOptions, ControlEvent, DatagramOptions, DatagramSocket, Destination, Event, Layer, ListenOptions,
    Net, PeerAddress, PollOutcome, Readiness, Token, Wake,
};

/// The most events of one poll. A smaller number costs more polls; a larger one does not fit the
/// first-level cache.
const EVENTS_MAX: usize = 1024;

// All peers of one poll can be served in the same turn if each has little to move.
const _: () = assert!(EVENTS_MAX < TURN_PEERS);

const WAKE: mio::Token = mio::Token(usize::MAX);
#[cfg(feature = "signals")]
const SIGNALS: mio::Token = mio::Token(usize::MAX - 1);
const ALARM: mio::Token = mio::Token(usize::MAX - 2);

// An idle peer costs at most 128 bytes of heap: its slot with the generation, its timer entry and
// the index of that entry. (With debug assertions mio's sockets are larger.)
#[cfg(not(debug_assertions))]
const _: () = {
    type EchoPeer =
        crate::host::Peer<crate::service::Echo<crate::codec::Framing>, super::Link<<Reactor as Net>::Stream>>;
    assert!(size_of::<EchoPeer>() + 8 + 20 <= 128);
};

// A token packs endpoint, slot and generation into 64 bits, and mio's token is a `usize`.
const _: () = assert!(usize::BITS == 64);

/// The network and the clock of one thread, on mio.
pub struct Reactor {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    clock: Clock,
    alarm: Alarm,
    inherited: InheritedSockets,
    #[cfg(feature = "signals")]
    signals: Option<super::signals::Signals>,
}

impl Reactor {
    /// A reactor with nothing registered.
    ///
    /// # Errors
    /// No descriptor is free for the poll, its waker or its alarm.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            waker,
            clock: Clock::new(),
            alarm,
            inherited: InheritedSockets::default(),
            #[cfg(feature = "signals")]
            signals: None,
        })
    }

    /// Another reactor with nothing registered, on the same clock, for another thread.
    ///
    /// # Errors
    /// As [`Self::new`].
    #[cfg(feature = "load")]
    pub(crate) fn with_same_clock(&self) -> io::Result<Self> {
        Ok(Self { clock: self.clock, ..Self::new()? })
    }

    /// One moment on the clock of the loop and on that of the standard library, to convert instants.
    pub fn clock_anchor(&self) -> ClockAnchor {
        self.clock.anchor()
    }

    /// Uses sockets that another process has bound, in place of binding their addresses again.
    ///
    /// Each is used by the next endpoint with its address. An endpoint on port 0 takes the first socket with its
    /// IP address.
    pub fn inherit(&mut self, sockets: InheritedSockets) {
        self.inherited = sockets;
    }

    /// Takes the inherited sockets that no endpoint has used.
    pub(crate) fn take_inherited(&mut self) -> InheritedSockets {
        std::mem::take(&mut self.inherited)
    }

    /// The clock, for other threads of the same server, and for measuring within a turn.
    #[cfg(any(feature = "blocking", feature = "load"))]
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Turns a signal into a control event, which [`Net::poll`] then reports.
    ///
    /// # Errors
    /// The signal cannot be caught (`signal(7)`).
    #[cfg(feature = "signals")]
    pub fn watch_signal(&mut self, number: i32, control_event: ControlEvent) -> io::Result<()> {
        let signals = match &mut self.signals {
            Some(signals) => signals,
            none => none.insert(super::signals::Signals::new(self.poll.registry(), SIGNALS)?),
        };
        signals.watch(number, control_event)
    }

    /// Shuts the loop down on SIGINT (Ctrl-C) and SIGTERM: by default, a drain. A second signal stops the loop; if
    /// the limits of the server have stages before the drain, the second one drains and a third one stops.
    ///
    /// # Errors
    /// A signal cannot be caught (`signal(7)`).
    #[cfg(feature = "signals")]
    pub fn draining_on_signals(mut self) -> io::Result<Self> {
        for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            self.watch_signal(number, ControlEvent::ShutDown)?;
        }
        Ok(self)
    }

    /// Registers a descriptor for both directions.
    ///
    /// # Errors
    /// As `epoll_ctl(2)` or `kevent(2)`.
    pub(crate) fn watch(&self, descriptor: &impl AsFd, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        let descriptor = descriptor.as_fd().as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&descriptor), mio_token(token), both)
    }

    /// Undoes [`Self::watch`].
    ///
    /// # Errors
    /// As `epoll_ctl(2)` or `kevent(2)`.
    pub(crate) fn unwatch(&self, descriptor: &impl AsFd) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&descriptor.as_fd().as_raw_fd()))
    }

    /// The timeout for mio's poll. `None` if the alarm ends the sleep.
    fn timeout(&mut self, until: Option<Instant>) -> io::Result<Option<Duration>> {
        match until {
            None => Ok(None),
            Some(Instant::ORIGIN) => Ok(Some(Duration::ZERO)),
            Some(at) => self.alarm.timeout(at, || self.clock.now()),
        }
    }

    /// Polls without sleeping.
    fn poll_now(&mut self) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            polled => polled,
        }
    }
}

impl Net for Reactor {
    type Stream = Socket;
    type Listener = Listener;
    type Datagrams = DatagramSocket;
    type Layered<W: Layer<Socket> + 'static> = W;

    fn prepare_layer<W: Layer<Socket> + 'static>(&self, layer: W) -> W {
        layer
    }

    #[inline]
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> io::Result<PollOutcome> {
        let timeout = self.timeout(until)?;
        match self.poll.poll(&mut self.events, timeout) {
            // A suspended process resumes here, perhaps much later. Poll again, so that events that
            // arrived meanwhile are reported before any deadline is checked.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.poll_now()?,
            polled => polled?,
        }
        let mut count = 0;
        for event in &self.events {
            count += 1;
            match event.token() {
                WAKE => events.push(Event::Control(ControlEvent::Wake)),
                #[cfg(feature = "signals")]
                SIGNALS => {
                    let signals = self.signals.as_mut().expect("the token is registered with the signals");
                    events.extend(signals.pending().map(Event::Control));
                }
                ALARM => self.alarm.handle_fired(),
                mio::Token(token) => events.push(Event::Ready(Readiness {
                    token: Token(token as u64),
                    readable: event.is_readable(),
                    writable: event.is_writable(),
                    // A read reports the error.
                    read_closed: event.is_read_closed() || event.is_error(),
                })),
            }
        }
        Ok(if count < EVENTS_MAX { PollOutcome::Complete } else { PollOutcome::Partial })
    }

    fn listen(&mut self, address: &Address, options: &ListenOptions, token: Token) -> io::Result<Listener> {
        let mut listener = match self.inherited.take(address) {
            Some(socket) => Listener::inherited(socket, address, options)?,
            None => Listener::bind(address, options)?,
        };
        self.poll.registry().register(listener.source(), mio_token(token), Interest::READABLE)?;
        Ok(listener)
    }

    fn bind(
        &mut self,
        address: &Address,
        options: &DatagramOptions,
        token: Token,
    ) -> io::Result<(Self::Datagrams, SocketAddr)> {
        let mut socket = match self.inherited.take(address) {
            Some(socket) => super::udp::inherited(socket, options)?,
            None => super::udp::bind(address, options)?,
        };
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(socket.source(), mio_token(token), both)?;
        let bound = socket.local_addr()?;
        Ok((socket, bound))
    }

    fn local_address(&self, listener: &Listener) -> Address {
        listener.local_address().clone()
    }

    fn hand_over(&mut self, listener: &mut Listener) {
        listener.keep_path();
        // While another process holds the socket, closing it here would not end its events (epoll(7)).
        if let Err(error) = self.poll.registry().deregister(listener.source()) {
            log::debug!("cannot deregister a listener: {error}");
        }
    }

    #[inline]
    fn accept(&mut self, listener: &mut Listener) -> io::Result<(Self::Stream, PeerAddress)> {
        listener.accept()
    }

    #[inline]
    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()> {
        self.watch(stream, token)
    }

    fn connect(&mut self, to: &Destination, options: &ConnectOptions, token: Token) -> io::Result<Self::Stream> {
        let mut stream = super::connect::begin(to, options)?;
        self.register(&mut stream, token)?;
        Ok(stream)
    }

    fn is_connected(&mut self, stream: &mut Self::Stream) -> io::Result<bool> {
        super::connect::is_connected(stream)
    }

    fn wake(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.waker) as Arc<dyn Wake>
    }
}

impl AsFd for Reactor {
    /// The descriptor of the poll, readable while an event is pending.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }
}

impl AsRawFd for Reactor {
    /// The descriptor of the poll, readable while an event is pending.
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

impl Wake for Waker {
    fn wake(&self) {
        if let Err(error) = Self::wake(self) {
            log::error!("cannot wake the event loop: {error}");
        }
    }
}

fn mio_token(token: Token) -> mio::Token {
    mio::Token(usize::try_from(token.0).expect("usize has 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_does_not_end_early() {
        let mut reactor = Reactor::new().unwrap();
        for micros in [1, 400, 1_600] {
            let until = reactor.now() + Duration::from_micros(micros);
            reactor.poll(&mut Vec::new(), Some(until)).unwrap();
            assert!(reactor.now() >= until, "after less than {micros} µs");
        }
    }

    #[test]
    fn a_deadline_in_the_past_does_not_sleep() {
        let mut reactor = Reactor::new().unwrap();
        let past = reactor.now();
        for _ in 0..3 {
            reactor.poll(&mut Vec::new(), Some(past)).unwrap();
        }
        assert!(reactor.now().since(past) < Duration::from_secs(5));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_deadline_that_moves_later_costs_one_needless_poll() {
        let mut reactor = Reactor::new().unwrap();
        let far = reactor.now() + Duration::from_millis(20);
        let near = reactor.now() + Duration::from_millis(2);
        // The wake ends the sleep, so the alarm for the near deadline stays set.
        Net::wake(&reactor).wake();
        reactor.poll(&mut Vec::new(), Some(near)).unwrap();
        let mut polls = 0;
        while reactor.now() < far {
            reactor.poll(&mut Vec::new(), Some(far)).unwrap();
            polls += 1;
        }
        assert!(polls <= 2, "{polls} polls");
    }

    #[test]
    fn a_deadline_that_moves_earlier_ends_the_sleep() {
        let mut reactor = Reactor::new().unwrap();
        Net::wake(&reactor).wake();
        let far = reactor.now() + Duration::from_secs(60);
        reactor.poll(&mut Vec::new(), Some(far)).unwrap();
        let near = reactor.now() + Duration::from_millis(1);
        while reactor.now() < near {
            reactor.poll(&mut Vec::new(), Some(near)).unwrap();
        }
        assert!(reactor.now() < far);
    }
}
