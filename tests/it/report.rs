//! `readyloop report`: saved runs from files become one report in any form.

mod against;
mod any_file;
mod browser;
mod charts;
mod conclusions;
mod foreign;
mod samples;
mod tables;

use serde_json::Value;

use crate::support::{Ended, ScratchPath, Serve};

fn saved(text: &str) -> ScratchPath {
    ScratchPath::with_text("json", text)
}

fn report(files: &[&ScratchPath], form: &str) -> Ended {
    let command = Serve::command("report").with(form);
    files.iter().fold(command, |command, file| command.arg(file.text())).run()
}

/// The report of these files, without a final line feed.
#[track_caller]
fn printed(files: &[&ScratchPath], form: &str) -> String {
    let ended = report(files, form);
    assert_eq!((ended.code, ended.log_text()), (Some(0), String::new()));
    ended.out.join("\n")
}

/// The report of one comparison or run.
#[track_caller]
fn printed_of(value: &Value, form: &str) -> String {
    printed(&[&saved(&value.to_string())], form)
}

#[test]
fn runs_of_several_files_become_one_report() {
    let file = |reactor, threads| {
        let [reactor, threads] = [samples::run("reactor", 10, reactor), samples::run("threads", 10, threads)];
        saved(&format!("{reactor}\n{threads}\n"))
    };
    let (first, second) = (file(1_000.0, 500.0), file(1_100.0, 510.0));
    let table = printed(&[&first, &second], "");
    for part in
        ["1.05 k/s", "1.00 k/s .. 1.10 k/s", "505 /s", "0.48×", "reactor answered between 1.96 and 2.20 times as many"]
    {
        assert!(table.contains(part), "no `{part}` in:\n{table}");
    }
    let markdown = printed(&[&first, &second], "--md");
    assert!(markdown.contains("| 10 | threads | 505 /s | 500 /s .. 510 /s | 0.48× |"), "{markdown}");
    assert!(printed(&[&first, &second], "--svg").starts_with("<svg "));
    assert!(printed(&[&first, &first], "").contains("No conclusion is drawn"), "the same file is no second round");
}

#[test]
fn every_form_has_the_same_cells() {
    let comparison = samples::comparison();
    let [text, markdown, html] = ["", "--md", "--html"].map(|form| printed_of(&comparison, form));
    let mut count = 0;
    let (markdown, _) = markdown.split_once("## How it was measured").expect("it ends with the method");
    for cell in markdown.lines().filter(|line| line.starts_with("| ")).flat_map(|row| row.split('|')) {
        let cell = cell.trim().replace('\\', "");
        count += 1;
        assert!(text.contains(&cell), "{cell}");
        assert!(cell.is_empty() || html.contains(&format!(">{cell}<")), "{cell}");
    }
    assert!(count > 100, "only {count} cells");
}

#[test]
fn a_page_works_in_a_browser() {
    let hostile = "</script><img src=x onerror=\"console.error('run')\">";
    let runs = [("reactor", 10), ("reactor", 100), (hostile, 10), (hostile, 100)];
    let runs = runs.map(|(name, connections)| samples::run(name, connections, 900.0).to_string());
    let html = printed(&[&saved(&runs.join("\n"))], "--html");
    // Three charts against connections, and for both loads one by percentile and two over time.
    browser::shows(&html, 4 + 2 * 3);
}
