//! `Names`: what the numbers and tokens of trace events stand for.

use std::collections::HashMap;

use super::ConnectionHeader;
use crate::event_loop::peer_token;
use crate::trace::{TraceEntry, TraceEvent};

/// A source that is registered under a token.
#[derive(Clone, Debug)]
enum Registered {
    Stream(usize),
    /// A listener or a socket, by its address.
    Other(String),
}

/// The connections, and what tokens and listeners stand for.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By the number of the stream.
    pub(super) connections: Vec<ConnectionHeader>,
    wires_by_peer: HashMap<usize, usize>,
    tokens: HashMap<u64, Registered>,
    /// The address of each listener.
    listeners: HashMap<usize, String>,
}

impl Names {
    /// Remembers what an entry says about names.
    pub(super) fn learn(&mut self, entry: &TraceEntry) {
        match entry {
            TraceEntry::Event(TraceEvent::PeerConnected { peer, wire }) => {
                self.wires_by_peer.insert(*peer, *wire);
                let header = self.header(*wire);
                (header.number, header.name) = (*peer, format!("peer {peer}"));
            }
            TraceEntry::Event(TraceEvent::Accepted { result: Ok(wire), .. }) => drop(self.header(*wire)),
            TraceEntry::Event(
                TraceEvent::Registered { wire, token, result: Ok(()) }
                | TraceEvent::ConnectStarted { token, result: Ok(wire) },
            ) => {
                self.header(*wire);
                self.tokens.insert(*token, Registered::Stream(*wire));
            }
            TraceEntry::Named { token, listener, address } => {
                self.tokens.insert(*token, Registered::Other(address.clone()));
                self.listeners.extend(listener.map(|listener| (listener, address.clone())));
            }
            TraceEntry::PeerCallback { endpoint, key, name: "on_open", detail } => {
                if let Some(wire) = self.wire_of_token(peer_token(*endpoint, *key).0) {
                    self.header(wire).address.clone_from(detail);
                }
            }
            TraceEntry::Event(_)
            | TraceEntry::Fault { .. }
            | TraceEntry::PeerCallback { .. }
            | TraceEntry::Service(_)
            | TraceEntry::Note(_) => {}
        }
    }

    /// The header of a stream, which is made if it is new.
    pub(super) fn header(&mut self, wire: usize) -> &mut ConnectionHeader {
        for number in self.connections.len()..=wire {
            let name = format!("connection {number}");
            self.connections.push(ConnectionHeader { number, name, ..ConnectionHeader::default() });
        }
        &mut self.connections[wire]
    }

    pub(super) fn wire(&self, wire: usize) -> String {
        self.connections.get(wire).map_or_else(|| format!("connection {wire}"), |header| header.name.clone())
    }

    pub(super) fn wire_of_peer(&self, peer: usize) -> Option<usize> {
        self.wires_by_peer.get(&peer).copied()
    }

    /// The stream that is or was registered under a token.
    pub(super) fn wire_of_token(&self, token: u64) -> Option<usize> {
        match self.tokens.get(&token)? {
            Registered::Stream(wire) => Some(*wire),
            Registered::Other(_) => None,
        }
    }

    pub(super) fn token(&self, token: u64) -> String {
        match self.tokens.get(&token) {
            Some(Registered::Stream(wire)) => self.wire(*wire),
            Some(Registered::Other(address)) => address.clone(),
            None => format!("an unknown token {token:#x}"),
        }
    }

    pub(super) fn listener(&self, listener: usize) -> &str {
        self.listeners.get(&listener).map_or("a listener", String::as_str)
    }
}
