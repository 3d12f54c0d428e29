//! Plans that can be carried out, and plans that cannot.

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

#[test]
fn bytes_that_are_unknown_are_not_verified() {
    let verified = |answer| Plan { answer, ..plan("127.0.0.1:7") }.config().verified;
    assert!(verified(ExpectedAnswer::Echo) && verified(ExpectedAnswer::Bytes((*b"+PONG\r\n").into())));
    assert!(!verified(ExpectedAnswer::Length(7)) && !verified(ExpectedAnswer::Until((*b"\r\n").into())));
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_range_of_lengths_must_fit_the_framing_and_the_transport() {
    let ranged = |min, framing, max| Plan { message_len_min: Some(min), ..framed(framing, max) };
    assert_eq!(ranged(1, "raw", 100).check(), Ok(()));
    assert!(matches!(ranged(0, "raw", 100).check(), Err(PlanError::MessageLen { len: 0, .. })));
    assert!(matches!(ranged(101, "raw", 100).check(), Err(PlanError::MessageLen { len: 101, max: 100, .. })));
    assert!(matches!(ranged(64, "fixed:100", 100).check(), Err(PlanError::FrameLen { message_len: 64, .. })));
    assert!(matches!(ranged(64, "fixed:64", 100).check(), Err(PlanError::FrameLen { message_len: 100, .. })));
    assert!(matches!(ranged(1, "length:u8", 256).check(), Err(PlanError::Unframable { .. })));
    let udp = Plan { message_len_min: Some(7), ..plan("udp://127.0.0.1:7") };
    assert!(matches!(udp.check(), Err(PlanError::MessageLen { len: 7, min: 8, .. })));
    assert_eq!(Plan { message_len_min: Some(8), ..udp }.check(), Ok(()));
}

#[test]
fn a_think_time_needs_a_closed_loop_and_one_request_in_flight() {
    let thinking = |think| Plan { think: Some(think), ..plan("127.0.0.1:7") };
    let plan = thinking(Distribution::Exponential(SECOND));
    assert_eq!(plan.check(), Ok(()));
    assert_eq!(Plan { pipeline: 2, ..plan.clone() }.check(), Err(PlanError::ThinkNeedsOneRequest));
    let churn = Plan { reuse: ConnectionReuse::PerRequest, ..plan.clone() };
    assert_eq!(churn.check(), Err(PlanError::ThinkNeedsReuse));
    assert_eq!(Plan { pace: Pace::Open(1.0), ..plan }.check(), Err(PlanError::NeedsClosedLoop("a think time")));
    for wrong in [
        Distribution::Constant(Duration::ZERO),
        Distribution::Exponential(Duration::MAX),
        Distribution::Uniform(2 * SECOND, SECOND),
        Distribution::Uniform(Duration::ZERO, Duration::ZERO),
    ] {
        assert_eq!(thinking(wrong).check(), Err(PlanError::Durations("a think time")), "{wrong}");
    }
    assert_eq!(thinking(Distribution::Uniform(Duration::ZERO, SECOND)).check(), Ok(()));
}

#[test]
fn a_lifetime_has_a_request_or_a_time() {
    let living = |reuse| Plan { reuse, ..plan("127.0.0.1:7") };
    assert_eq!(living(ConnectionReuse::Requests(1)).check(), Ok(()));
    assert_eq!(living(ConnectionReuse::Requests(0)).check(), Err(PlanError::NoRequestInLifetime));
    let never = ConnectionReuse::Time(Distribution::Constant(Duration::ZERO));
    assert_eq!(living(never).check(), Err(PlanError::Durations("a lifetime")));
}

#[test]
fn a_ramp_ends_within_the_measured_time() {
    let ramp = |from, to, time| Plan { connections: 10, ramp: Some(Ramp { from, to, time }), ..plan("127.0.0.1:7") };
    assert_eq!([ramp(1, 10, SECOND).check(), ramp(10, 1, 10 * SECOND).check()], [Ok(()), Ok(())]);
    for (from, to) in [(0, 10), (10, 0), (1, 9), (1, 11)] {
        assert_eq!(ramp(from, to, SECOND).check(), Err(PlanError::RampEnds));
    }
    assert_eq!(ramp(1, 10, 11 * SECOND).check(), Err(PlanError::RampTime));
    let counted = Plan { run_length: RunLength::Requests(5), ..ramp(1, 10, SECOND) };
    assert_eq!(counted.check(), Err(PlanError::RampTime));
    let open = Plan { pace: Pace::Open(5.0), ..ramp(1, 10, SECOND) };
    assert_eq!(open.check(), Err(PlanError::NeedsClosedLoop("a ramp")));
}

#[test]
fn requests_and_answers_of_their_own_are_bounded_and_raw() {
    let own = |request: Vec<u8>, answer| Plan { request: Some(request.into()), answer, ..plan("127.0.0.1:7") };
    let until = |len| ExpectedAnswer::Until(vec![b'\n'; len].into());
    let ping = || b"PING\r\n".to_vec();
    assert_eq!(own(ping(), until(DELIMITER_LEN_MAX)).check(), Ok(()));
    for len in [0, MESSAGE_LEN_MAX + 1] {
        assert!(matches!(own(vec![0; len], until(1)).check(), Err(PlanError::MessageLen { .. })), "{len}");
        assert_eq!(own(ping(), ExpectedAnswer::Length(len)).check(), Err(PlanError::AnswerLen));
        assert_eq!(own(ping(), ExpectedAnswer::Bytes(vec![0; len].into())).check(), Err(PlanError::AnswerLen));
    }
    assert_eq!(own(ping(), until(0)).check(), Err(PlanError::AnswerLen));
    assert_eq!(own(ping(), until(DELIMITER_LEN_MAX + 1)).check(), Err(PlanError::AnswerLen));
    let lines = Plan { framing: "lines".parse().unwrap(), ..own(ping(), ExpectedAnswer::Echo) };
    assert!(matches!(lines.check(), Err(PlanError::NeedsRawFraming(_))));
}

#[test]
fn shapes_of_connections_have_no_meaning_for_udp() {
    let udp = || plan("udp://127.0.0.1:7");
    let ramp = Some(Ramp { from: 1, to: 1, time: SECOND });
    for (flag, plan) in [
        ("--lifetime", Plan { reuse: ConnectionReuse::Requests(5), ..udp() }),
        ("--think", Plan { think: Some(Distribution::Constant(SECOND)), ..udp() }),
        ("--ramp", Plan { ramp, ..udp() }),
        ("--request", Plan { request: Some((*b"12345678").into()), ..udp() }),
        ("--expect", Plan { answer: ExpectedAnswer::Length(8), ..udp() }),
    ] {
        assert_eq!(plan.check(), Err(PlanError::NeedsConnections(flag)));
    }
}
