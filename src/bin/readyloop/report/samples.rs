//! Sample runs for the tests of printers and charts.

use readyloop::load::record::{
    Connections, GeneratorCost, Interval, Machine, OtherWork, Requests, RunConfig, RunEnd, SCHEMA, ServerCost,
    Transport, VERSION,
};
use readyloop::load::{Latencies, Record};

use super::comparison::{self, Calls, Comparison, Cores, Load, Outcome, Server, Trial};

/// A run of a server with this name and number of connections.
pub(super) fn record(name: &str, connections: u64) -> Record {
    Record {
        schema: SCHEMA.to_owned(),
        version: VERSION,
        name: name.to_owned(),
        begun_unix_s: 1_900_000_000,
        machine: Machine {
            readyloop: "0.1.0".to_owned(),
            kernel: "Linux 6.12.0".to_owned(),
            processor: "a fast one".to_owned(),
            cores: 2,
            congestion_control: "cubic".to_owned(),
        },
        config: RunConfig {
            address: "tcp://127.0.0.1:7007".to_owned(),
            transport: Transport::Tcp,
            framing: "raw".to_owned(),
            connections,
            idle_connections: 0,
            message_bytes: 64,
            pipeline: 1,
            rate: None,
            churn: false,
            connect_rate: None,
            sources: Vec::new(),
            duration_ns: Some(2_000_000_000),
            requests: None,
            warm_up_ns: 1_000_000_000,
            timeout_ns: 5_000_000_000,
            verified: true,
        },
        ending: RunEnd::Done,
        rate_per_s: 500.0,
        requests: Requests { sent: 1_000, answered: 1_000, measured_ns: 2_000_000_000, ..Requests::default() },
        connections: Connections { opened: connections, open_max: connections, ..Connections::default() },
        errors: Vec::new(),
        latency: Latencies {
            significant_digits: 3,
            count: 1_000,
            min_ns: 10_000,
            max_ns: 5_000_000,
            sum_ns: 60_000_000,
            buckets: vec![(50_000, 900), (100_000, 95), (5_000_000, 5)],
        },
        service: None,
        series: (0..2).map(piece).collect(),
        generator: GeneratorCost::default(),
        server: Some(ServerCost {
            pid: 42,
            cpu_ns: 8_000_000,
            cpu_per_request_ns: Some(8_000),
            memory_before_bytes: 1_000_000,
            memory_bytes: 2_000_000,
            memory_per_connection_bytes: Some(1_000),
            threads: 1,
            switches_voluntary: Some(900),
            switches_involuntary: Some(100),
        }),
        other_work: OtherWork::default(),
    }
}

fn piece(place: u64) -> Interval {
    Interval {
        begin_ns: place * 1_000_000_000,
        span_ns: 1_000_000_000,
        answered: 500,
        p99_ns: 100_000,
        ..Interval::default()
    }
}

/// A trial in which the server answered at this rate.
pub(super) fn trial(name: &str, connections: u64, round: u64, rate: f64) -> Trial {
    let mut record = record(name, connections);
    record.rate_per_s = rate;
    let load = Load { message_bytes: 64, connections, idle_connections: 0 };
    Trial { server: name.to_owned(), load, round, outcome: Outcome::Measured(Box::new(record)) }
}

/// A comparison of these trials.
pub(super) fn comparison_of(trials: Vec<Trial>) -> Comparison {
    let server = |name: &str| Server { name: name.to_owned(), command: format!("readyloop serve --design {name}") };
    Comparison {
        schema: comparison::SCHEMA.to_owned(),
        version: comparison::VERSION,
        begun_unix_s: 1_900_000_000,
        machine: record("a", 1).machine,
        limits: vec![("descriptors".to_owned(), "20,000".to_owned())],
        cores: Some(Cores { server: 0, generator: 1 }),
        servers: vec![server("reactor"), server("threads")],
        trials,
        calls: Vec::new(),
    }
}

/// Two servers, two loads and two rounds. The reactor is twice as fast.
pub(super) fn comparison() -> Comparison {
    let mut trials = Vec::new();
    for round in 1..=2 {
        for connections in [10, 100] {
            trials.push(trial("reactor", connections, round, 1_000.0 + round as f64));
            trials.push(trial("threads", connections, round, 500.0 + round as f64));
        }
    }
    let load = Load { message_bytes: 64, connections: 10, idle_connections: 0 };
    let calls = ["reactor", "threads"].map(|server| Calls { server: server.to_owned(), load, per_request: 2.0 });
    Comparison { calls: calls.to_vec(), ..comparison_of(trials) }
}
