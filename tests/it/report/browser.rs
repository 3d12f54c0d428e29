//! Checks a page in a real browser: its script runs to the end and logs nothing.

use crate::support::ScratchPath;
use crate::support::browser::Browser;

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
    let Some(browser) = Browser::find() else { return };
    let page = ScratchPath::with_text("html", &html.replace("</body>", &format!("{POINTED_AT}</body>")));
    let url = format!("file://{}", page.text());
    let (dom, log) = browser.open(&url, &["--dump-dom"]);
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
        let (_, log) = browser.open(&url, &[&shot, &format!("--blink-settings={setting}")]);
        let bytes = std::fs::read(picture.text()).unwrap_or_else(|error| panic!("no picture: {error}\n{log}"));
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{} bytes of picture", bytes.len());
    }
}
