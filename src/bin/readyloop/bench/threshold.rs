//! `--fail-if`: conditions under which a run counts as failed.

use std::cmp::Ordering::{self, Equal, Greater, Less};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use readyloop::load::Record;

use crate::quantity::Unit;
use crate::units::{ParseError, count, duration, fraction_of_percent, percent, rate};

/// A condition under which a run counts as failed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Threshold {
    text: String,
    metric: Metric,
    /// The relations of the value to the limit under which the run failed.
    relations: &'static [Ordering],
    /// In the unit of the metric: nanoseconds, requests per second, a number, or a fraction.
    limit: f64,
}

/// The compared value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// Latency at this quantile; at 1 it is the maximum.
    Percentile(f64),
    Min,
    Mean,
    Rate,
    Errors,
    /// Fraction of the datagrams.
    Lost,
}

/// The signs of a comparison. `<=` is tried before `<`.
const SIGNS: [(&str, &[Ordering]); 4] =
    [("<=", &[Less, Equal]), (">=", &[Greater, Equal]), ("<", &[Less]), (">", &[Greater])];

impl Threshold {
    /// Message about a run that fulfills the condition.
    pub(super) fn violation(&self, record: &Record) -> Option<String> {
        let value = self.metric.of(record)?;
        self.is_met_by(value).then(|| format!("{}, measured {}", self.text, self.metric.print(value)))
    }

    fn is_met_by(&self, value: f64) -> bool {
        value.partial_cmp(&self.limit).is_some_and(|relation| self.relations.contains(&relation))
    }
}

/// `--find-rate`: a condition that a run must meet. It has an upper bound of a latency or of the lost datagrams.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Goal(Threshold);

impl Goal {
    /// The value of a run that does not meet the condition.
    pub(super) fn miss(&self, record: &Record) -> Option<String> {
        let Self(Threshold { metric, .. }) = self;
        match metric.of(record) {
            Some(value) if self.0.is_met_by(value) => None,
            Some(value) => Some(metric.print(value)),
            None => Some("nothing was measured".to_owned()),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl FromStr for Goal {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let threshold: Threshold = text.parse()?;
        let is_possible = match threshold.metric {
            Metric::Percentile(_) | Metric::Min | Metric::Mean | Metric::Lost => {
                !threshold.relations.contains(&Greater)
            }
            Metric::Rate | Metric::Errors => false,
        };
        let hint = "use an upper bound such as p99<5ms, mean<=1ms or lost<1%";
        is_possible.then_some(Self(threshold)).ok_or_else(|| ParseError::new("a rate cannot be found with it", hint))
    }
}

impl Metric {
    /// Its value in a run, if there is one.
    fn of(self, record: &Record) -> Option<f64> {
        let latency = &record.latency;
        let nanos = match self {
            Self::Percentile(part) => latency.at(part),
            Self::Min => (!latency.is_empty()).then_some(latency.min_ns),
            Self::Mean => latency.mean_ns(),
            Self::Rate => return Some(record.rate_per_s),
            Self::Errors => return Some((record.error_count() + record.requests.failed) as f64),
            Self::Lost if record.requests.sent == 0 => return None,
            Self::Lost => return Some(record.requests.lost as f64 / record.requests.sent as f64),
        };
        nanos.map(|nanos| nanos as f64)
    }

    fn print(self, value: f64) -> String {
        match self {
            Self::Percentile(_) | Self::Min | Self::Mean => Unit::Time.print(value),
            Self::Rate => Unit::Rate.print(value),
            Self::Errors => Unit::Count.print(value),
            Self::Lost => format!("{:.3} %", value * 100.0),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "min" => Some(Self::Min),
            "mean" => Some(Self::Mean),
            "max" => Some(Self::Percentile(1.0)),
            "rate" => Some(Self::Rate),
            "errors" => Some(Self::Errors),
            "lost" => Some(Self::Lost),
            _ => name.strip_prefix('p').and_then(fraction_of_percent).map(Self::Percentile),
        }
    }

    fn parse_limit(self, text: &str) -> Result<f64, ParseError> {
        match self {
            Self::Percentile(_) | Self::Min | Self::Mean => match duration(text)? {
                Duration::MAX => Err(parse_error("a latency is never compared with never")),
                limit => Ok(limit.as_nanos() as f64),
            },
            Self::Rate => rate(text).and_then(|rate| match rate.is_finite() {
                true => Ok(rate),
                false => Err(parse_error("the rate is too large")),
            }),
            Self::Errors => count(text).map(|count: u64| count as f64),
            Self::Lost => percent(text).map_err(|_| parse_error("the value of `lost` must be 0% to 100%")),
        }
    }
}

impl FromStr for Threshold {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts = SIGNS.into_iter().find_map(|(sign, relations)| Some((text.split_once(sign)?, relations)));
        let Some(((name, limit), relations)) = parts else {
            return Err(parse_error("there is no comparison: use <, <=, > or >="));
        };
        let metric = Metric::parse(name.trim()).ok_or_else(|| parse_error("unknown metric"))?;
        let limit = metric.parse_limit(limit.trim())?;
        Ok(Self { text: text.to_owned(), metric, relations, limit })
    }
}

fn parse_error(what: &str) -> ParseError {
    ParseError::new(
        what,
        "use a condition such as p99>5ms, p99.9>=20ms, mean>1ms, max>1s, rate<10k, errors>0 or lost>1%",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, metric: Metric, relations: &'static [Ordering], limit: f64) {
        assert_eq!(text.parse(), Ok(Threshold { text: text.to_owned(), metric, relations, limit }));
    }

    #[test]
    fn conditions_are_parsed() {
        check("p99>5ms", Metric::Percentile(0.99), &[Greater], 5e6);
        check("p99.9 >= 1s", Metric::Percentile(99.9 / 100.0), &[Greater, Equal], 1e9);
        check("max<=1m", Metric::Percentile(1.0), &[Less, Equal], 60e9);
        check("rate<10k", Metric::Rate, &[Less], 10_000.0);
        check("lost>1%", Metric::Lost, &[Greater], 0.01);
        check("errors>0", Metric::Errors, &[Greater], 0.0);
    }

    #[test]
    fn an_invalid_condition_is_rejected() {
        let conditions = "|p99|p99=5ms|p101>5ms|speed>5ms|p99>5|rate<|lost>1|errors>many|p99>never|max<off|p+99>1ms\
            |p-1>1ms|p>1ms|p.>1ms|pNaN>1ms|p1e1>1ms|p inf>1ms|lost>NaN%|lost>150%|lost>-1%|lost>inf%|lost>+1%|errors>-1\
            |errors>+1|errors>NaN|errors>1.5|rate<inf|rate<-1|rate<0|p99>99999999999999999999s";
        for text in conditions.split('|') {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
        let huge = format!("rate<{}", "9".repeat(400));
        assert!(huge.parse::<Threshold>().is_err());
    }

    #[test]
    fn a_rate_is_searched_for_an_upper_bound_only() {
        for text in ["p99<5ms", "p99.9 <= 1s", "max<1m", "mean<1ms", "min<1us", "lost<1%"] {
            assert_eq!(text.parse::<Goal>().map(|goal| goal.to_string()), Ok(text.to_owned()));
        }
        for text in ["p99>5ms", "p99>=5ms", "rate<10k", "errors<1", "p99<never", "lost>1%", ""] {
            assert!(text.parse::<Goal>().is_err(), "{text}");
        }
    }

    #[test]
    fn any_text_is_a_finite_condition_or_gets_a_hint() {
        let words: Vec<&str> =
            "p|p99|9|0|.|,|-|+|>|<|=|rate|lost|errors|max|never|NaN|inf|%|ms|s|k|e9".split('|').collect();
        bolero::check!().with_iterations(3_000).with_max_len(9).for_each(|bytes: &[u8]| {
            let text: String = bytes.iter().map(|byte| words[usize::from(*byte) % words.len()]).collect();
            match text.parse::<Threshold>() {
                Ok(threshold) => assert!(threshold.limit.is_finite() && threshold.limit >= 0.0, "{text}"),
                Err(error) => assert!(!error.hint.is_empty(), "{text}"),
            }
        });
    }
}
