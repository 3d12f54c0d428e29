//! Limits of peers that need the time of a whole loop: the lifetime and the rate.

use std::net::SocketAddr;
use std::num::NonZero;

use super::*;
use crate::admission::Listen;
use crate::connection::Limits;

const PEERS: usize = 200;

fn listen_with(world: &World, limits: Limits) -> (SimLoop, Recorder, Address) {
    let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
    let (recorder, address): (_, Address) = (Recorder::default(), "127.0.0.1:7".parse().unwrap());
    let listen = Listen { limits, ..Listen::from(address.clone()) };
    event_loop.listen(listen, Lines::new(), recorder.clone()).unwrap();
    (event_loop, recorder, address)
}

#[test]
fn connections_that_opened_together_leave_one_by_one_in_the_last_tenth_of_their_lifetime() {
    let world = World::new(1);
    let endless = Limits { idle_timeout: Duration::MAX, ..Limits::default() };
    let (mut event_loop, recorder, at) = listen_with(&world, Limits { max_lifetime: 1000 * SECOND, ..endless });
    let peers: Vec<SimPeer> = (0..PEERS).map(|_| world.connect(&at)).collect();
    settle(&world, &mut event_loop);
    recorder.take();

    let turns = event_loop.totals().turns;
    advance(&world, 900 * SECOND, &mut event_loop);
    let woken = event_loop.totals().turns - turns;
    assert!(woken <= 3, "{woken} turns although no lifetime is over");
    let mut open = event_loop.totals().open;
    assert_eq!(open, PEERS as u64);
    for _ in 0..10 {
        advance(&world, 10 * SECOND + Duration::from_millis(20), &mut event_loop);
        let left = open - event_loop.totals().open;
        assert!(left < PEERS as u64 / 4, "{left} leave within 10 seconds");
        open -= left;
    }
    assert_eq!(open, 0);
    assert!(peers.iter().all(|peer| peer.is_ended() && !peer.is_broken()), "they are finished, not cut");
    assert_eq!(recorder.take(), ["close max-lifetime"; PEERS]);
}

#[test]
fn a_peer_that_always_sends_is_finished_soon_after_its_lifetime() {
    let world = World::new(1);
    let (mut event_loop, recorder, at) = listen_with(&world, Limits { max_lifetime: 10 * SECOND, ..Limits::default() });
    let behavior = Behavior { write_len_max: 1, pause_max: SECOND / 4, ..Behavior::default() };
    let peer = world.connect_as(&at, SocketAddr::from(([10, 0, 0, 1], 1)), behavior);
    peer.send(&[b'x'; 1000]);
    advance(&world, 19 * SECOND, &mut event_loop);
    assert_eq!(event_loop.totals().open, 1, "a frame has begun");
    advance(&world, 2 * SECOND, &mut event_loop);
    assert!(peer.is_ended(), "it is finished");
    advance(&world, 5 * SECOND, &mut event_loop);
    assert_eq!(recorder.take().last().unwrap(), "close max-lifetime");
}

#[test]
fn a_trickle_is_too_slow_in_both_directions_and_silence_is_not() {
    let world = World::new(1).with_kernel_buffer(4096);
    let limits = Limits {
        min_rate: NonZero::new(100),
        write_timeout: 5 * SECOND,
        frame_timeout: 3600 * SECOND,
        idle_timeout: 3600 * SECOND,
        ..Limits::default()
    };
    let (mut event_loop, recorder, at) = listen_with(&world, limits);
    let connect = |number, behavior| world.connect_as(&at, SocketAddr::from(([10, 0, 0, 1], number)), behavior);
    let reader = connect(1, Behavior { read_len_max: 8, pause_max: SECOND, ..Behavior::default() });
    let writer = connect(2, Behavior { write_len_max: 8, pause_max: SECOND, ..Behavior::default() });
    let silent = connect(3, Behavior::default());
    let steady =
        connect(4, Behavior { write_len_max: 400, read_len_max: 400, pause_max: SECOND, ..Behavior::default() });
    let line = [[b'x'; 9_999].as_slice(), b"\n"].concat();
    [&reader, &writer, &steady].into_iter().for_each(|peer| peer.send(&line));
    silent.send(b"hello\n");
    advance(&world, 60 * SECOND, &mut event_loop);
    advance(&world, 60 * SECOND, &mut event_loop);
    assert_eq!((reader.is_broken(), writer.is_ended(), writer.is_broken()), (true, true, false));
    assert_eq!((silent.received(), steady.received().len()), (b"hello\n".to_vec(), line.len()));
    assert_eq!(event_loop.totals().open, 2);
    let closes: Vec<String> = recorder.take().into_iter().filter(|event| event.starts_with("close")).collect();
    assert_eq!(closes, ["close too-slow", "close too-slow"]);
}
