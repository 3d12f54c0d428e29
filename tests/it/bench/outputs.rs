//! The output files of a run.

use super::*;
use crate::support::ScratchPath;

#[test]
fn every_output_is_written_although_another_one_fails() {
    let (server, address) = echo("");
    let page = ScratchPath::new("html");
    let ended = bench(&format!("{address} -n 10 --hgrm /dev/full --html {}", page.text())).run();
    ends_with(&ended, 1, &["readyloop: error: cannot write /dev/full: "]);
    assert!(ended.out[0].starts_with("tcp echo, "), "{:?}", ended.out);
    let html = std::fs::read_to_string(page.text()).expect("the page was written");
    assert!(html.starts_with("<!") && html.trim_end().ends_with("</html>"), "{} bytes", html.len());
    server.drain();
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_run() {
    // Nothing listens there, so a run would fail with status 1.
    let path = ScratchPath::new("out");
    let path = path.text();
    for (flags, part) in [
        (format!("--hgrm {path} --html {path}"), "is the path of another output"),
        (format!("--hgrm {path}/none/file"), "cannot write --hgrm"),
        ("--html /".to_owned(), "cannot write --html /: it is a directory"),
    ] {
        ends_with(&bench(&format!("127.0.0.1:1 {flags}")).run(), 2, &["readyloop: error: ", part]);
    }
    assert!(!std::path::Path::new(path).exists());
}
