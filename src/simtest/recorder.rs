//! `ServiceRecorder`: wraps a service and records its callbacks in the log and the story.

use std::any::Any;
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::log::{PeerName, SharedLog};
use super::peers::PORT_FIRST;
use crate::codec::ByteCodec;
use crate::connection::CloseReason;
use crate::service::{ConnectFailure, Context, Orders, PeerInfo, Role, Service};
use crate::sim::World;
use crate::slab::Key;

/// A service with recorded callbacks.
pub(super) struct ServiceRecorder<S> {
    /// The index of its endpoint.
    pub(super) endpoint: usize,
    pub(super) world: World,
    pub(super) log: SharedLog,
    pub(super) inner: S,
}

/// The name of a peer in the story: its number in the world.
struct PeerLabel(Option<u16>);

impl Display for PeerLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(port) => write!(f, "peer {}", port - PORT_FIRST),
            None => f.write_str("an unknown peer"),
        }
    }
}

/// A frame in the story: its content if it is short, else its length.
struct BytesPreview<'a>(&'a [u8]);

impl Display for BytesPreview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LEN_MAX: usize = 40;
        match self.0 {
            short if short.len() <= LEN_MAX => write!(f, "\"{}\"", short.escape_ascii()),
            long => write!(f, "{} bytes", long.len()),
        }
    }
}

/// The message of a caught panic.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}

impl<S: Service> ServiceRecorder<S> {
    /// Counts a callback for an open peer and adds it to the story. Returns the peer's name.
    fn record(&self, callback: &str, key: Key, detail: impl Display) -> PeerName {
        let name = (self.endpoint, key);
        let peer = PeerLabel(self.log.count_callback(name));
        self.world.note(format_args!("  callback {callback}: {peer}{detail}"));
        name
    }

    /// Calls the service, and records a panic before it goes on.
    fn call(&mut self, callback: impl FnOnce(&mut S)) {
        let inner = &mut self.inner;
        // The server catches the panic in the end and decides what it still uses.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| callback(inner))) {
            self.world.note(format_args!("  the service panics: {}", panic_message(panic.as_ref())));
            resume_unwind(panic);
        }
    }
}

impl<S: Service<Codec: ByteCodec>> Service for ServiceRecorder<S> {
    type Codec = S::Codec;
    type Peer = S::Peer;
    type Message = S::Message;

    fn on_open(&mut self, peer: &mut S::Peer, info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        let name = (self.endpoint, cx.key());
        if info.role() == Role::Connected {
            let violation = format!("connected to {info}, although no peer accepts connects in these worlds");
            self.log.lock().violation = Some(violation);
        }
        let port = info.to_string().rsplit(':').next().and_then(|port| port.parse().ok()).expect("ip:port");
        self.log.add_open(name, port);
        self.world.note(format_args!("  callback on_open: {}, slot {}", PeerLabel(Some(port)), name.1.slot()));
        self.call(|inner| inner.on_open(peer, info, &mut cx.for_service()));
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<S::Peer>, orders: &mut Orders<'_, Self>) {
        self.log.lock().callbacks += 1;
        self.world.note(format_args!("  callback on_connect_failed: {}, {}", failure.to, failure.error));
        self.call(|inner| inner.on_connect_failed(failure, &mut orders.for_service()));
    }

    fn on_frame(&mut self, peer: &mut S::Peer, frame: &[u8], cx: &mut Context<'_, Self>) {
        let name = self.record("on_frame", cx.key(), format_args!(", {}", BytesPreview(frame)));
        self.log.add_frame(name);
        self.call(|inner| inner.on_frame(peer, frame, &mut cx.for_service()));
    }

    fn on_writable(&mut self, peer: &mut S::Peer, cx: &mut Context<'_, Self>) {
        self.record("on_writable", cx.key(), "");
        self.call(|inner| inner.on_writable(peer, &mut cx.for_service()));
    }

    fn on_end(&mut self, peer: &mut S::Peer, cx: &mut Context<'_, Self>) {
        let name = self.record("on_end", cx.key(), "");
        self.log.add_end(name);
        self.call(|inner| inner.on_end(peer, &mut cx.for_service()));
    }

    fn on_timer(&mut self, peer: &mut S::Peer, cx: &mut Context<'_, Self>) {
        self.record("on_timer", cx.key(), "");
        self.call(|inner| inner.on_timer(peer, &mut cx.for_service()));
    }

    fn on_close(&mut self, peer: S::Peer, key: Key, reason: CloseReason, orders: &mut Orders<'_, Self>) {
        let name = self.record("on_close", key, format_args!(", {reason}"));
        self.log.add_close(name, reason);
        self.call(|inner| inner.on_close(peer, key, reason, &mut orders.for_service()));
    }

    fn on_message(&mut self, message: S::Message, orders: &mut Orders<'_, Self>) {
        self.log.lock().callbacks += 1;
        self.world.note(format_args!("  callback on_message"));
        self.call(|inner| inner.on_message(message, &mut orders.for_service()));
    }

    fn on_drain(&mut self, orders: &mut Orders<'_, Self>) {
        self.log.lock().callbacks += 1;
        self.world.note(format_args!("  callback on_drain"));
        self.call(|inner| inner.on_drain(&mut orders.for_service()));
    }
}
