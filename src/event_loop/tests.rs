//! Tests of the loop in the simulated world: the order of a turn, the stages of a shutdown, its endpoints.

mod ending;
mod faulty;
mod handing_over;
mod inspecting;
mod limits;
mod runtime_limits;
mod services;
mod sources;
mod turn;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::codec::Lines;
use crate::connection::CloseReason;
use crate::destination::Destination;
use crate::net::Address;
use crate::service::{ConnectFailure, Context, Orders, PeerInfo, Service};
use crate::sim::{Behavior, PeerEnding, SimNet, SimPeer, World};
use crate::slab::Key;

/// Logs its callbacks, and answers each line. Some lines are commands.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn record(&self, event: impl Into<String>) {
        self.0.lock().unwrap().push(event.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Service for Recorder {
    type Codec = Lines;
    /// The name of a connection that was ordered.
    type Peer = String;
    type Message = &'static str;

    fn on_open(&mut self, peer: &mut String, info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        self.record(format!("open {peer}{info}"));
        if !peer.is_empty() {
            cx.send(peer.as_bytes());
        }
    }

    fn on_connect_failed(&mut self, failure: ConnectFailure<String>, _: &mut Orders<'_, Self>) {
        self.record(format!("failed {}{}", failure.peer, failure.to));
    }

    fn on_frame(&mut self, _: &mut String, line: &[u8], cx: &mut Context<'_, Self>) {
        self.record(format!("line {}", String::from_utf8_lossy(line)));
        if line == b"later" {
            let at = cx.now() + SECOND;
            cx.start_timer(at);
        }
        cx.send(line);
    }

    fn on_timer(&mut self, _: &mut String, _: &mut Context<'_, Self>) {
        self.record("timer");
    }

    fn on_message(&mut self, message: &'static str, _: &mut Orders<'_, Self>) {
        self.record(format!("message {message}"));
    }

    fn on_drain(&mut self, _: &mut Orders<'_, Self>) {
        self.record("drain");
    }

    fn on_close(&mut self, _: String, _: Key, reason: CloseReason, _: &mut Orders<'_, Self>) {
        self.record(format!("close {reason}"));
    }
}

type SimLoop = EventLoop<SimNet>;

const SECOND: Duration = Duration::from_secs(1);

/// A loop with one endpoint at each of these ports, each with the same recorder.
fn listen_at<const N: usize>(world: &World, ports: [u16; N]) -> (SimLoop, Recorder, [Address; N]) {
    listen_with(world, ServerLimits::default(), ports)
}

fn listen_with<const N: usize>(
    world: &World,
    limits: ServerLimits,
    ports: [u16; N],
) -> (SimLoop, Recorder, [Address; N]) {
    let mut event_loop = EventLoop::new(world.net(), limits);
    let recorder = Recorder::default();
    let addresses = ports.map(|port| {
        let address = format!("127.0.0.1:{port}");
        event_loop.listen(&*address, Lines::new(), recorder.clone()).unwrap();
        address.parse().unwrap()
    });
    (event_loop, recorder, addresses)
}

#[track_caller]
fn settle(world: &World, event_loop: &mut SimLoop) {
    world.settle(|| event_loop.turn(None)).unwrap();
    assert_reconciled(event_loop);
}

#[track_caller]
fn advance(world: &World, span: Duration, event_loop: &mut SimLoop) {
    world.advance(span, || event_loop.turn(None)).unwrap();
    assert_reconciled(event_loop);
}

/// Lets time pass without a turn.
fn stall(world: &World, span: Duration) {
    world.advance(span, || Ok::<_, Infallible>(())).unwrap();
}

/// Checks the totals, and that they agree with the peers.
#[track_caller]
fn assert_reconciled(event_loop: &SimLoop) {
    let (totals, snapshot) = (event_loop.totals(), event_loop.snapshot());
    assert!(totals.reconciles(), "{totals:?}");
    let peers = || snapshot.endpoints.iter().flat_map(|endpoint| &endpoint.peers);
    assert_eq!(totals.bytes_stored, peers().map(|peer| peer.input_len as u64).sum::<u64>(), "bytes stored");
    assert_eq!(totals.bytes_waiting, peers().map(|peer| peer.output_len as u64).sum::<u64>(), "bytes waiting");
}

fn destination(port: u16) -> (Destination, Address) {
    let address = ([192, 0, 2, 1], port).into();
    (Destination::Tcp(address), address.into())
}

#[test]
fn an_address_that_cannot_be_used_has_an_error_of_its_own() {
    let world = World::new(1);
    let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
    let mut listen = |text: &str| event_loop.listen(text, Lines::new(), Recorder::default()).map(|_| ());
    assert!(matches!(listen("localhost"), Err(ListenError::BadAddress(_))));
    assert!(matches!(listen("udp://127.0.0.1:7"), Err(ListenError::WrongKind(_))));
    #[cfg(feature = "tls")]
    assert!(matches!(listen("tls://127.0.0.1:7"), Err(ListenError::NoCertificate(_))));
    assert!(listen("127.0.0.1:7").is_ok());
    let error = listen("127.0.0.1:7").unwrap_err();
    assert!(matches!(error, ListenError::InUse(..)), "{error:?}");
    assert_eq!(error.to_string(), "cannot listen on tcp://127.0.0.1:7: address in use");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn a_loop_has_at_most_255_endpoints() {
    let world = World::new(1);
    let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
    for _ in 0..255 {
        event_loop.dial(Dial::default(), Lines::new(), Recorder::default()).unwrap();
    }
    let error = event_loop.dial(Dial::default(), Lines::new(), Recorder::default()).unwrap_err();
    assert!(matches!(error, ListenError::TooManyEndpoints));
}

#[test]
fn one_loop_listens_and_connects_and_gives_its_services_back() {
    let world = World::new(1);
    let (upstream, upstream_address) = destination(80);
    world.accept_connects_at(&upstream_address, Behavior { ending: PeerEnding::Stays, ..Behavior::default() });
    let (mut event_loop, recorder, [at]) = listen_at(&world, [7]);
    let outbound = event_loop.dial(Dial::default(), Lines::new(), Recorder::default()).unwrap();

    let peer = world.connect(&at);
    event_loop.connect(&outbound, upstream, None, "gateway ".to_owned());
    settle(&world, &mut event_loop);
    assert_eq!(recorder.take(), ["open 10.0.0.1:1024"]);
    assert_eq!(event_loop.service(&outbound).take(), ["open gateway 192.0.2.1:80"]);
    assert_eq!(world.last_peer().unwrap().received(), b"gateway \n");
    assert_eq!((event_loop.open(&outbound), event_loop.connecting(&outbound), event_loop.totals().open), (1, 0, 2));

    let key = event_loop.snapshot().endpoints[1].peers[0].key;
    assert_eq!(event_loop.call(&outbound, key, |_, peer, cx| cx.send(peer.as_bytes())), Some(()));
    settle(&world, &mut event_loop);
    assert_eq!(world.last_peer().unwrap().received(), b"gateway \n");
    assert_eq!(peer.received(), b"");

    event_loop.service_mut(&outbound).record("kept");
    assert_eq!(event_loop.into_service(outbound).take(), ["kept"]);
}

#[test]
fn a_service_can_hold_its_own_sender() {
    struct Offloading(crate::net::Sender<u8>);

    impl Service for Offloading {
        type Codec = Lines;
        type Peer = ();
        type Message = u8;

        fn on_frame(&mut self, (): &mut (), _: &[u8], _: &mut Context<'_, Self>) {
            let sender = self.0.clone();
            std::thread::spawn(move || sender.send(7)).join().unwrap().unwrap();
        }

        fn on_message(&mut self, message: u8, orders: &mut Orders<'_, Self>) {
            orders.send_to_others(&[&[b'0' + message]]).unwrap();
        }
    }

    let world = World::new(1);
    let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
    event_loop.listen_with("127.0.0.1:7", Lines::new(), Offloading).unwrap();
    let peer = world.connect(&"127.0.0.1:7".parse().unwrap());
    peer.send(b"work\n");
    settle(&world, &mut event_loop);
    assert_eq!(peer.received(), b"7\n");
}

#[test]
fn a_foreign_poll_may_sleep_exactly_until_the_next_deadline() {
    let world = World::new(1);
    let (mut event_loop, recorder, [at]) = listen_at(&world, [7]);
    assert_eq!(event_loop.timeout(), None);
    let peer = world.connect(&at);
    peer.send(b"later\n");
    settle(&world, &mut event_loop);
    assert_eq!(event_loop.timeout(), Some(SECOND));
    stall(&world, SECOND / 4);
    assert_eq!(event_loop.timeout(), Some(SECOND * 3 / 4));
    recorder.take();

    stall(&world, SECOND * 3 / 4 - Duration::from_nanos(1));
    let now = event_loop.now();
    event_loop.turn(Some(now)).unwrap();
    assert_eq!(recorder.take(), [""; 0], "the timer fires early");
    stall(&world, Duration::from_nanos(1));
    assert_eq!(event_loop.timeout(), Some(Duration::ZERO));
    let now = event_loop.now();
    event_loop.turn(Some(now)).unwrap();
    assert_eq!(recorder.take(), ["timer"]);
}

#[test]
fn control_events_can_be_left_to_the_program() {
    let world = World::new(1);
    let mut event_loop = EventLoop::new(world.net(), ServerLimits::default()).with_returned_control_events();
    event_loop.listen("127.0.0.1:7", Lines::new(), Recorder::default()).unwrap();
    world.notify(ControlEvent::Reload);
    event_loop.handle().drain();
    event_loop.turn(None).unwrap();
    assert_eq!(event_loop.poll_control_event(), Some(ControlEvent::Reload));
    assert_eq!(event_loop.poll_control_event(), Some(ControlEvent::Drain));
    assert_eq!(event_loop.poll_control_event(), None);
    assert!(!event_loop.is_done());
    event_loop.drain();
    event_loop.run().unwrap();
}
