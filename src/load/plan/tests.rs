//! Plans that are possible, and plans that are not.

use super::*;

fn plan(address: &str) -> Plan {
    Plan::new(address.parse().unwrap())
}

fn framed(framing: &str, message_len: usize) -> Plan {
    Plan { framing: framing.parse().unwrap(), message_len, ..plan("127.0.0.1:7") }
}

#[test]
fn an_impossible_plan_is_rejected() {
    let tcp = || plan("127.0.0.1:7");
    assert_eq!(tcp().check(), Ok(()));
    for connections in [0, CONNECTIONS_MAX + 1, usize::MAX] {
        assert_eq!(Plan { connections, ..tcp() }.check(), Err(PlanError::Connections));
    }
    assert_eq!(Plan { idle: usize::MAX, ..tcp() }.check(), Err(PlanError::Connections));
    assert_eq!(Plan { pipeline: 0, ..tcp() }.check(), Err(PlanError::NoPipeline));
    assert_eq!(Plan { threads: 0, ..tcp() }.check(), Err(PlanError::Threads));
    assert_eq!(Plan { threads: THREADS_MAX + 1, connections: 5_000, ..tcp() }.check(), Err(PlanError::Threads));
    assert_eq!(Plan { threads: 3, connections: 3, ..tcp() }.check(), Ok(()));
    let error = PlanError::ThreadWithoutConnection { connections: 2, threads: 3 };
    assert_eq!(Plan { threads: 3, connections: 2, ..tcp() }.check(), Err(error));
    for (pipeline, message_len) in [(IN_FLIGHT_MAX + 1, 64), (usize::MAX, 64), (5_000, MESSAGE_LEN_MAX)] {
        let plan = Plan { pipeline, message_len, ..tcp() };
        assert!(matches!(plan.check(), Err(PlanError::InFlight { .. })), "{pipeline}");
    }
    let long = TIME_MAX + Duration::from_nanos(1);
    assert!(matches!(Plan { run_length: RunLength::Time(long), ..tcp() }.check(), Err(PlanError::Time(_))));
    assert!(matches!(Plan { warm_up: Duration::MAX, ..tcp() }.check(), Err(PlanError::Time(_))));
    assert!(matches!(Plan { message_len: 0, ..tcp() }.check(), Err(PlanError::MessageLen { min: 1, .. })));
    assert_eq!(Plan { pace: Pace::Open(0.0), ..tcp() }.check(), Err(PlanError::Rate));
    assert_eq!(Plan { pace: Pace::Open(f64::NAN), ..tcp() }.check(), Err(PlanError::Rate));
    assert_eq!(Plan { connect_rate: Some(-1.0), ..tcp() }.check(), Err(PlanError::Rate));
    assert_eq!(
        Plan { reuse: ConnectionReuse::PerRequest, pipeline: 2, ..tcp() }.check(),
        Err(PlanError::PipelineNeedsReuse)
    );
}

#[test]
fn a_message_must_fit_into_its_frame() {
    assert_eq!(framed("fixed:64", 64).check(), Ok(()));
    assert!(matches!(framed("fixed:63", 64).check(), Err(PlanError::FrameLen { .. })));
    assert_eq!(framed("length:u8", 255).check(), Ok(()));
    assert!(matches!(framed("length:u8", 256).check(), Err(PlanError::Unframable { .. })));
    assert_eq!(framed("lines", 1).check(), Ok(()));
}

#[test]
fn udp_rejects_options_for_connections() {
    let udp = || plan("udp://127.0.0.1:7");
    assert_eq!(udp().check(), Ok(()));
    assert_eq!(Plan { idle: 1, ..udp() }.check(), Err(PlanError::NeedsConnections("--idle")));
    assert_eq!(
        Plan { reuse: ConnectionReuse::PerRequest, ..udp() }.check(),
        Err(PlanError::NeedsConnections("--churn"))
    );
    assert!(matches!(Plan { message_len: 7, ..udp() }.check(), Err(PlanError::MessageLen { min: 8, .. })));
    assert!(matches!(Plan { message_len: 65_508, ..udp() }.check(), Err(PlanError::MessageLen { .. })));
}

#[test]
fn source_addresses_rotate() {
    assert_eq!(plan("127.0.0.1:7").source(5), None);
    let sources = vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()];
    let unix = Plan { sources: sources.clone(), ..plan("unix:/tmp/a") };
    assert_eq!(unix.check(), Err(PlanError::UnixSource));
    let plan = Plan { sources: sources.clone(), ..plan("127.0.0.1:7") };
    assert_eq!([0, 1, 2].map(|serial| plan.source(serial)), [Some(sources[0]), Some(sources[1]), Some(sources[0])]);
}

#[test]
fn the_run_configuration_holds_the_plan() {
    let plan = Plan { run_length: RunLength::Requests(7), pace: Pace::Open(2.5), ..plan("tls://localhost:7") };
    let config = plan.config();
    assert_eq!((config.transport, config.requests, config.duration_ns), (Transport::Tls, Some(7), None));
    assert_eq!((config.rate, config.address.as_str()), (Some(2.5), "tls://localhost:7"));
}
