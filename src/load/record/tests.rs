//! Writing a record as JSON and reading it again.

use hdrhistogram::Histogram;
use serde_json::Value;

use super::*;

fn latencies(values: &[u64]) -> Latencies {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    values.iter().for_each(|value| histogram.record(*value).unwrap());
    Latencies::of(&histogram, *values.iter().min().unwrap(), *values.iter().max().unwrap())
}

fn record() -> Record {
    Record {
        schema: SCHEMA.to_owned(),
        version: VERSION,
        name: "tcp://127.0.0.1:7007".to_owned(),
        begun_unix_s: 1_900_000_000,
        machine: Machine {
            readyloop: "0.1.0".to_owned(),
            kernel: "Linux 6.12.0".to_owned(),
            processor: "a \"fast\" CPU".to_owned(),
            cores: 2,
            congestion_control: "cubic".to_owned(),
        },
        config: RunConfig {
            address: "tcp://127.0.0.1:7007".to_owned(),
            transport: Transport::Tcp,
            framing: "raw".to_owned(),
            connections: 100,
            ramp: Some(RampConfig { from: 1, to: 100, duration_ns: 10_000_000_000 }),
            idle_connections: 0,
            threads: 1,
            message_bytes: 64,
            message_bytes_min: Some(16),
            request: Some("PING\\r\\n".to_owned()),
            answer: Some("until:\\r\\n".to_owned()),
            pipeline: 1,
            rate: Some(1000.5),
            think: Some("exp:10ms".to_owned()),
            lifetime: Some("100 requests".to_owned()),
            churn: false,
            connect_rate: None,
            sources: vec!["127.0.0.2".to_owned()],
            duration_ns: Some(10_000_000_000),
            requests: None,
            warm_up_ns: 1_000_000_000,
            timeout_ns: 5_000_000_000,
            verified: true,
        },
        ending: RunEnd::Done,
        rate_per_s: 0.3,
        requests: Requests {
            sent: 4,
            answered: 3,
            failed: 1,
            measured_ns: 10_000_000_000,
            sent_bytes: 256,
            received_bytes: 192,
            ..Requests::default()
        },
        connections: Connections {
            opened: 100,
            open_max: 100,
            latency: latencies(&[22_000]),
            ..Connections::default()
        },
        errors: vec![ErrorCount { kind: ErrorKind::TimedOut, count: 1, example: "no answer within 5s".to_owned() }],
        latency: latencies(&[31_000, 97_123, u64::from(u32::MAX)]),
        service: Some(latencies(&[30_000, 90_000, 1_000_000])),
        series: vec![Interval { span_ns: 100_000_000, answered: 3, p50_ns: 97_000, ..Interval::default() }],
        generator: GeneratorCost {
            cpu_ns: 7,
            busy: 0.97,
            waited: 0.25,
            was_bottleneck: true,
            memory_per_connection_bytes: Some(400),
        },
        server: Some(ServerCost { pid: 42, cpu_ns: 9, threads: 1, ..ServerCost::default() }),
        other_work: OtherWork { busy_cores: Some(0.25), stolen_cores: None },
    }
}

#[test]
fn a_record_survives_writing_and_reading() {
    let record = record();
    let json = record.to_json();
    assert!(json.ends_with("}\n") && json.lines().count() == 1, "one line: {json}");
    assert_eq!(Record::from_json(&json).unwrap(), record);
    let bare = Record { service: None, server: None, errors: Vec::new(), ..record };
    assert_eq!(Record::from_json(&bare.to_json()).unwrap(), bare);
}

#[test]
fn the_json_names_are_those_of_the_schema() {
    let json: Value = serde_json::from_str(&record().to_json()).unwrap();
    assert_eq!((&json["schema"], &json["version"]), (&Value::from("readyloop.run"), &Value::from(2)));
    assert_eq!((&json["config"]["transport"], &json["ending"]), (&Value::from("tcp"), &Value::from("done")));
    assert_eq!(json["rate_per_s"], 0.3);
    assert_eq!((&json["errors"]["timed_out"], &json["errors"]["reset"]), (&Value::from(1), &Value::from(0)));
    assert_eq!(json["errors"].as_object().map(serde_json::Map::len), Some(ErrorKind::ALL.len()));
    assert_eq!(json["error_examples"], serde_json::json!({ "timed_out": "no answer within 5s" }));
    let latency = &json["latency_ns"];
    let names = ["min", "mean", "p50", "p75", "p90", "p99", "p99_9", "p99_99", "max", "count"];
    assert!(names.iter().all(|name| latency[name].is_u64()), "{latency}");
    assert_eq!((&latency["min"], &latency["p50"]), (&Value::from(31_000), &Value::from(97_151)));
    assert_eq!(
        (&latency["buckets"][0][1], &json["connections"]["latency_ns"]["max"]),
        (&Value::from(1), &Value::from(22_000))
    );
    let empty = Record { latency: Latencies::default(), ..record() };
    let json: Value = serde_json::from_str(&empty.to_json()).unwrap();
    assert!(names[..9].iter().all(|name| json["latency_ns"][name].is_null()), "{}", json["latency_ns"]);
    assert_eq!(Record::from_json(&json.to_string()).unwrap(), empty);
}

#[test]
fn a_file_of_version_1_is_read() {
    let mut json: Value = serde_json::from_str(&record().to_json()).unwrap();
    json["version"] = Value::from(1);
    let latencies = |latencies: &Latencies| {
        serde_json::json!({
            "significant_digits": latencies.significant_digits, "count": latencies.count, "min_ns": latencies.min_ns,
            "max_ns": latencies.max_ns, "sum_ns": latencies.sum_ns, "buckets": latencies.buckets,
        })
    };
    let run = json.as_object_mut().unwrap();
    for name in ["rate_per_s", "latency_ns", "service_ns", "error_examples", "other_work"] {
        assert!(run.remove(name).is_some(), "no {name}");
    }
    let config = run.remove("config").unwrap();
    run.insert("asked".to_owned(), config);
    run.insert("latency".to_owned(), latencies(&record().latency));
    run.insert("service".to_owned(), latencies(&record().service.unwrap()));
    run["requests"]["rate"] = Value::from(0.3);
    run["connections"].as_object_mut().unwrap().remove("latency_ns");
    run["connections"]["latency"] = latencies(&record().connections.latency);
    run["errors"] = serde_json::json!([{ "kind": "timed-out", "count": 1, "example": "no answer within 5s" }]);
    let expected = Record { version: 1, other_work: OtherWork::default(), ..record() };
    assert_eq!(Record::from_json(&json.to_string()).unwrap(), expected);
    assert_eq!(serde_json::from_value::<Record>(json).unwrap(), expected, "also inside another document");
}

#[test]
fn unknown_fields_are_ignored() {
    let mut json: Value = serde_json::from_str(&record().to_json()).unwrap();
    json["unknown"] = Value::from("text");
    json["config"]["unknown"] = Value::from(1);
    assert_eq!(Record::from_json(&json.to_string()).unwrap(), record());
}

#[test]
fn a_field_that_an_older_program_did_not_write_is_0() {
    let mut json: Value = serde_json::from_str(&record().to_json()).unwrap();
    for (part, added) in [("connections", "silent"), ("generator", "waited")] {
        assert!(json[part].as_object_mut().unwrap().remove(added).is_some(), "no {added} in {part}");
    }
    for added in ["ramp", "message_bytes_min", "request", "answer", "think", "lifetime"] {
        assert!(json["config"].as_object_mut().unwrap().remove(added).is_some(), "no {added} in config");
    }
    assert!(json["series"][0].as_object_mut().unwrap().remove("connections").is_some());
    let Record { generator, connections, config, .. } = record();
    let earlier = Record {
        generator: GeneratorCost { waited: 0.0, ..generator },
        connections: Connections { silent: 0, ..connections },
        config: RunConfig {
            ramp: None,
            message_bytes_min: None,
            request: None,
            answer: None,
            think: None,
            lifetime: None,
            ..config
        },
        ..record()
    };
    assert_eq!(Record::from_json(&json.to_string()).unwrap(), earlier);
}

#[test]
fn text_that_is_no_record_is_rejected_with_the_reason() {
    let mut json: Value = serde_json::from_str(&record().to_json()).unwrap();
    json["version"] = Value::from(VERSION + 1);
    assert!(matches!(Record::from_json(&json.to_string()), Err(RecordError::TooNew(version)) if version > VERSION));
    json["version"] = Value::from(VERSION);
    json["latency_ns"]["count"] = Value::from(99);
    assert!(matches!(Record::from_json(&json.to_string()), Err(RecordError::Inconsistent)));
    json["latency_ns"] = Value::Null;
    assert!(matches!(Record::from_json(&json.to_string()), Err(RecordError::Malformed(_))));
    assert!(matches!(Record::from_json("{}"), Err(RecordError::Foreign)));
    assert!(matches!(Record::from_json(r#"{"schema":"other","version":1}"#), Err(RecordError::Foreign)));
    assert!(matches!(Record::from_json("latency,count\n"), Err(RecordError::Malformed(_))));
}

#[test]
fn a_lost_datagram_is_not_a_failure() {
    let clean = Record { errors: Vec::new(), requests: Requests { lost: 5, ..Requests::default() }, ..record() };
    assert!(!clean.has_failed());
    assert!(record().has_failed());
}
