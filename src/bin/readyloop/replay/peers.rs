//! The table of connections at one turn.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use readyloop::event_loop::{LoopView, PeerCursor, PeerView};
use readyloop::instant::Instant;

use crate::units::print_duration;

const HEADER: [&str; 10] =
    ["endpoint", "key", "address", "stage", "input", "output", "read", "write", "paused by", "idle"];

/// A line for each connection, in the state of this turn.
pub(super) fn table(view: &dyn LoopView) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(HEADER);
    let mut cursor = Some(PeerCursor::default());
    while let Some(from) = cursor {
        cursor = view.peers(from, &mut |peer| {
            table.add_row(row(&peer, view.now()));
        });
    }
    if table.is_empty() { "no connection\n".to_owned() } else { format!("{}\n", table.trim_fmt()) }
}

fn row(PeerView { endpoint, peer }: &PeerView, now: Instant) -> [String; HEADER.len()] {
    [
        endpoint.to_string(),
        peer.key.to_string(),
        peer.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
        peer.stage.name().to_owned(),
        peer.input_len.to_string(),
        peer.output_len.to_string(),
        peer.halves.read().name().to_owned(),
        peer.halves.write().name().to_owned(),
        peer.read_pause.name().unwrap_or("-").to_owned(),
        print_duration(now.since(peer.last_activity)),
    ]
}
