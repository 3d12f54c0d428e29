//! The report of an administration endpoint, and the line that shows two of them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;

use readyloop::Address;
use readyloop::client::Connect;
use serde::Deserialize;

use crate::cli_error::{CliError, io_message};
use crate::client::connect_error;
use crate::quantity::Unit;

/// The longest time for one read or write.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest response. A report has about 3 kB.
const LEN_MAX: u64 = 1 << 20;

pub(super) const HEADER: &str =
    "    open    opened    closed      read   written    frames    queued     turns  busy  turn p99\n";

/// What `/loop` returns, as far as it is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    uptime_s: f64,
    totals: Totals,
    measurements: Measurements,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Totals {
    connections_open: u64,
    connections_opened: u64,
    connections_closed: std::collections::BTreeMap<String, u64>,
    read_bytes: u64,
    written_bytes: u64,
    frames: u64,
    waiting_bytes: u64,
    turns: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Measurements {
    phases_s: Phases,
    turns_ns: Histogram,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Phases {
    deliver: f64,
    serve: f64,
}

/// Each bucket is an upper bound with the number of values that are not above it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Histogram {
    count: u64,
    buckets: Vec<(u64, u64)>,
}

impl Report {
    /// Asks for the report of the server at `address`.
    pub(super) fn fetch(address: &Address) -> Result<Self, CliError> {
        let connect = Connect { timeout: TIMEOUT, retries: 0, ..Connect::default() };
        let mut stream = connect.to(address).map_err(|error| connect_error(address, &error))?.stream;
        let mut response = Vec::new();
        let exchanged = stream
            .apply_timeout(Some(TIMEOUT))
            .and_then(|()| stream.write_all(b"GET /loop HTTP/1.0\r\nHost: localhost\r\n\r\n"))
            .and_then(|()| stream.half_close())
            .and_then(|()| stream.take(LEN_MAX).read_to_end(&mut response));
        exchanged.map_err(|error| {
            // A blocking read or write reports its timeout in this way.
            let is_timeout = error.kind() == ErrorKind::WouldBlock;
            let reason = if is_timeout { format!("no answer within {TIMEOUT:?}") } else { io_message(&error) };
            CliError::failure(
                format!("cannot read the report of {address}: {reason}"),
                "check that the server is alive and that the address is that of its --admin",
            )
        })?;
        Self::parse(&response).ok_or_else(|| {
            CliError::failure(
                format!("{address} is not an administration endpoint"),
                "type the address of `readyloop serve --admin ADDRESS`",
            )
        })
    }

    fn parse(response: &[u8]) -> Option<Self> {
        let response = str::from_utf8(response).ok()?;
        let (head, body) = response.split_once("\r\n\r\n")?;
        if !head.starts_with("HTTP/1.1 200 ") { None } else { serde_json::from_str(body).ok() }
    }

    /// The line with the changes since another report.
    pub(super) fn since(&self, last: &Self) -> String {
        let seconds = (self.uptime_s - last.uptime_s).max(f64::MIN_POSITIVE);
        let (now, before) = (&self.totals, &last.totals);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let per_second = |now: u64, before: u64| Unit::Count.print(rate(now, before).round());
        let bytes = |now: u64, before: u64| Unit::Bytes.print(rate(now, before).round());
        let closed =
            |totals: &Totals| totals.connections_closed.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let busy = |report: &Self| report.measurements.phases_s.deliver + report.measurements.phases_s.serve;
        let busy = ((busy(self) - busy(last)) / seconds).clamp(0.0, 1.0) * 100.0;
        format!(
            "{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{busy:>5.0}%{:>10}",
            Unit::Count.print(now.connections_open as f64),
            per_second(now.connections_opened, before.connections_opened),
            per_second(closed(now), closed(before)),
            bytes(now.read_bytes, before.read_bytes),
            bytes(now.written_bytes, before.written_bytes),
            per_second(now.frames, before.frames),
            Unit::Bytes.print(now.waiting_bytes as f64),
            per_second(now.turns, before.turns),
            self.turn_p99(last),
        )
    }

    /// The upper bound of the bucket with the 99th percentile of the turns since another report.
    fn turn_p99(&self, last: &Self) -> String {
        let (now, before) = (&self.measurements.turns_ns, &last.measurements.turns_ns);
        let count = now.count.saturating_sub(before.count) as f64;
        let before_at = |index: usize| before.buckets.get(index).map_or(0, |(_, count)| *count);
        let mut bounds = now.buckets.iter().enumerate();
        let bound = bounds.find(|(index, (_, total))| total.saturating_sub(before_at(*index)) as f64 >= 0.99 * count);
        match bound {
            Some((_, (bound, _))) if count > 0.0 => Unit::Time.print(*bound as f64),
            Some(_) | None => "-".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(body: &str) -> Report {
        Report::parse(format!("HTTP/1.1 200 OK\r\n\r\n{body}").as_bytes()).unwrap()
    }

    #[test]
    fn a_line_has_the_changes_per_second_under_its_header() {
        let before = report(r#"{"uptime_s": 10.0}"#);
        let now = report(
            r#"{"uptime_s": 12.0, "totals": {"connections_open": 10000, "connections_opened": 40, "read_bytes": 4000,
                "connections_closed": {"finished": 5, "reset": 5}, "frames": 8, "turns": 2, "waiting_bytes": 7},
                "measurements": {"phases_s": {"serve": 0.4, "deliver": 0.1},
                "turns_ns": {"count": 100, "buckets": [[1024, 98], [2048, 99], [4096, 100]]}}}"#,
        );
        let words: Vec<_> = now.since(&before).split_whitespace().collect::<Vec<_>>().join(" ").into();
        assert_eq!(String::from_utf8(words).unwrap(), "10,000 20 5 2.00 kB 0 B 4 7 B 1 25% 2.05 µs");
        assert_eq!(now.since(&before).chars().count(), HEADER.trim_end().len());
        assert_eq!(now.since(&now).split_whitespace().last(), Some("-"));
    }

    #[test]
    fn another_response_is_not_a_report() {
        for response in ["", "HTTP/1.1 404 Not Found\r\n\r\n{}", "HTTP/1.1 200 OK\r\n\r\n<html>", "hello\r\n\r\n{}"] {
            assert!(Report::parse(response.as_bytes()).is_none(), "{response}");
        }
    }
}
