//! A page in a real browser: whether its script ran to its end and complained of nothing.

use std::process::{Command, Stdio};

use crate::support::{ScratchPath, say_loudly};

/// What Chromium is called on one system or another.
const NAMES: [&str; 6] =
    ["chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "google-chrome-stable", "chrome"];

/// Names another one to use.
const VARIABLE: &str = "CHROMIUM";

/// Where there is no network it is not to look for one: what it says of that is not of our page.
const OFFLINE: [&str; 6] = [
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
];

/// A pointer that comes to the first point of the page, once its script has run.
const POINTED_AT: &str = "<script>{
    const point = document.querySelector('svg.chart .point');
    const { x, y, width, height } = point.getBoundingClientRect();
    const at = { clientX: x + width / 2 + 5, clientY: y + height / 2 + 5, bubbles: true };
    point.ownerSVGElement.dispatchEvent(new PointerEvent('pointermove', at));
}</script>";

/// Opens the page: so many charts are there, a point says its value when it is pointed at, nothing is
/// said on the console, and a picture can be taken of it, in light and dark. Without Chromium, says
/// loudly that nothing was tested.
#[track_caller]
pub(super) fn shows(html: &str, charts: usize) {
    let Some(browser) = chromium() else {
        say_loudly(&format!("pages were NOT tested in a browser: there is no Chromium, and {VARIABLE} names none"));
        return;
    };
    let page = ScratchPath::holding("html", &html.replace("</body>", &format!("{POINTED_AT}</body>")));
    let (dom, log) = opened(&browser, &page, &["--dump-dom"]);
    assert!(dom.contains(&format!("data-charts=\"{charts}\"")), "its script did not run to its end:\n{log}");
    assert_eq!(dom.matches("<svg class=\"chart\"").count(), charts);
    assert!(!log.contains("CONSOLE"), "{log}");
    // What it says of the point: its server, its value and where it is.
    let (_, tip) = dom.split_once("<div class=\"tip\"").expect("there is a tip");
    let tip = tip.split("</div>").next().expect("it ends");
    assert!(
        !tip.starts_with(" hidden") && tip.contains(" connections"),
        "a point that is pointed at says nothing: {tip}"
    );
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

/// What the browser prints of the page, and what it logs.
#[track_caller]
fn opened(browser: &str, page: &ScratchPath, args: &[&str]) -> (String, String) {
    let profile = ScratchPath::directory("profile");
    let mut command = Command::new(browser);
    command.args(["--headless", "--disable-gpu", "--enable-logging=stderr", "--window-size=1360,2000"]);
    command.args(OFFLINE);
    // Tests in a container run as root, where its sandbox does not; the page is ours.
    command.arg("--no-sandbox").arg(format!("--user-data-dir={}", profile.text()));
    let output = command.args(args).arg(format!("file://{}", page.text())).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
