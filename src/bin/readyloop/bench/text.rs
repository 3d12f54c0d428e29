//! The text report of a run: configuration, results and costs.

use std::fmt::Write as _;

use readyloop::datagram::DatagramLimits;
use readyloop::load::Latencies;
use readyloop::load::record::{OtherWork, Record, RunEnd, ServerCost, Transport};

use crate::quantity::{Unit, counted, grouped};

use super::exit_status::rate_shortfall;
use super::shape_text;

/// Columns of the latency table: name and quantile.
const COLUMNS: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

pub(super) fn report(record: &Record) -> String {
    let pace = match record.config.rate {
        None => "closed loop".to_owned(),
        Some(per_second) if per_second < 1.0 => format!("open loop at {per_second} /s"),
        Some(per_second) => format!("open loop at {}", Unit::Rate.print(per_second)),
    };
    let mut text = format!("{}\n", heading(record, &pace));
    for line in lines(record) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// The configuration in one line.
pub(super) fn heading(record: &Record, pace: &str) -> String {
    let config = &record.config;
    let transport = match config.transport {
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Unix => "unix",
        Transport::Udp => "udp",
    };
    let address = config.address.split_once("://").map_or(config.address.as_str(), |(_, host)| host);
    let (connections, idle) = (shape_text::connections(config), grouped(config.idle_connections));
    let connections = match (config.transport, config.idle_connections) {
        (Transport::Udp, _) => counted(config.connections, "socket"),
        (_, 0) => connections,
        (_, _) => format!("{connections} and {idle} idle"),
    };
    let framing = if config.framing == "raw" { String::new() } else { format!(" in {}", config.framing) };
    let parts = [
        Some(if config.answer.is_none() { format!("{transport} echo") } else { transport.to_owned() }),
        Some(address.to_owned()),
        Some(connections),
        config.churn.then(|| "one request per connection".to_owned()),
        config.lifetime.as_ref().map(|lifetime| format!("lifetime of {lifetime}")),
        Some(format!("{}{framing}", shape_text::message(config))),
        config.answer.as_ref().map(|answer| format!("answer {answer}")),
        (config.pipeline > 1).then(|| format!("pipeline of {}", config.pipeline)),
        (config.threads > 1).then(|| counted(config.threads, "thread")),
        Some(pace.to_owned()),
        config.think.as_ref().map(|think| format!("think time of {think}")),
        Some(length(record)),
        (!config.verified).then(|| "not verified".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn length(record: &Record) -> String {
    let config = &record.config;
    let warm_up = match config.warm_up_ns {
        0 => String::new(),
        nanos => format!(" after {} warm-up", short_span(nanos)),
    };
    let time = || short_span(config.duration_ns.unwrap_or(0));
    let measured = config.requests.map_or_else(time, |requests| counted(requests, "request"));
    format!("{measured}{warm_up}")
}

fn time(nanos: u64) -> String {
    Unit::Time.print(nanos as f64)
}

/// A configured duration: `10 s`, `1.5 s`, `200 ms`.
fn short_span(nanos: u64) -> String {
    if nanos < 1_000_000_000 { format!("{} ms", nanos as f64 / 1e6) } else { format!("{} s", nanos as f64 / 1e9) }
}

fn lines(record: &Record) -> Vec<String> {
    let requests = &record.requests;
    let mut lines = Vec::new();
    match record.ending {
        RunEnd::Done => {}
        RunEnd::Interrupted => {
            lines.push(match requests.measured_ns {
                0 => "interrupted before anything was measured".to_owned(),
                measured => format!("interrupted after {} of the measured time", time(measured)),
            });
        }
        RunEnd::Abandoned => {
            let reason = if is_udp(record) { "datagrams cannot be sent" } else { "no connection is left" };
            lines.push(format!("stopped after {}: {reason}", time(requests.measured_ns)));
        }
    }
    let seconds = (requests.measured_ns as f64 / 1e9).max(1e-9);
    let (sent, received) = (requests.sent_bytes as f64 / seconds, requests.received_bytes as f64 / seconds);
    let volume = match (Unit::Bytes.print(sent), Unit::Bytes.print(received)) {
        (sent, received) if sent == received => format!("{sent}/s each way"),
        (sent, received) => format!("{sent}/s out, {received}/s in"),
    };
    let errors = grouped(record.error_count());
    lines.push(format!(
        "requests   {}   {}     errors {errors}     {volume}",
        grouped(requests.answered),
        Unit::Rate.print(record.rate_per_s)
    ));
    lines.extend(shortcomings(record));
    lines.push(row("latency", ["min", "p50", "p90", "p99", "p99.9", "p99.99", "max"].map(str::to_owned)));
    match &record.service {
        // From the planned time of a request, and from the time when it was really sent.
        Some(service) => {
            lines.push(latencies("response", &record.latency));
            lines.push(latencies("service", service));
        }
        None => lines.push(latencies("round trip", &record.latency)),
    }
    if !is_udp(record) {
        lines.push(latencies("connect", &record.connections.latency));
    }
    lines.extend(shape_text::ramp_rows(record));
    lines.extend(record.server.iter().map(server));
    lines.extend(caveats(record));
    lines
}

fn is_udp(record: &Record) -> bool {
    record.config.transport == Transport::Udp
}

/// Errors by kind, failed, unsent and lost requests.
fn shortcomings(record: &Record) -> Vec<String> {
    let requests = &record.requests;
    let mut lines: Vec<String> = record
        .errors
        .iter()
        .map(|error| format!("{:<10} {}: {}", error.kind.to_string(), grouped(error.count), error.example))
        .collect();
    for (what, count) in [("failed", requests.failed), ("unsent", requests.unsent)] {
        if count > 0 {
            lines.push(format!("{what:<10} {}", grouped(count)));
        }
    }
    if is_udp(record) {
        let percent = requests.lost as f64 * 100.0 / (requests.sent as f64).max(1.0);
        lines.push(format!("lost       {}   {percent:.3} %", grouped(requests.lost)));
    }
    lines.extend(rate_shortfall(record));
    lines
}

fn latencies(name: &str, latencies: &Latencies) -> String {
    if latencies.is_empty() {
        return format!("{name:<10} none");
    }
    // A percentile is shown only if at least one value lies above it.
    let at = |quantile: f64| {
        let is_known = latencies.count as f64 * (1.0 - quantile) >= 1.0 - 1e-9;
        latencies.at(quantile).filter(|_| is_known).map(time).unwrap_or_default()
    };
    let [p50, p90, p99, p999, p9999] = COLUMNS.map(|(_, quantile)| at(quantile));
    row(name, [time(latencies.min_ns), p50, p90, p99, p999, p9999, time(latencies.max_ns)])
}

fn row(name: &str, cells: [String; 7]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>8}")).collect();
    format!("{name:<10}{}", cells.join(" ")).trim_end().to_owned()
}

fn server(server: &ServerCost) -> String {
    let known = |nanos: Option<u64>| nanos.map_or_else(|| "unknown".to_owned(), time);
    let each = server
        .memory_per_connection_bytes
        .map_or_else(String::new, |each| format!(", {} each", Unit::Bytes.print(each as f64)));
    let switches = match (server.switches_voluntary, server.switches_involuntary) {
        (Some(voluntary), Some(involuntary)) => {
            format!("{} voluntary, {} involuntary", grouped(voluntary), grouped(involuntary))
        }
        (_, None) | (None, _) => "unknown".to_owned(),
    };
    format!(
        "server     CPU {} per request; {} with all connections open{each}; {}; context switches {switches}",
        known(server.cpu_per_request_ns),
        Unit::Bytes.print(server.memory_bytes as f64),
        counted(server.threads, "thread"),
    )
}

/// Warnings about the validity of the results.
fn caveats(record: &Record) -> Vec<String> {
    let generator = &record.generator;
    let mut lines = Vec::new();
    if generator.was_bottleneck && record.requests.answered > 0 {
        let percent = |part: f64| (part * 100.0).round();
        let waited = match percent(generator.waited) {
            0.0 => String::new(),
            waited => format!(" and waited {waited} % for a core"),
        };
        let has_free_core = record.config.threads < record.machine.cores;
        let advice = if has_free_core { ": use more --threads" } else { "" };
        lines.push(format!(
            "note: the generator was busy {} % of the time{waited}, so it may limit the results{advice}",
            percent(generator.busy)
        ));
    }
    if record.requests.lost > 0 {
        lines.push(format!(
            "note: `readyloop serve` answers at most {} to one source network and ignores the other datagrams; its \
             --udp-source-rate and --udp-total-rate change that",
            Unit::Rate.print(DatagramLimits::default().source_rate.into())
        ));
    }
    if record.other_work.is_notable() {
        let OtherWork { busy_cores, stolen_cores } = record.other_work;
        let parts = [("other processes", busy_cores), ("other virtual machines", stolen_cores)];
        let parts: Vec<String> = parts
            .into_iter()
            .filter_map(|(what, cores)| Some(format!("{what} used {:.1} cores", cores.filter(|cores| *cores >= 0.05)?)))
            .collect();
        lines.push(format!("note: {} of this machine, so the results may vary", parts.join(" and ")));
    }
    lines
}
