//! The list of very many connections, in a simulated network: no turn takes long while it is read.

use std::time::Duration;

use readyloop::event_loop::EventLoop;
use readyloop::service::Echo;
use readyloop::sim::{SimPeer, World};
use readyloop::{Address, Lines, ServerLimits, admin};
use rustix::time::{ClockId, clock_gettime};

/// The CPU time that this thread has used.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs().try_into().expect("below a second"))
}

/// The turns until the network is quiet.
#[derive(Debug)]
pub(crate) struct Turns {
    count: usize,
    /// The CPU time of the shortest and of the longest one. Most of it is that of the simulated network.
    shortest: Duration,
    longest: Duration,
}

impl Turns {
    /// How much longer the longest turn took than the shortest one.
    pub(crate) fn delay(&self) -> Duration {
        self.longest - self.shortest
    }
}

/// Lists `count` open connections once. Returns the turns of the list.
pub(crate) fn list(count: usize) -> Turns {
    let world = World::new(1);
    let limits = ServerLimits { connections_max: count, ..ServerLimits::default() };
    let mut event_loop = EventLoop::new(world.net(), limits);
    event_loop.listen("127.0.0.1:7", Lines::new(), Echo::new()).expect("a simulated address is free");
    let admin_at = admin::listen(&mut event_loop, "127.0.0.1:9").expect("a simulated address is free");
    // `is_counted` returns after a turn whether it counts.
    let mut settle = |is_counted: &mut dyn FnMut() -> bool| {
        let mut turns = Turns { count: 0, shortest: Duration::MAX, longest: Duration::ZERO };
        let settled = world.settle(|| {
            let before = cpu();
            let turned = event_loop.turn(None);
            let took = cpu() - before;
            if is_counted() {
                turns.shortest = turns.shortest.min(took);
                turns.longest = turns.longest.max(took);
                turns.count += 1;
            }
            turned
        });
        settled.expect("the poll does not fail");
        turns
    };
    let address: Address = "127.0.0.1:7".parse().expect("it is an address");
    let mut peers: Vec<SimPeer> = Vec::new();
    while peers.len() < count {
        peers.extend((0..100.min(count - peers.len())).map(|_| world.connect(&address)));
        settle(&mut || false);
    }
    let administrator = world.connect(&admin_at);
    administrator.send(b"GET /connections HTTP/1.0\r\n\r\n");
    let mut response = Vec::new();
    // The peer's memory is taken after each turn, because moving it when it grows takes long. In the turns after the
    // list, the simulated network moves all peers twice.
    let turns = settle(&mut || {
        response.extend(administrator.received());
        !response.ends_with(b"}\n")
    });
    let response = String::from_utf8(response).expect("it is JSON");
    assert!(response.contains(&format!("\"listed\":{count}")), "{}", &response[..response.len().min(500)]);
    println!("{count} connections: {turns:?}");
    turns
}

#[test]
fn a_list_is_read_in_slices() {
    let turns = list(2_000);
    assert!(turns.count >= 2_000 / 128, "{turns:?}");
}
