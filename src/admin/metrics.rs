//! Metrics of the loop and its process, in the text format of Prometheus, version 0.0.4.
//!
//! The counters come from the lists in which they are declared.

use std::fmt::{Display, Write as _};

use crate::counters::{Counters as _, MetricKind};
use crate::event_loop::{Histogram, LoopView, Measurements, Stage, TurnPhase};

use super::process::ProcessUsage;

const NANOS_PER_SECOND: f64 = 1e9;

/// Renders all metrics as one page.
pub(super) fn render(view: &dyn LoopView) -> String {
    let mut page = Page::default();
    let totals = view.totals();
    totals.visit(&mut |metric| {
        let (suffix, kind) = match metric.kind {
            MetricKind::Counter => ("_total", "counter"),
            MetricKind::Gauge => ("", "gauge"),
        };
        page.family(&format!("readyloop_{}{suffix}", metric.name), kind, metric.help.trim());
        page.sample("", metric.label, metric.value);
    });
    page.one(
        "readyloop_uptime_seconds",
        "gauge",
        "Time since the event loop was created.",
        totals.duration.as_secs_f64(),
    );
    page.family("readyloop_stage", "gauge", "The stage of the shutdown.");
    for stage in Stage::ALL {
        page.sample("", Some(("stage", stage.name())), u8::from(stage == view.stage()));
    }
    let help = "1, or 0 if the last reload of settings or certificates failed.";
    page.one("readyloop_last_reload_successful", "gauge", help, u8::from(!view.has_failed_reload()));
    if let Some(measurements) = view.measurements() {
        page.measurements(measurements);
    }
    page.usage(&ProcessUsage::read());
    page.family("readyloop_build_info", "gauge", "The version, as a label.");
    page.sample("", Some(("version", env!("CARGO_PKG_VERSION"))), 1);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
    /// The name of the last family.
    family: String,
}

impl Page {
    /// Begins a family of samples, unless it has begun already.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        if self.family != name {
            name.clone_into(&mut self.family);
            self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        }
    }

    fn sample(&mut self, suffix: &str, label: Option<(&str, &str)>, value: impl Display) {
        let name = std::mem::take(&mut self.family);
        match label {
            Some((label, text)) => self.push(format_args!("{name}{suffix}{{{label}=\"{text}\"}} {value}\n")),
            None => self.push(format_args!("{name}{suffix} {value}\n")),
        }
        self.family = name;
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample("", None, value);
    }

    fn measurements(&mut self, measurements: &Measurements) {
        self.family("readyloop_phase_seconds_total", "counter", "Time spent in each phase of the turns.");
        for phase in TurnPhase::ALL {
            self.sample("", Some(("phase", phase.name())), measurements.phase(phase).as_secs_f64());
        }
        let Measurements { turns, waits, queue_bytes, .. } = measurements;
        self.histogram(
            "readyloop_turn_duration_seconds",
            "Time of each turn, without the poll.",
            turns,
            NANOS_PER_SECOND,
        );
        let help = "Time from the report of an event to the service of its peer, for the last event of a poll.";
        self.histogram("readyloop_wait_seconds", help, waits, NANOS_PER_SECOND);
        let help = "Memory that all queues hold at the end of each turn.";
        self.histogram("readyloop_queue_memory_bytes", help, queue_bytes, 1.0);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram, per_unit: f64) {
        self.family(name, "histogram", help);
        for (bound, count) in histogram.buckets() {
            self.sample("_bucket", Some(("le", &(bound as f64 / per_unit).to_string())), count);
        }
        self.sample("_bucket", Some(("le", "+Inf")), histogram.count());
        self.sample("_sum", None, histogram.sum() as f64 / per_unit);
        self.sample("_count", None, histogram.count());
    }

    fn usage(&mut self, usage: &ProcessUsage) {
        self.one("process_cpu_seconds_total", "counter", "Time of the processor.", usage.cpu.as_secs_f64());
        let numbers = [
            ("process_resident_memory_bytes", "Memory in RAM.", usage.resident_bytes),
            ("process_virtual_memory_bytes", "Virtual memory.", usage.virtual_bytes),
            ("process_open_fds", "Open descriptors.", usage.descriptors),
            ("process_max_fds", "The limit on open descriptors.", usage.descriptors_max),
        ];
        for (name, help, value) in numbers {
            if let Some(value) = value {
                self.one(name, "gauge", help, value);
            }
        }
    }

    fn push(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(line);
    }
}
