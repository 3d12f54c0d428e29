//! Connecting in the simulated world, without real waiting. The name lookup is the real one.

use super::*;
use crate::sim::{Behavior, SimNet, World};

const MILLISECOND: Duration = Duration::from_millis(1);

fn v6() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80))
}

fn v4() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 80))
}

fn try_connect(world: &World, connect: &Connect, to: &[Destination]) -> Result<(Destination, u32), ConnectError> {
    let mut net: SimNet = world.net();
    let deadline = net.now() + connect.timeout;
    connect.connect_with_retries(&mut net, to, deadline).map(|(_, to, retries)| (to, retries))
}

fn both() -> [Destination; 2] {
    [Destination::Tcp(v6()), Destination::Tcp(v4())]
}

fn world() -> World {
    World::new(1).with_free_clock()
}

#[test]
fn a_refused_address_is_skipped_at_once_and_a_silent_one_after_its_head_start() {
    let world = world();
    world.accept_connects_at(&v4().into(), Behavior::default());
    assert_eq!(try_connect(&world, &Connect::default(), &both()).unwrap(), (Destination::Tcp(v4()), 0));
    assert!(world.now() < Instant::ORIGIN + 10 * MILLISECOND, "{:?}", world.now());

    world.ignore_connects_at(&v6().into());
    let before = world.now();
    assert_eq!(try_connect(&world, &Connect::default(), &both()).unwrap(), (Destination::Tcp(v4()), 0));
    let took = world.now().since(before);
    assert!((250 * MILLISECOND..260 * MILLISECOND).contains(&took), "{took:?}");
}

#[test]
fn silent_addresses_time_out_at_the_deadline() {
    let world = world();
    world.ignore_connects_at(&v6().into());
    let error = try_connect(&world, &Connect { retries: 9, ..Connect::default() }, &both()).unwrap_err();
    let ConnectError::TimedOut { after, failures } = error else { panic!("{error}") };
    assert_eq!(after, Duration::from_secs(5));
    assert_eq!(failures.iter().map(|(to, _)| to).collect::<Vec<_>>(), [&both()[1]]);
    assert!(world.now() >= Instant::ORIGIN + Duration::from_secs(5));
}

#[test]
fn refused_attempts_are_retried_as_often_as_allowed() {
    let world = world();
    let error = try_connect(&world, &Connect { retries: 3, ..Connect::default() }, &both()).unwrap_err();
    let ConnectError::Failed { retries: 3, failures } = error else { panic!("{error}") };
    assert_eq!(failures.len(), 2);
    // At least half of 100, 200 and 400 ms.
    assert!(world.now() >= Instant::ORIGIN + 350 * MILLISECOND);
}

#[test]
fn no_retry_starts_after_the_deadline() {
    let world = world();
    let connect = Connect { retries: u32::MAX, timeout: Duration::from_secs(2), ..Connect::default() };
    let error = try_connect(&world, &connect, &both()).unwrap_err();
    assert!(matches!(error, ConnectError::Failed { retries: 3..10, .. }), "{error}");
    assert!(world.now() < Instant::ORIGIN + Duration::from_secs(2));
}

#[test]
fn a_permanent_error_is_not_retried() {
    let world = world().with_descriptors(0);
    let error = try_connect(&world, &Connect { retries: 3, ..Connect::default() }, &both()).unwrap_err();
    assert!(matches!(error, ConnectError::Failed { retries: 0, .. }), "{error}");
}

#[test]
fn a_full_unix_backlog_is_retried_until_the_deadline() {
    let world = world();
    let to = Destination::Unix("/run/a.sock".into());
    world.fill_backlog_at(&Address::Unix("/run/a.sock".into()));
    let error = try_connect(&world, &Connect::default(), std::slice::from_ref(&to)).unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    world.accept_connects_at(&Address::Unix("/run/a.sock".into()), Behavior::default());
    assert_eq!(try_connect(&world, &Connect::default(), std::slice::from_ref(&to)).unwrap(), (to, 0));
}

#[test]
fn ip_addresses_and_paths_need_no_lookup() {
    let resolved = |text: &str| resolve(&text.parse().unwrap(), Duration::ZERO).unwrap();
    assert_eq!(resolved("[::1]:80"), [Destination::Tcp(v6())]);
    assert_eq!(resolved("127.0.0.1:80"), [Destination::Tcp(v4())]);
    assert_eq!(resolved("unix:/run/a.sock"), [Destination::Unix("/run/a.sock".into())]);
}

#[test]
fn a_udp_address_cannot_be_connected() {
    let error = resolve(&"udp://127.0.0.1:80".parse().unwrap(), Duration::ZERO).unwrap_err();
    assert!(matches!(error, ConnectError::System(_)), "{error}");
}

#[test]
fn a_name_is_looked_up() {
    let localhost = "localhost:80".parse().unwrap();
    assert!(resolve(&localhost, Duration::from_secs(5)).unwrap().contains(&Destination::Tcp(v4())));
}
