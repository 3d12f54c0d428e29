//! [`Clients`]: the HTTP clients of an administration endpoint, and which one makes room for the next.

use crate::admission::ADMINISTRATION_MAX;
use crate::slab::Key;

/// All clients, ordered by their last request or answer.
///
/// One place stays free for the next client: when the last one is taken, another client is closed. So clients
/// that are silent or read slowly cannot keep others out.
#[derive(Default)]
pub(super) struct Clients {
    clients: Vec<HttpClient>,
}

#[derive(Clone, Copy)]
struct HttpClient {
    key: Key,
    /// Whether a request of this client is being answered.
    is_served: bool,
}

impl Clients {
    /// Adds a client. If it has taken the last place, returns the client that must be closed.
    pub(super) fn add(&mut self, key: Key) -> Option<Key> {
        let replaced = self.next_to_close();
        self.clients.push(HttpClient { key, is_served: false });
        replaced.filter(|_| self.clients.len() >= ADMINISTRATION_MAX)
    }

    /// Remembers that the request of a client is being answered.
    pub(super) fn handle_request(&mut self, key: Key) {
        self.move_to_back(key, true);
    }

    /// Remembers that a client has its answer, so that it waits for a request from this moment on.
    pub(super) fn handle_answer(&mut self, key: Key) {
        self.move_to_back(key, false);
    }

    pub(super) fn remove(&mut self, key: Key) {
        self.clients.retain(|client| client.key != key);
    }

    fn move_to_back(&mut self, key: Key, is_served: bool) {
        if let Some(index) = self.clients.iter().position(|client| client.key == key) {
            self.clients.remove(index);
            self.clients.push(HttpClient { key, is_served });
        }
    }

    /// The client that has waited longest without a request, or else the one with the oldest request.
    fn next_to_close(&self) -> Option<Key> {
        let waiting = self.clients.iter().find(|client| !client.is_served);
        waiting.or(self.clients.first()).map(|client| client.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(are_served: &[bool], expected: Option<u64>) {
        let client =
            |(number, is_served): (u64, &bool)| HttpClient { key: Key::from_bits(number), is_served: *is_served };
        let clients = Clients { clients: (1..).zip(are_served).map(client).collect() };
        assert_eq!(clients.next_to_close(), expected.map(Key::from_bits));
    }

    #[test]
    fn a_client_without_a_request_is_closed_before_one_that_reads_slowly() {
        check(&[], None);
        check(&[true, false, false], Some(2));
        check(&[true, true], Some(1));
    }
}
