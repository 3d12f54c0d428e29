//! `report --against`: what became worse, and the exit status.

use serde_json::Value;

use super::samples::{comparison_of, failed, rounds, run, trial};
use super::{report, saved};
use crate::support::Ended;

/// The report of `now` against `before`, with these flags.
fn against(before: &Value, now: &Value, flags: &str) -> Ended {
    let (before, now) = (saved(&before.to_string()), saved(&now.to_string()));
    report(&[&now], &format!("--against {} {flags}", before.text()))
}

#[track_caller]
fn check(before: [f64; 2], now: [f64; 2], flags: &str, code: i32, part: &str) {
    let [before, now] = [before, now].map(|rates| comparison_of(rounds(rates, [10.0, 11.0])));
    let ended = against(&before, &now, flags);
    let text = ended.out.join("\n");
    assert_eq!(ended.code, Some(code), "{text}\n{}", ended.log_text());
    assert!(text.contains(part), "no `{part}` in\n{text}");
}

#[test]
fn only_a_change_beyond_the_rounds_and_the_tolerance_is_a_regression() {
    check([100.0, 110.0], [100.0, 110.0], "", 0, "No difference was shown.");
    check([100.0, 110.0], [90.0, 105.0], "", 0, "No difference was shown.");
    check([100.0, 110.0], [90.0, 95.0], "", 3, "1 metric became worse, 0 better.");
    check([100.0, 110.0], [90.0, 95.0], "--tolerance 20%", 0, "No difference was shown.");
    check([100.0, 110.0], [200.0, 220.0], "", 0, "0 metrics became worse, 1 better.");
    check([100.0, 110.0], [90.0, 95.0], "--md", 3, "| worse |");
    check([100.0, 110.0], [90.0, 95.0], "--html", 3, "Changes since the baseline");
}

#[test]
fn one_round_is_no_regression() {
    let ended = against(&run("reactor", 10, 1_000.0), &run("reactor", 10, 1.0), "");
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    assert!(ended.out.join("\n").contains("One round decides nothing"), "{:?}", ended.out);
}

#[test]
fn a_server_that_cannot_be_measured_any_more_is_a_regression() {
    let before = comparison_of([trial("reactor", 10, 1, 100.0), trial("reactor", 10, 2, 101.0)]);
    let now = comparison_of([failed("reactor", 10, "it ended")]);
    assert_eq!(against(&before, &now, "").code, Some(1), "nothing was measured at all");
    let now = comparison_of([failed("reactor", 10, "it ended"), trial("threads", 10, 1, 5.0)]);
    let ended = against(&before, &now, "");
    assert_eq!(ended.code, Some(3), "{:?} {}", ended.out, ended.log_text());
    assert!(ended.out.iter().any(|line| line.contains("any metric") && line.contains("failed")), "{:?}", ended.out);
}

#[test]
fn servers_only_in_the_baseline_are_counted() {
    let before = comparison_of([trial("reactor", 10, 1, 100.0), trial("reactor", 20, 1, 100.0)]);
    let ended = against(&before, &comparison_of([trial("reactor", 10, 1, 100.0)]), "");
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    assert!(ended.out.join("\n").contains("1 server under a load is only in the baseline."), "{:?}", ended.out);
}

#[test]
fn runs_of_other_servers_and_wrong_flags_are_errors() {
    let ended = against(&run("one", 10, 1.0), &run("other", 10, 1.0), "");
    assert_eq!(ended.code, Some(1));
    assert!(ended.log_text().contains("no server was measured under the same load in both"), "{}", ended.log_text());
    let runs = saved(&run("one", 10, 1.0).to_string());
    for flags in ["--tolerance 5%", "--against /nonexistent", "--against a --svg"] {
        assert_eq!(report(&[&runs], flags).code, Some(2), "{flags}");
    }
    for tolerance in ["5", "-1%", "101%", "NaN%", "%", "1e1%"] {
        assert_eq!(
            against(&run("one", 1, 1.0), &run("one", 1, 1.0), &format!("--tolerance={tolerance}")).code,
            Some(2)
        );
    }
}
