//! Lists of peers as JSON: which ones a request asks for, and their state in slices.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec;

use serde::Serialize;

use crate::connection::{CloseReason, Deadline};
use crate::event_loop::{LoopView, PeerCursor, PeerSnapshot, PeerView, Transition};
use crate::instant::Instant;
use crate::slab::Key;

use super::http::{ContentType, Form, Status, head, last_part, part};

/// Most peers of a list that is sorted, because all of them are kept until the last peer is seen.
const SORTED_MAX: usize = 1_000;

/// Most sorted peers that one slice sends.
const SLICE: usize = 128;

const PARAMETERS: &str = "unknown parameter or value; the parameters are endpoint=NUMBER, address=PREFIX, \
                          paused=true|false, output_min=BYTES, sort=output|input|idle and limit=COUNT\n";

const REPEATED: &str = "a parameter is given twice; give each one once\n";

/// Identifies a peer of the whole loop; prints as `endpoint-slot.generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerKey {
    endpoint: usize,
    key: Key,
}

impl PeerKey {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (endpoint, key) = text.split_once('-')?;
        let (slot, generation) = key.split_once('.')?;
        let (slot, generation) = (slot.parse::<u32>().ok()?, generation.parse::<u32>().ok()?);
        let key = Key::from_bits(u64::from(slot) << 32 | u64::from(generation));
        Some(Self { endpoint: endpoint.parse().ok()?, key })
    }
}

/// Which peers are listed, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PeerQuery {
    endpoint: Option<usize>,
    address: Option<String>,
    is_paused: Option<bool>,
    output_min: usize,
    sort: Option<Sort>,
    limit: Option<usize>,
}

/// What a list is sorted by, the largest value first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Output,
    Input,
    Idle,
}

impl PeerQuery {
    /// Reads the parameters of a request.
    ///
    /// # Errors
    /// A parameter or its value is not known.
    pub(super) fn parse(query: &str) -> Result<Self, &'static str> {
        let mut parsed = Self::default();
        let mut names = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            parsed.add(parameter).ok_or(PARAMETERS)?;
            names.push(parameter.split('=').next());
        }
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(REPEATED);
        }
        Ok(parsed)
    }

    fn add(&mut self, parameter: &str) -> Option<()> {
        let (name, value) = parameter.split_once('=')?;
        match name {
            "endpoint" => self.endpoint = Some(value.parse().ok()?),
            "address" => self.address = Some(percent_decoded(value)?),
            "paused" => self.is_paused = Some(value.parse().ok()?),
            "output_min" => self.output_min = value.parse().ok()?,
            "limit" => self.limit = Some(value.parse().ok()?),
            "sort" => {
                self.sort = Some(match value {
                    "output" => Sort::Output,
                    "input" => Sort::Input,
                    "idle" => Sort::Idle,
                    _ => return None,
                });
            }
            _ => return None,
        }
        Some(())
    }

    fn matches(&self, PeerView { endpoint, peer }: &PeerView) -> bool {
        self.endpoint.is_none_or(|wanted| wanted == *endpoint)
            && self.is_paused.is_none_or(|wanted| wanted == peer.is_paused)
            && self.output_min <= peer.output_len
            && self.address.as_ref().is_none_or(|prefix| {
                peer.address.is_some_and(|address| address.to_string().starts_with(prefix.as_str()))
            })
    }

    fn limit(&self) -> usize {
        let most = if self.sort.is_some() { SORTED_MAX } else { usize::MAX };
        self.limit.unwrap_or(most).min(most)
    }
}

impl Sort {
    fn value(self, peer: &PeerSnapshot, now: Instant) -> u64 {
        match self {
            Self::Output => peer.output_len as u64,
            Self::Input => peer.input_len as u64,
            Self::Idle => now.as_nanos().saturating_sub(peer.last_activity.as_nanos()),
        }
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

/// A list that is being read and sent, slice by slice.
pub(super) struct Listing {
    query: PeerQuery,
    form: Form,
    has_begun: bool,
    stage: Reading,
    /// The rows of a sorted list with the largest values so far, the smallest of them first.
    sorted: BinaryHeap<Reverse<(u64, String)>>,
    listed: usize,
    matched: usize,
}

enum Reading {
    /// From this peer on.
    Peers(PeerCursor),
    /// All peers are seen. These rows are not sent yet.
    Rows(vec::IntoIter<String>),
    Done,
}

impl Listing {
    pub(super) fn new(query: PeerQuery, form: Form) -> Self {
        Self {
            query,
            form,
            has_begun: false,
            stage: Reading::Peers(PeerCursor::default()),
            sorted: BinaryHeap::new(),
            listed: 0,
            matched: 0,
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Reading::Done)
    }

    /// Reads the next slice, and returns the next bytes of the response.
    pub(super) fn next_slice(&mut self, view: &dyn LoopView) -> Vec<u8> {
        let (mut response, mut body) = (Vec::new(), Vec::new());
        if !self.has_begun {
            self.has_begun = true;
            response = head(Status::OK, ContentType::Json, None, self.form);
            if self.form.is_head {
                self.stage = Reading::Done;
                return response;
            }
            body.extend_from_slice(b"{\"connections\":[");
        }
        self.stage = match std::mem::replace(&mut self.stage, Reading::Done) {
            Reading::Peers(cursor) => self.read_peers(cursor, view, &mut body),
            Reading::Rows(mut rows) => {
                rows.by_ref().take(SLICE).for_each(|row| self.push(&row, &mut body));
                if rows.len() > 0 { Reading::Rows(rows) } else { Reading::Done }
            }
            Reading::Done => Reading::Done,
        };
        if !self.is_done() {
            response.extend(part(&body, self.form));
            return response;
        }
        body.extend(format!("\n],\"listed\":{},\"matched\":{}}}\n", self.listed, self.matched).into_bytes());
        response.extend(part(&body, self.form));
        response.extend_from_slice(last_part(self.form));
        response
    }

    fn read_peers(&mut self, cursor: PeerCursor, view: &dyn LoopView, body: &mut Vec<u8>) -> Reading {
        let next = view.peers(cursor, &mut |peer| self.handle_peer(&peer, view, body));
        match next {
            Some(cursor) => Reading::Peers(cursor),
            None if self.sorted.is_empty() => Reading::Done,
            None => {
                let sorted = std::mem::take(&mut self.sorted).into_sorted_vec();
                Reading::Rows(sorted.into_iter().map(|Reverse((_, row))| row).collect::<Vec<_>>().into_iter())
            }
        }
    }

    fn handle_peer(&mut self, peer: &PeerView, view: &dyn LoopView, body: &mut Vec<u8>) {
        if !self.query.matches(peer) {
            return;
        }
        self.matched += 1;
        let limit = self.query.limit();
        let Some(sort) = self.query.sort else {
            if self.listed < limit {
                self.push(&row(peer.endpoint, &peer.peer, view), body);
            }
            return;
        };
        let value = sort.value(&peer.peer, view.now());
        if self.sorted.len() == limit {
            if self.sorted.peek().is_none_or(|Reverse((smallest, _))| value <= *smallest) {
                return;
            }
            self.sorted.pop();
        }
        self.sorted.push(Reverse((value, row(peer.endpoint, &peer.peer, view))));
    }

    fn push(&mut self, row: &str, body: &mut Vec<u8>) {
        body.extend_from_slice(if self.listed == 0 { b"\n" } else { b",\n" });
        body.extend_from_slice(row.as_bytes());
        self.listed += 1;
    }
}

/// The state of a peer.
#[derive(Serialize)]
struct Row<'a> {
    key: String,
    /// The address that its endpoint listens at.
    endpoint: Option<String>,
    address: Option<String>,
    /// The address of the proxy that announced it.
    proxy: Option<String>,
    state: &'a str,
    role: &'a str,
    read: &'a str,
    write: &'a str,
    /// Why its connection ends, once that is known.
    close_reason: Option<&'a str>,
    input_bytes: usize,
    output_bytes: usize,
    paused_by: Option<&'a str>,
    readable: bool,
    writable: bool,
    /// Whether it is to be served before the next sleep.
    marked: bool,
    idle_s: f64,
    deadline: Option<Due>,
}

#[derive(Serialize)]
struct Due {
    timeout: &'static str,
    in_s: f64,
}

fn row(endpoint: usize, peer: &PeerSnapshot, view: &dyn LoopView) -> String {
    let due = |timeout: Deadline| Due { timeout: timeout.name(), in_s: peer.deadline.since(view.now()).as_secs_f64() };
    let row = Row {
        key: format!("{endpoint}-{}", peer.key),
        endpoint: view.local_address(endpoint).map(ToString::to_string),
        address: peer.address.map(|address| address.to_string()),
        proxy: peer.proxy_address.map(|address| address.to_string()),
        state: peer.stage.name(),
        role: peer.role.name(),
        read: peer.halves.read().name(),
        write: peer.halves.write().name(),
        close_reason: peer.halves.reason().map(CloseReason::name),
        input_bytes: peer.input_len,
        output_bytes: peer.output_len,
        paused_by: peer.read_pause.name(),
        readable: peer.readable,
        writable: peer.writable,
        marked: peer.is_marked,
        idle_s: view.now().since(peer.last_activity).as_secs_f64(),
        deadline: peer.timeout.filter(|_| peer.deadline != Instant::NEVER).map(due),
    };
    // Numbers and texts always have a form in JSON.
    serde_json::to_string(&row).unwrap_or_default()
}

/// One peer with the limits that apply to it and its last transitions; `None` if it is gone.
pub(super) fn render_one(view: &dyn LoopView, PeerKey { endpoint, key }: PeerKey) -> Option<String> {
    let (peer, limits) = (view.peer(endpoint, key)?, view.limits(endpoint)?);
    let limits = serde_json::json!({
        "queue_low": limits.queue.low(),
        "queue_high": limits.queue.high(),
        "queue_len_max": limits.queue_len_max(peer.role),
        "frame_len_max": limits.frame_len_max,
    });
    let transition = |Transition { at, change }: Transition| serde_json::json!({ "ago_s": view.now().since(at).as_secs_f64(), "change": change.to_string() });
    let transitions: serde_json::Value = view.transitions(endpoint, key).into_iter().map(transition).collect();
    let row = row(endpoint, &peer, view);
    Some(format!("{{\"connection\":{row},\"limits\":{limits},\"transitions\":{transitions}}}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_unknown_ones_are_refused() {
        let parse = |text: &str| PeerQuery::parse(text).ok();
        assert_eq!(parse(""), Some(PeerQuery::default()));
        let all = parse("endpoint=1&address=%5B%3A%3A1]&paused=true&output_min=5&sort=idle&limit=7").unwrap();
        assert_eq!((all.endpoint, all.address.as_deref(), all.is_paused), (Some(1), Some("[::1]"), Some(true)));
        assert_eq!((all.output_min, all.sort, all.limit()), (5, Some(Sort::Idle), 7));
        assert_eq!(parse("sort=output&limit=100000").unwrap().limit(), SORTED_MAX);
        assert_eq!(parse("limit=100000").unwrap().limit(), 100_000);
        assert_eq!(PeerQuery::parse("limit=1&sort=idle&limit=2"), Err(REPEATED));
        for text in ["x=1", "limit", "limit=-1", "limit=99999999999999999999", "address=%", "address=%é", "sort="] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_read_as_it_is_printed() {
        let parsed = PeerKey::parse("2-70000.4294967295").unwrap();
        assert_eq!(format!("{}-{}", parsed.endpoint, parsed.key), "2-70000.4294967295");
        for text in ["", "1", "1-2", "1-2.x", "-1-2.3", "1-4294967296.1"] {
            assert_eq!(PeerKey::parse(text), None, "{text}");
        }
    }
}
