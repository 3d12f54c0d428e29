//! Checks a page in a real browser: its script runs to the end and logs nothing.

use std::process::{Command, Stdio};

use crate::support::{ScratchPath, print_note};

/// The names of Chromium on various systems.
const NAMES: [&str; 6] =
    ["chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "google-chrome-stable", "chrome"];

/// An environment variable that names another browser.
const VARIABLE: &str = "CHROMIUM";

/// Flags against background network access, so that the log holds only messages about the page.
const OFFLINE: &str = "--no-first-run --no-default-browser-check --disable-background-networking \
    --disable-component-update --disable-default-apps --disable-sync";

/// Moves the pointer to the first point of the page after its script has run.
const POINTED_AT: &str = "<script>{
    const point = document.querySelector('svg.chart .point');
    const { x, y, width, height } = point.getBoundingClientRect();
    const at = { clientX: x + width / 2 + 5, clientY: y + height / 2 + 5, bubbles: true };
    point.ownerSVGElement.dispatchEvent(new PointerEvent('pointermove', at));
}</script>";

/// Asserts that the page shows this many charts, that a point shows its value under the pointer, that the
/// console stays empty, and that a screenshot can be taken in light and dark. Without Chromium it prints
/// that nothing was tested.
#[track_caller]
pub(super) fn shows(html: &str, charts: usize) {
    let Some(browser) = chromium() else {
        print_note(&format!("pages were NOT tested in a browser: there is no Chromium, and {VARIABLE} names none"));
        return;
    };
    let page = ScratchPath::with_text("html", &html.replace("</body>", &format!("{POINTED_AT}</body>")));
    let (dom, log) = opened(&browser, &page, &["--dump-dom"]);
    assert!(dom.contains(&format!("data-charts=\"{charts}\"")), "its script did not run to the end:\n{log}");
    assert_eq!(dom.matches("<svg class=\"chart\"").count(), charts);
    assert!(!log.contains("CONSOLE"), "{log}");
    // The tip shows the server, the value and the position of the point.
    let (_, tip) = dom.split_once("<div class=\"tip\"").expect("there is a tip");
    let tip = tip.split("</div>").next().expect("it ends");
    let is_shown = !tip.starts_with(" hidden") && tip.contains(" connections");
    assert!(is_shown, "a point under the pointer shows nothing: {tip}");
    for setting in ["preferredColorScheme=1", "preferredColorScheme=0"] {
        let picture = ScratchPath::new("png");
        let shot = format!("--screenshot={}", picture.text());
        let (_, log) = opened(&browser, &page, &[&shot, &format!("--blink-settings={setting}")]);
        let bytes = std::fs::read(picture.text()).unwrap_or_else(|error| panic!("no picture: {error}\n{log}"));
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{} bytes of picture", bytes.len());
    }
}

fn chromium() -> Option<String> {
    let named = std::env::var(VARIABLE).ok().filter(|name| !name.is_empty());
    let known = NAMES.iter().map(|name| (*name).to_owned());
    named.into_iter().chain(known).find(|name| {
        let quiet = || Stdio::null();
        let asked = Command::new(name).arg("--version").stdin(quiet()).stdout(quiet()).stderr(quiet()).status();
        asked.is_ok_and(|status| status.success())
    })
}

/// The output and the log of the browser for the page.
#[track_caller]
fn opened(browser: &str, page: &ScratchPath, args: &[&str]) -> (String, String) {
    let profile = ScratchPath::directory("profile");
    let mut command = Command::new(browser);
    command.args(["--headless", "--disable-gpu", "--enable-logging=stderr", "--window-size=1360,2000"]);
    command.args(OFFLINE.split(' '));
    // In a container tests run as root, and the sandbox of Chromium does not work there. The page is ours.
    command.arg("--no-sandbox").arg(format!("--user-data-dir={}", profile.text()));
    let output = command.args(args).arg(format!("file://{}", page.text())).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
