//! The service: it carries out the commands.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use readyloop::offload::{JobPanicked, Offload};
use readyloop::service::{OutboxFull, ReplyToken, Topics};
use readyloop::{CloseReason, Context, Key, Orders, Sender, Service};

use super::resp::{Reply, Resp};
use super::store::{Expiry, Store, StoreFull};

/// Most memory for keys and values.
const STORE_BYTES_MAX: usize = 256 << 20;

/// Most topics of one subscriber.
const TOPICS_MAX: NonZero<usize> = NonZero::new(1024).unwrap();

/// A subscriber that was sent this much is skipped until its queue is low again.
const SUBSCRIBER_BYTES: usize = 64 << 10;

/// Most rounds of one digest.
const ROUNDS_MAX: u64 = 1_000_000_000;

/// The store and its subscribers.
pub(crate) struct Kv {
    pub(crate) store: Store,
    topics: Topics<Arc<[u8]>>,
    /// The bytes that each subscriber was sent since its queue was low.
    sent: HashMap<Key, usize>,
    offload: Offload,
    sender: Sender<Message>,
}

/// What the service sends to itself.
#[derive(Debug)]
pub(crate) enum Message {
    /// The requests of a snapshot.
    Load(Vec<Vec<Vec<u8>>>),
    /// The time of a key is over.
    Expire(Vec<u8>),
    /// A digest is computed.
    Digest(ReplyToken, Result<u64, JobPanicked>),
}

impl Kv {
    pub(crate) fn new(sender: Sender<Message>, offload: Offload, snapshot: Vec<Vec<Vec<u8>>>) -> Self {
        // The message arrives in the first turn, before any request.
        sender.send(Message::Load(snapshot)).expect("no other message is waiting");
        let store = Store::new(STORE_BYTES_MAX);
        Self { store, topics: Topics::new(TOPICS_MAX), sent: HashMap::new(), offload, sender }
    }

    fn store_value(&mut self, key: &[u8], value: &[u8], orders: &mut Orders<'_, Self>) -> Reply {
        match self.store.insert(key, value) {
            Ok(old) => {
                if let Some(Expiry { timer, .. }) = old {
                    orders.cancel_timer(timer);
                }
                Reply::text("OK")
            }
            Err(StoreFull) => Reply::error("OOM the store is full"),
        }
    }

    fn store_for(&mut self, key: &[u8], value: &[u8], lifetime: Duration, orders: &mut Orders<'_, Self>) -> Reply {
        let reply = self.store_value(key, value, orders);
        self.expire(key, lifetime, orders);
        reply
    }

    /// Sets or moves the timer that removes a key. Returns the number of keys that are there.
    fn expire(&mut self, key: &[u8], lifetime: Duration, orders: &mut Orders<'_, Self>) -> i64 {
        let Some(expiry) = self.store.expiry_mut(key) else { return 0 };
        let at = orders.now() + lifetime;
        let moved = expiry.filter(|old| orders.move_timer(old.timer, at));
        let timer = moved.map_or_else(|| orders.send_later(at, Message::Expire(key.to_vec())), |old| old.timer);
        *expiry = Some(Expiry { at, timer });
        1
    }

    fn delete(&mut self, keys: &[&[u8]], orders: &mut Orders<'_, Self>) -> i64 {
        let mut deleted = 0;
        for expiry in keys.iter().filter_map(|key| self.store.remove(key)) {
            deleted += 1;
            if let Some(Expiry { timer, .. }) = expiry {
                orders.cancel_timer(timer);
            }
        }
        deleted
    }

    fn subscribe(&mut self, topics: &[&[u8]], key: Key) -> Reply {
        let mut replies = Reply::default();
        for topic in topics {
            if let Err(error) = self.topics.subscribe(key, Arc::from(*topic)) {
                return replies.and(&Reply::error(&format!("ERR {error}")));
            }
            self.sent.entry(key).or_default();
            replies = replies.and(&self.subscription(b"subscribe", topic, key));
        }
        replies
    }

    fn unsubscribe(&mut self, topics: &[&[u8]], key: Key) -> Reply {
        let mut replies = Reply::default();
        for topic in topics {
            self.topics.unsubscribe(key, *topic);
            replies = replies.and(&self.subscription(b"unsubscribe", topic, key));
        }
        replies
    }

    /// A change of the topics of a peer, with their number.
    fn subscription(&self, change: &[u8], topic: &[u8], key: Key) -> Reply {
        let topics = self.topics.topics_of(key).len();
        Reply::array(3).bulk(change).bulk(topic).number(i64::try_from(topics).unwrap_or(i64::MAX))
    }

    /// Sends a message to all subscribers of a topic except the slow ones.
    fn publish(&mut self, topic: &[u8], message: &[u8], orders: &mut Orders<'_, Self>) -> Result<Reply, OutboxFull> {
        let frame = Reply::array(3).bulk(b"message").bulk(topic).bulk(message);
        let (mut receivers, mut filled) = (Vec::new(), Vec::new());
        for key in self.topics.members(topic) {
            let sent = self.sent.entry(key).or_default();
            if *sent < SUBSCRIBER_BYTES {
                *sent += frame.as_bytes().len();
                receivers.push(key);
                if *sent >= SUBSCRIBER_BYTES {
                    filled.push(key);
                }
            }
        }
        let count = i64::try_from(receivers.len()).unwrap_or(i64::MAX);
        orders.send_to_each(receivers, &[frame.as_bytes()])?;
        // `on_writable` follows when the queue is low.
        filled.into_iter().for_each(|key| orders.notify_writable(key));
        Ok(Reply::default().number(count))
    }

    /// Computes a digest on another thread. The peer gets its next reply only after this one.
    fn digest(&mut self, key: &[u8], rounds: u64, cx: &mut Context<'_, Self>) {
        let value = self.store.get(key).unwrap_or_default().to_vec();
        let token = cx.defer_reply();
        let work = move || digest(&value, rounds);
        let submitted = self.offload.submit(&self.sender, work, move |digest| Message::Digest(token, digest));
        if let Err(full) = submitted {
            answer(&mut cx.orders(), token, &Reply::error(&format!("BUSY {full}")));
        }
    }
}

/// FNV-1a over the value, again and again.
fn digest(value: &[u8], rounds: u64) -> u64 {
    (0..rounds).fold(0xcbf2_9ce4_8422_2325, |digest, _| {
        value.iter().fold(digest, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
    })
}

fn answer(orders: &mut Orders<'_, Kv>, token: ReplyToken, reply: &Reply) {
    orders.answer(token, &[reply.as_bytes()]).expect("one short reply is within the bound of a callback");
}

fn parse(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// The reply to a request with a number that is not one.
const NOT_A_NUMBER: &str = "ERR value is not an integer or out of range";

impl Service for Kv {
    type Codec = Resp;
    type Peer = ();
    type Message = Message;

    fn on_frame(&mut self, _peer: &mut (), request: Vec<&[u8]>, cx: &mut Context<'_, Self>) {
        let Some((name, arguments)) = request.split_first() else { return };
        let key = cx.key();
        let reply = match (&name.to_ascii_uppercase()[..], arguments) {
            (b"PING", []) => Reply::text("PONG"),
            (b"PING", [text]) => Reply::default().bulk(text),
            (b"GET", [key]) => match self.store.get(key) {
                Some(value) => Reply::default().bulk(value),
                None => Reply::default().nothing(),
            },
            (b"SET", [key, value]) => self.store_value(key, value, &mut cx.orders()),
            (b"SET", [key, value, unit, number]) => match (&unit.to_ascii_uppercase()[..], parse(number)) {
                (b"EX", Some(number)) => self.store_for(key, value, Duration::from_secs(number), &mut cx.orders()),
                (b"PX", Some(number)) => self.store_for(key, value, Duration::from_millis(number), &mut cx.orders()),
                _ => Reply::error(NOT_A_NUMBER),
            },
            (b"DEL", keys) => Reply::default().number(self.delete(keys, &mut cx.orders())),
            (b"EXPIRE", [key, seconds]) => match parse(seconds) {
                Some(seconds) => {
                    Reply::default().number(self.expire(key, Duration::from_secs(seconds), &mut cx.orders()))
                }
                None => Reply::error(NOT_A_NUMBER),
            },
            (b"TTL", [key]) => Reply::default().number(match self.store.time_left(key, cx.now()) {
                None => -2,
                Some(None) => -1,
                // Rounded up, so that a key that is there never has 0 seconds.
                Some(Some(left)) => i64::try_from(left.as_millis().div_ceil(1000)).unwrap_or(i64::MAX),
            }),
            (b"SUBSCRIBE", [_, ..]) => self.subscribe(arguments, key),
            (b"UNSUBSCRIBE", [_, ..]) => self.unsubscribe(arguments, key),
            (b"PUBLISH", [topic, message]) => {
                let published = self.publish(topic, message, &mut cx.orders());
                published.unwrap_or_else(|error| Reply::error(&format!("ERR {error}")))
            }
            (b"DIGEST", [key, rounds]) => match parse(rounds).filter(|rounds| *rounds <= ROUNDS_MAX) {
                Some(rounds) => return self.digest(key, rounds, cx),
                None => Reply::error(NOT_A_NUMBER),
            },
            (b"QUIT", []) => {
                cx.send(Reply::text("OK").as_bytes());
                return cx.finish();
            }
            _ => Reply::error("ERR unknown command, or a wrong number of arguments"),
        };
        cx.send(reply.as_bytes());
    }

    fn on_writable(&mut self, _peer: &mut (), cx: &mut Context<'_, Self>) {
        if let Some(sent) = self.sent.get_mut(&cx.key()) {
            *sent = 0;
        }
    }

    fn on_message(&mut self, message: Message, orders: &mut Orders<'_, Self>) {
        match message {
            Message::Load(requests) => {
                for request in &requests {
                    match &request[..] {
                        [_, key, value] => drop(self.store_value(key, value, orders)),
                        [_, key, value, _, millis] => {
                            let lifetime = Duration::from_millis(parse(millis).unwrap_or(0));
                            self.store_for(key, value, lifetime, orders);
                        }
                        _ => {}
                    }
                }
            }
            Message::Expire(key) => drop(self.store.remove(&key)),
            Message::Digest(token, Ok(digest)) => {
                answer(orders, token, &Reply::default().bulk(format!("{digest:016x}").as_bytes()));
            }
            Message::Digest(token, Err(error)) => answer(orders, token, &Reply::error(&format!("ERR {error}"))),
        }
    }

    fn on_close(&mut self, _peer: (), key: Key, _reason: CloseReason, _orders: &mut Orders<'_, Self>) {
        self.topics.remove(key);
        self.sent.remove(&key);
    }
}
