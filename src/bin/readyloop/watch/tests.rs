//! The page and the trace of a log that was made by hand.

use readyloop::instant::Instant;
use readyloop::run_log::{ConnectionHeader, LineKind, LogLine, RunLog, TurnLog, TurnState, TurnStep};

use super::{page, trace_file};

/// A run with this text in every place that a peer or a program can fill.
fn log_with(text: &str) -> RunLog {
    let line = LogLine {
        step: TurnStep::Serve,
        kind: LineKind::Callback,
        connection: Some(0),
        lesson: None,
        moved: None,
        text: text.to_owned(),
    };
    let turn = |number| TurnLog {
        number,
        // The times go back.
        at: Instant::from_nanos(u64::MAX - number),
        lines: vec![line.clone()],
        changes: vec![(0, None), (7, None)],
        state: TurnState::default(),
    };
    let connection = ConnectionHeader { name: text.to_owned(), address: text.to_owned(), ..Default::default() };
    RunLog {
        title: text.to_owned(),
        connections: vec![connection],
        turns: vec![turn(1), turn(2)],
        ..Default::default()
    }
}

#[test]
fn text_from_peers_cannot_leave_the_script_of_the_page() {
    let html = page::print(&log_with("</script><script>alert(1)</script><!--\u{2028}\0\"'&"));
    assert_eq!(html.matches("alert(1)</script>").count(), 0);
    assert_eq!(html.matches("</script>").count(), 4, "the log and three scripts");
    assert_eq!(html.matches("<!--").count(), 0);
}

#[test]
fn a_log_without_turns_has_a_page_without_a_script_and_a_trace() {
    let log = RunLog::default();
    let html = page::print(&log);
    assert!(html.contains("The run has no turns.") && !html.contains("<script"), "{html}");
    let trace: serde_json::Value = serde_json::from_str(&trace_file::print(&log)).unwrap();
    assert_eq!(trace["traceEvents"].as_array().map(Vec::len), Some(2));
}

#[test]
fn the_times_of_a_trace_never_go_back() {
    let trace: serde_json::Value = serde_json::from_str(&trace_file::print(&log_with("x"))).unwrap();
    let times: Vec<u64> = trace["traceEvents"].as_array().unwrap().iter().filter_map(|it| it["ts"].as_u64()).collect();
    assert!(times.len() > 8 && times.is_sorted(), "{times:?}");
}
