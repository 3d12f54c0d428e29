//! `Observed`: a service that reports each callback before it runs.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::words::BytesPreview;
use crate::codec::ByteCodec;
use crate::connection::CloseReason;
use crate::destination::Destination;
use crate::service::{ConnectFailure, Context, Orders, PeerInfo, Service};
use crate::slab::Key;
use crate::trace::{TraceEntry, TraceLog};

/// A callback of a service, with its arguments.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "the callbacks of `Service`")]
pub enum Callback<'a> {
    Open { key: Key, info: &'a PeerInfo<'a> },
    ConnectFailed { to: &'a Destination, error: &'a io::Error },
    Frame { key: Key, frame: &'a [u8] },
    Writable { key: Key },
    End { key: Key },
    Timer { key: Key },
    LayerError { key: Key, error: &'a io::Error },
    Close { key: Key, reason: CloseReason },
    Message,
    Drain,
}

/// Receives the callbacks of an [`Observed`] service.
pub trait CallbackObserver {
    /// Called before the callback of the service.
    fn observe(&mut self, callback: &Callback<'_>);
    /// Called when a callback of the service has panicked, with the message of the panic.
    fn observe_panic(&mut self, message: &str);
}

/// A service with its observer. To the event loop, it is the service.
#[derive(Clone, Debug)]
pub struct Observed<S, O = CallbackLog> {
    inner: S,
    observer: O,
}

impl<S, O> Observed<S, O> {
    /// Makes `observer` see the callbacks of `inner`.
    pub fn new(inner: S, observer: O) -> Self {
        Self { inner, observer }
    }

    /// The service that is observed.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: Service, O: CallbackObserver> Observed<S, O> {
    /// Calls the service. A panic goes on after it is reported.
    fn call(&mut self, call: impl FnOnce(&mut S)) {
        let inner = &mut self.inner;
        // The event loop catches the panic in the end and decides what it still uses.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| call(inner))) {
            self.observer.observe_panic(&panic_message(panic.as_ref()));
            resume_unwind(panic);
        }
    }
}

impl<S: Service<Codec: ByteCodec>, O: CallbackObserver> Service for Observed<S, O> {
    type Codec = S::Codec;
    type Peer = S::Peer;
    type Message = S::Message;

    fn on_open(&mut self, peer: &mut S::Peer, info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.observer.observe(&Callback::Open { key: cx.key(), info });
        self.call(|inner| inner.on_open(peer, info, &mut cx.for_service()));
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<S::Peer>, orders: &mut Orders<'_, Self>) {
        self.observer.observe(&Callback::ConnectFailed { to: &failure.to, error: &failure.error });
        self.call(|inner| inner.on_connect_failed(failure, &mut orders.for_service()));
    }

    fn on_frame(&mut self, peer: &mut S::Peer, frame: &[u8], cx: &mut Context<'_, Self>) {
        self.observer.observe(&Callback::Frame { key: cx.key(), frame });
        self.call(|inner| inner.on_frame(peer, frame, &mut cx.for_service()));
    }

    fn on_writable(&mut self, peer: &mut S::Peer, cx: &mut Context<'_, Self>) {
        self.observer.observe(&Callback::Writable { key: cx.key() });
        self.call(|inner| inner.on_writable(peer, &mut cx.for_service()));
    }

    fn on_end(&mut self, peer: &mut S::Peer, cx: &mut Context<'_, Self>) {
        self.observer.observe(&Callback::End { key: cx.key() });
        self.call(|inner| inner.on_end(peer, &mut cx.for_service()));
    }

    fn on_timer(&mut self, peer: &mut S::Peer, cx: &mut Context<'_, Self>) {
        self.observer.observe(&Callback::Timer { key: cx.key() });
        self.call(|inner| inner.on_timer(peer, &mut cx.for_service()));
    }

    fn on_layer_error(&mut self, key: Key, error: io::Error) {
        self.observer.observe(&Callback::LayerError { key, error: &error });
        self.call(|inner| inner.on_layer_error(key, error));
    }

    fn on_close(&mut self, peer: S::Peer, key: Key, reason: CloseReason, orders: &mut Orders<'_, Self>) {
        self.observer.observe(&Callback::Close { key, reason });
        self.call(|inner| inner.on_close(peer, key, reason, &mut orders.for_service()));
    }

    fn on_message(&mut self, message: S::Message, orders: &mut Orders<'_, Self>) {
        self.observer.observe(&Callback::Message);
        self.call(|inner| inner.on_message(message, &mut orders.for_service()));
    }

    fn encode_message(message: &S::Message) -> Option<Vec<u8>> {
        S::encode_message(message)
    }

    fn decode_message(content: &[u8]) -> Option<S::Message> {
        S::decode_message(content)
    }

    fn on_drain(&mut self, orders: &mut Orders<'_, Self>) {
        self.observer.observe(&Callback::Drain);
        self.call(|inner| inner.on_drain(&mut orders.for_service()));
    }
}

/// Adds the callbacks of one endpoint to a log.
#[derive(Clone, Debug)]
pub struct CallbackLog {
    endpoint: usize,
    log: TraceLog,
}

impl CallbackLog {
    /// Adds the callbacks of the endpoint with this index in its loop, the first being 0.
    pub fn new(endpoint: usize, log: TraceLog) -> Self {
        Self { endpoint, log }
    }
}

impl CallbackObserver for CallbackLog {
    fn observe(&mut self, callback: &Callback<'_>) {
        self.log.add(entry(self.endpoint, callback));
    }

    fn observe_panic(&mut self, message: &str) {
        self.log.add(TraceEntry::Service(format!("the service panics: {message}")));
    }
}

fn entry(endpoint: usize, callback: &Callback<'_>) -> TraceEntry {
    let (key, name, detail): (Key, &'static str, &dyn fmt::Display) = match callback {
        Callback::Open { key, info } => (*key, "on_open", info),
        Callback::Frame { key, frame } => (*key, "on_frame", &BytesPreview(frame)),
        Callback::Writable { key } => (*key, "on_writable", &""),
        Callback::End { key } => (*key, "on_end", &""),
        Callback::Timer { key } => (*key, "on_timer", &""),
        Callback::LayerError { key, error } => (*key, "on_layer_error", error),
        Callback::Close { key, reason } => (*key, "on_close", reason),
        Callback::Message => return TraceEntry::Service("callback on_message".to_owned()),
        Callback::Drain => return TraceEntry::Service("callback on_drain".to_owned()),
        Callback::ConnectFailed { to, error } => {
            return TraceEntry::Service(format!("callback on_connect_failed: {to}, {error}"));
        }
    };
    TraceEntry::PeerCallback { endpoint, key, name, detail: detail.to_string() }
}

/// The message of a caught panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}
