//! The service of the administration endpoint: routes requests, and sends the responses.
//!
//! The state of the loop comes through an inquiry, which sends the bytes of the response back as a message.
//! A list of peers takes one inquiry for each slice, and the next one is sent only when the client has read
//! enough of the last.

use std::collections::HashMap;

use crate::connection::CloseReason;
use crate::event_loop::{Inspector, LoopView, Stage};
use crate::net::Sender;
use crate::service::{Context, Orders, PeerInfo, ReplyToken, Service};
use crate::slab::Key;

use super::clients::Clients;
use super::connections::{self, Listing, PeerKey, PeerQuery};
use super::http::{ContentType, Form, HttpCodec, RequestHead, Status, refusal, response};
use super::{loop_report, metrics};

const PATHS: &str = "/ /metrics /healthz /readyz /connections /connections/KEY /loop\n";

pub(super) struct AdminService {
    inspector: Inspector,
    sender: Sender<Answer>,
    /// The lists that are being sent; `None` while an inquiry is under way.
    listings: HashMap<Key, Option<(ReplyToken, Box<Listing>)>>,
    clients: Clients,
}

/// The result of an inquiry.
pub(super) struct Answer {
    token: ReplyToken,
    bytes: Vec<u8>,
    next: Next,
}

/// What follows the bytes of an answer.
enum Next {
    Request,
    Close,
    /// The inquiry panicked or was dropped.
    Failed,
    /// The rest of the list.
    Slice(Box<Listing>),
}

impl Next {
    fn after(form: Form) -> Self {
        if form.keeps_alive { Self::Request } else { Self::Close }
    }
}

/// Answers a client exactly once: if its inquiry panics or is dropped, with an error.
struct PendingAnswer {
    sender: Sender<Answer>,
    token: Option<ReplyToken>,
}

impl PendingAnswer {
    fn send(&mut self, bytes: Vec<u8>, next: Next) {
        if let Some(token) = self.token.take() {
            // There are fewer connections than messages may wait, and each has one at most. A loop that has
            // ended needs no answer.
            let _ = self.sender.send(Answer { token, bytes, next });
        }
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        self.send(refusal(Status::INTERNAL_ERROR), Next::Failed);
    }
}

/// How a request is answered.
enum Route {
    Fixed(Status, ContentType, &'static str),
    Report(StateReport),
    List(PeerQuery),
}

/// A response that needs the state of the loop, and one inquiry.
enum StateReport {
    Readiness,
    Metrics,
    Loop,
    Peer(PeerKey),
}

impl Route {
    fn of(request: &RequestHead<'_>) -> Self {
        match request.path {
            "/" => Self::Fixed(Status::OK, ContentType::Html, include_str!("page.html")),
            "/healthz" => Self::Fixed(Status::OK, ContentType::Text, "ok\n"),
            "/readyz" => Self::Report(StateReport::Readiness),
            "/metrics" => Self::Report(StateReport::Metrics),
            "/loop" => Self::Report(StateReport::Loop),
            "/connections" => match PeerQuery::parse(request.query) {
                Ok(query) => Self::List(query),
                Err(message) => Self::Fixed(Status::BAD_REQUEST, ContentType::Text, message),
            },
            path => match path.strip_prefix("/connections/").and_then(PeerKey::parse) {
                Some(key) => Self::Report(StateReport::Peer(key)),
                None => Self::Fixed(Status::NOT_FOUND, ContentType::Text, PATHS),
            },
        }
    }
}

impl StateReport {
    fn response(&self, view: &dyn LoopView, form: Form) -> Vec<u8> {
        let json = |text: String| response(Status::OK, ContentType::Json, text.as_bytes(), form);
        match self {
            Self::Readiness => {
                let stage = view.stage();
                let status = if stage == Stage::Running { Status::OK } else { Status::UNAVAILABLE };
                response(status, ContentType::Text, format!("{}\n", stage.name()).as_bytes(), form)
            }
            Self::Metrics => response(Status::OK, ContentType::Metrics, metrics::render(view).as_bytes(), form),
            Self::Loop => json(loop_report::render(view)),
            Self::Peer(key) => match connections::render_one(view, *key) {
                Some(text) => json(text),
                None => response(Status::NOT_FOUND, ContentType::Text, b"no such connection\n", form),
            },
        }
    }
}

impl AdminService {
    pub(super) fn new(inspector: Inspector, sender: Sender<Answer>) -> Self {
        Self { inspector, sender, listings: HashMap::new(), clients: Clients::default() }
    }

    /// Sends an inquiry. Its result comes as a message.
    fn inspect(&self, token: ReplyToken, answer: impl FnOnce(&dyn LoopView) -> (Vec<u8>, Next) + Send + 'static) {
        let mut pending = PendingAnswer { sender: self.sender.clone(), token: Some(token) };
        // If it cannot be sent, because far too many wait already, it is dropped. That answers the client.
        let _ = self.inspector.inspect(move |view| {
            let (bytes, next) = answer(view);
            pending.send(bytes, next);
        });
    }

    fn send(token: ReplyToken, bytes: &[u8], next: &Next, orders: &mut Orders<'_, Self>) {
        let sent = match next {
            Next::Request | Next::Close | Next::Failed => orders.answer(token, &[bytes]),
            Next::Slice(_) if bytes.is_empty() => Ok(()),
            Next::Slice(_) => orders.send_to(token.key(), &[bytes]),
        };
        match next {
            _ if sent.is_err() => orders.close(token.key()),
            Next::Request => {}
            Next::Close | Next::Failed => orders.finish(token.key()),
            Next::Slice(_) => orders.notify_writable(token.key()),
        }
    }

    fn inspect_slice(&self, mut listing: Box<Listing>, token: ReplyToken) {
        self.inspect(token, move |view| {
            let bytes = listing.next_slice(view);
            (bytes, if listing.is_done() { Next::after(listing.form()) } else { Next::Slice(listing) })
        });
    }
}

impl Service for AdminService {
    type Codec = HttpCodec;
    type Peer = ();
    type Message = Answer;

    fn on_open(&mut self, (): &mut (), _: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        if let Some(replaced) = self.clients.add(cx.key()) {
            cx.orders().close(replaced);
        }
    }

    fn on_frame(&mut self, (): &mut (), request: Result<RequestHead<'_>, Status>, cx: &mut Context<'_, Self>) {
        let request = match request {
            Ok(request) => request,
            Err(status) => {
                cx.send(&refusal(status));
                return cx.finish();
            }
        };
        let form = request.form;
        match Route::of(&request) {
            Route::Fixed(status, content_type, text) => {
                cx.send(&response(status, content_type, text.as_bytes(), form));
                if !form.keeps_alive {
                    cx.finish();
                }
                self.clients.handle_answer(cx.key());
            }
            Route::List(query) => {
                let token = cx.defer_reply();
                self.clients.handle_request(token.key());
                self.listings.insert(token.key(), None);
                self.inspect_slice(Box::new(Listing::new(query, form)), token);
            }
            Route::Report(report) => {
                let token = cx.defer_reply();
                self.clients.handle_request(token.key());
                self.inspect(token, move |view| (report.response(view, form), Next::after(form)));
            }
        }
    }

    fn on_message(&mut self, Answer { token, bytes, next }: Answer, orders: &mut Orders<'_, Self>) {
        if matches!(next, Next::Failed) && self.listings.contains_key(&token.key()) {
            // A part of the list may be sent already, and a reset shows that it is not complete.
            return orders.close(token.key());
        }
        Self::send(token, &bytes, &next, orders);
        match next {
            Next::Request | Next::Close | Next::Failed => {
                self.listings.remove(&token.key());
                self.clients.handle_answer(token.key());
            }
            // Without a place, the client has gone.
            Next::Slice(listing) => {
                if let Some(place) = self.listings.get_mut(&token.key()) {
                    *place = Some((token, listing));
                }
            }
        }
    }

    fn on_writable(&mut self, (): &mut (), cx: &mut Context<'_, Self>) {
        if let Some((token, listing)) = self.listings.get_mut(&cx.key()).and_then(Option::take) {
            self.inspect_slice(listing, token);
        }
    }

    fn on_close(&mut self, (): (), key: Key, _: CloseReason, _: &mut Orders<'_, Self>) {
        self.listings.remove(&key);
        self.clients.remove(key);
    }
}
