//! The administration endpoint in the simulated world.

use std::time::Duration;

use super::*;
use crate::admission::{ADMINISTRATION_MAX, ServerLimits};
use crate::codec::Lines;
use crate::event_loop::Inspector;
use crate::service::Echo;
use crate::sim::{SimNet, SimPeer, World};

struct Scene {
    world: World,
    event_loop: EventLoop<SimNet>,
    at: Address,
    admin_at: Address,
}

impl Scene {
    fn new() -> Self {
        let world = World::new(1);
        let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
        event_loop.listen("127.0.0.1:7", Lines::new(), Echo::new()).unwrap();
        let admin_at = listen(&mut event_loop, "127.0.0.1:9").unwrap();
        Self { world, event_loop, at: "127.0.0.1:7".parse().unwrap(), admin_at }
    }

    fn settle(&mut self) {
        self.world.settle(|| self.event_loop.turn(None)).unwrap();
    }

    /// Sends bytes on a new connection. Returns it with what it has received.
    fn send(&mut self, bytes: &[u8]) -> (SimPeer, String) {
        let peer = self.world.connect(&self.admin_at);
        peer.send(bytes);
        self.settle();
        let received = String::from_utf8(peer.received()).unwrap();
        (peer, received)
    }

    /// The body of the response to a GET, without chunks.
    #[track_caller]
    fn get(&mut self, path: &str) -> String {
        let (_, response) = self.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
        let (head, body) = response.split_once("\r\n\r\n").expect("there is a response");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        body.to_owned()
    }

    #[track_caller]
    fn json_of(&mut self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.get(path)).unwrap()
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let mut scene = Scene::new();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (peer, responses) = scene.send(
        [get("/healthz"), get("/connections"), get("/loop"), get("/readyz"), get("/nothing")].concat().as_bytes(),
    );
    let order: Vec<_> = ["ok\n", "\"connections\":[", "\"uptime_s\"", "running\n", "404"]
        .into_iter()
        .map(|text| responses.find(text).unwrap_or_else(|| panic!("no {text} in {responses}")))
        .collect();
    assert!(order.is_sorted(), "{responses}");
    assert!(!peer.is_ended(), "the connection stays open");
    let (peer, response) = scene.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\nGET /");
    assert!(response.ends_with("\r\n\r\nok\n") && peer.is_ended(), "{response}");
}

#[test]
fn silent_clients_do_not_keep_others_out() {
    let mut scene = Scene::new();
    let silent: Vec<SimPeer> = (0..100).map(|_| scene.world.connect(&scene.admin_at)).collect();
    assert_eq!(scene.get("/healthz"), "ok\n");
    let open = silent.iter().filter(|peer| !peer.is_ended()).count();
    assert!((1..ADMINISTRATION_MAX).contains(&open), "{open} of the silent clients are open");
    assert!(silent[0].is_ended() && !silent[99].is_ended(), "the oldest leave first");
}

#[test]
fn a_head_request_gets_the_head_of_every_response() {
    let mut scene = Scene::new();
    for path in ["/", "/metrics", "/loop", "/connections", "/connections/0-0.1", "/healthz", "/readyz"] {
        let (_, response) = scene.send(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        assert!(response.starts_with("HTTP/1.1 ") && response.ends_with("\r\n\r\n"), "{path}: {response}");
        assert_eq!(response.matches("\r\n\r\n").count(), 1, "{path}: {response}");
    }
}

#[test]
fn a_request_that_is_not_understood_is_refused_and_ends_the_connection() {
    let mut scene = Scene::new();
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(9_000));
    let refused = [
        ("\x16\x03\x01", "400"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        (&long, "431"),
    ];
    for (request, code) in refused {
        let (peer, response) = scene.send(request.as_bytes());
        assert!(response.starts_with(&format!("HTTP/1.1 {code} ")), "{request}: {response}");
        assert!(response.contains("Connection: close") && peer.is_ended(), "{response}");
        let (_, advice) = response.split_once("\r\n\r\n").unwrap();
        assert!(advice.len() > 20 && advice.ends_with('\n'), "{response}");
    }
    let (peer, response) = scene.send(b"GET / HTTP/1.1\r\nHost: loc");
    assert_eq!(response, "", "it is not whole");
    let event_loop = &mut scene.event_loop;
    scene.world.advance(TIMEOUT + Duration::from_secs(1), || event_loop.turn(None)).unwrap();
    assert!(peer.is_ended(), "a slow request is ended");
}

#[test]
fn every_connection_is_listed_however_slowly_the_list_is_read() {
    const PEERS: usize = 2_000;
    let mut scene = Scene::new();
    let peers: Vec<SimPeer> = (0..PEERS).map(|_| scene.world.connect(&scene.at)).collect();
    scene.settle();
    let list = scene.json_of("/connections");
    assert_eq!((list["listed"].as_u64(), list["matched"].as_u64()), (Some(PEERS as u64), Some(PEERS as u64)));
    let mut keys: Vec<&str> =
        list["connections"].as_array().unwrap().iter().filter_map(|row| row["key"].as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), PEERS);

    peers[1].send(b"half a line");
    scene.settle();
    let list = scene.json_of("/connections?sort=input&limit=3");
    assert_eq!((list["listed"].as_u64(), list["matched"].as_u64()), (Some(3), Some(PEERS as u64)));
    let first = &list["connections"][0];
    assert_eq!((first["input_bytes"].as_u64(), first["deadline"]["timeout"].as_str()), (Some(11), Some("frame")));
    let one = scene.json_of(&format!("/connections/{}", first["key"].as_str().unwrap()));
    assert_eq!(one["connection"]["key"], first["key"]);
    assert_eq!(one["limits"]["queue_high"].as_u64(), Some(131_072));
    assert_eq!(scene.json_of("/connections?output_min=1")["matched"].as_u64(), Some(0));
}

#[test]
fn a_client_that_leaves_in_a_list_leaves_nothing_behind() {
    let mut scene = Scene::new();
    let _peers: Vec<SimPeer> = (0..600).map(|_| scene.world.connect(&scene.at)).collect();
    scene.settle();
    let client = scene.world.connect(&scene.admin_at);
    client.send(b"GET /connections HTTP/1.1\r\nHost: localhost\r\n\r\n");
    scene.event_loop.turn(None).unwrap();
    client.reset();
    scene.settle();
    assert_eq!(scene.json_of("/connections")["listed"].as_u64(), Some(600));
}

#[test]
fn readiness_ends_with_a_lame_duck_and_the_endpoint_goes_on() {
    let mut scene = Scene::new();
    let peer = scene.world.connect(&scene.at);
    scene.settle();
    assert_eq!(scene.get("/readyz"), "running\n");
    scene.event_loop.lame_duck(Duration::from_secs(60));
    let (_, response) = scene.send(b"GET /readyz HTTP/1.0\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 503 ") && response.ends_with("lame-duck\n"), "{response}");
    assert_eq!(scene.get("/healthz"), "ok\n");
    peer.finish();
    scene.settle();
    assert!(scene.event_loop.is_done());
}

#[test]
fn metrics_have_every_counter_with_its_help() {
    let mut scene = Scene::new();
    let peer = scene.world.connect(&scene.at);
    peer.send(b"hello\n");
    scene.settle();
    let text = scene.get("/metrics");
    for line in [
        "# HELP readyloop_connections_opened_total Peers that were opened.",
        "# TYPE readyloop_connections_opened_total counter",
        "readyloop_connections_opened_total 1",
        "readyloop_connections_open 1",
        "readyloop_connections_closed_total{close_reason=\"finished\"} 0",
        "readyloop_read_bytes_total 6",
        "readyloop_stage{stage=\"running\"} 1",
        "# TYPE readyloop_turn_duration_seconds histogram",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in {text}");
    }
    assert_eq!(text.matches("# TYPE readyloop_connections_closed_total").count(), 1);
}

#[test]
fn a_request_is_answered_with_an_error_when_its_inquiry_is_dropped() {
    let mut scene = Scene::new();
    let inspector = scene.event_loop.inspector();
    while again(&inspector, 2) {}
    let (client, response) = scene.send(b"GET /loop HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 500 ") && client.is_ended(), "{response}");
    assert_eq!(scene.json_of("/loop")["stage"].as_str(), Some("running"), "the next one is answered");
}

/// Sends an inquiry that sends itself again this many times, so that the queue of inquiries stays full.
fn again(inspector: &Inspector, times: usize) -> bool {
    let sender = inspector.clone();
    inspector.inspect(move |_| assert!(times == 0 || again(&sender, times - 1))).is_ok()
}

#[test]
fn a_connection_has_its_last_transitions() {
    let mut scene = Scene::new();
    let peer = scene.world.connect(&scene.at);
    peer.send(b"half");
    scene.settle();
    let key = scene.json_of("/connections")["connections"][0]["key"].as_str().unwrap().to_owned();
    peer.send(b" a line\n");
    scene.settle();
    let one = scene.json_of(&format!("/connections/{key}"));
    let changes: Vec<&str> =
        one["transitions"].as_array().unwrap().iter().filter_map(|row| row["change"].as_str()).collect();
    assert_eq!(changes[..2], ["opened", "deadline idle"], "{one}");
    assert!(one["transitions"][0]["ago_s"].as_f64().is_some(), "{one}");
}
