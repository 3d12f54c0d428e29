//! The percentiles of a run in the text format of HdrHistogram, which its plotting tools read.

use std::fmt::Write as _;

use readyloop::load::Latencies;

/// Lines per halving of the distance to 1, as in the tools of HdrHistogram.
const TICKS_PER_HALF: u32 = 5;

/// Formats the percentiles; values are in microseconds.
pub(super) fn print(latencies: &Latencies) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for quantile in quantiles(latencies.count) {
        let value_us = latencies.at(quantile).unwrap_or(0) as f64 / 1e3;
        let count = (quantile * latencies.count as f64).ceil() as u64;
        let inverse = if quantile < 1.0 { format!("{:.2}", 1.0 / (1.0 - quantile)) } else { "inf".to_owned() };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{value_us:>12.3} {quantile:>14.12} {count:>10} {inverse:>14}");
    }
    let (mean, max) = (latencies.mean_ns().unwrap_or(0) as f64 / 1e3, latencies.max_ns as f64 / 1e3);
    let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {:>12.3}]", deviation_us(latencies));
    let _ = writeln!(text, "#[Max     = {max:>12.3}, Total count    = {:>12}]", latencies.count);
    let _ = writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", latencies.buckets.len(), 2048);
    text
}

/// Quantiles from 0 to 1. They get finer towards 1, as far as the number of values permits.
fn quantiles(count: u64) -> Vec<f64> {
    let mut quantiles = Vec::new();
    let mut half = 1.0;
    while half * count as f64 >= 1.0 {
        let begin = 1.0 - half;
        quantiles
            .extend((0..TICKS_PER_HALF).map(|tick| begin + half / 2.0 * f64::from(tick) / f64::from(TICKS_PER_HALF)));
        half /= 2.0;
    }
    quantiles.push(1.0);
    quantiles
}

fn deviation_us(latencies: &Latencies) -> f64 {
    let Some(mean) = latencies.mean_ns() else { return 0.0 };
    let squares: f64 =
        latencies.buckets.iter().map(|&(value, count)| (value as f64 - mean as f64).powi(2) * count as f64).sum();
    (squares / latencies.count as f64).sqrt() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_rise_to_1() {
        let buckets: Vec<(u64, u64)> = (1..=1000).map(|value| (value * 1000, 1)).collect();
        let latencies = Latencies {
            significant_digits: 3,
            count: 1000,
            min_ns: 1000,
            max_ns: 1_000_000,
            sum_ns: buckets.iter().map(|(value, _)| value).sum(),
            buckets,
        };
        let text = print(&latencies);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|number| number.parse().unwrap()).collect())
            .collect();
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] < pair[1][1]), "{text}");
        assert_eq!(rows.last().unwrap()[..3], [1000.0, 1.0, 1000.0]);
        assert!(rows.iter().any(|row| row[0] == 500.0 && row[1] == 0.5), "{text}");
        assert!(text.contains("Total count    =         1000"));
    }

    #[test]
    fn a_run_without_answers_has_a_valid_file() {
        assert!(print(&Latencies::default()).contains("Total count"));
    }
}
