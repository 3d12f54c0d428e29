//! `--fail-if`: a wish for a run, as a condition under which it is missed.

use std::str::FromStr;

use readyloop::load::Record;

use crate::units::{ParseError, duration, rate};

use super::figures;

/// A condition under which a run is not good enough.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Threshold {
    text: String,
    metric: Metric,
    order: Order,
    /// Nanoseconds, requests a second, a number or a part of all, as the metric has it.
    bound: f64,
}

/// What of a run is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// This part of the requests took no longer.
    Percentile(f64),
    Min,
    Mean,
    Max,
    Rate,
    Errors,
    /// Part of the datagrams.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Threshold {
    /// What to say if the run is not good enough.
    pub(super) fn violation(&self, record: &Record) -> Option<String> {
        let value = self.metric.of(record)?;
        let is_so = match self.order {
            Order::Below => value < self.bound,
            Order::AtMost => value <= self.bound,
            Order::Above => value > self.bound,
            Order::AtLeast => value >= self.bound,
        };
        is_so.then(|| format!("{}: it is {}", self.text, self.metric.print(value)))
    }
}

impl Metric {
    /// Its value, if the run has one.
    fn of(self, record: &Record) -> Option<f64> {
        let latency = &record.latency;
        let nanos = match self {
            Self::Percentile(part) => latency.at(part),
            Self::Min => (!latency.is_empty()).then_some(latency.min_ns),
            Self::Mean => latency.mean_ns(),
            Self::Max => (!latency.is_empty()).then_some(latency.max_ns),
            Self::Rate => return Some(record.requests.rate),
            Self::Errors => return Some((record.error_count() + record.requests.failed) as f64),
            Self::Lost if record.requests.sent == 0 => return None,
            Self::Lost => return Some(record.requests.lost as f64 / record.requests.sent as f64),
        };
        nanos.map(|nanos| nanos as f64)
    }

    fn print(self, value: f64) -> String {
        match self {
            Self::Percentile(_) | Self::Min | Self::Mean | Self::Max => figures::span(value as u64),
            Self::Rate => figures::rate(value),
            Self::Errors => format!("{value}"),
            Self::Lost => format!("{:.3} %", value * 100.0),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let percent = |digits: &str| digits.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
        match name {
            "min" => Some(Self::Min),
            "mean" => Some(Self::Mean),
            "max" => Some(Self::Max),
            "rate" => Some(Self::Rate),
            "errors" => Some(Self::Errors),
            "lost" => Some(Self::Lost),
            _ => name.strip_prefix('p').and_then(percent).map(|percent| Self::Percentile(percent / 100.0)),
        }
    }

    fn parse_bound(self, text: &str) -> Result<f64, ParseError> {
        match self {
            Self::Percentile(_) | Self::Min | Self::Mean | Self::Max => {
                duration(text).map(|span| span.as_nanos() as f64)
            }
            Self::Rate => rate(text),
            Self::Errors => text.parse().map_err(|_| parse_error("a number of errors is a whole number")),
            Self::Lost => {
                let percent = text.strip_suffix('%').and_then(|digits| digits.trim().parse::<f64>().ok());
                percent.map(|percent| percent / 100.0).ok_or_else(|| parse_error("a part of all ends in %"))
            }
        }
    }
}

impl FromStr for Threshold {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        // The longer of two that begin alike comes first.
        const ORDERS: [(&str, Order); 4] =
            [("<=", Order::AtMost), (">=", Order::AtLeast), ("<", Order::Below), (">", Order::Above)];
        let parts = ORDERS.into_iter().find_map(|(sign, order)| Some((text.split_once(sign)?, order)));
        let Some(((name, bound), order)) = parts else {
            return Err(parse_error("no comparison: there are <, <=, > and >="));
        };
        let metric = Metric::parse(name.trim()).ok_or_else(|| parse_error("nothing that is measured"))?;
        let bound = metric.parse_bound(bound.trim())?;
        Ok(Self { text: text.to_owned(), metric, order, bound })
    }
}

fn parse_error(what: &str) -> ParseError {
    ParseError::new(what, "type such as p99>5ms, p99.9>=20ms, mean>1ms, max>1s, rate<10k, errors>0 or lost>1%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, metric: Metric, order: Order, bound: f64) {
        assert_eq!(text.parse(), Ok(Threshold { text: text.to_owned(), metric, order, bound }));
    }

    #[test]
    fn conditions_are_read() {
        check("p99>5ms", Metric::Percentile(0.99), Order::Above, 5e6);
        check("p99.9 >= 1s", Metric::Percentile(99.9 / 100.0), Order::AtLeast, 1e9);
        check("max<=1m", Metric::Max, Order::AtMost, 60e9);
        check("rate<10k", Metric::Rate, Order::Below, 10_000.0);
        check("lost>1%", Metric::Lost, Order::Above, 0.01);
        check("errors>0", Metric::Errors, Order::Above, 0.0);
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in ["", "p99", "p99=5ms", "p101>5ms", "speed>5ms", "p99>5", "rate<", "lost>1", "errors>many"] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
    }
}
