//! The page that plays a run, in a real browser.

use super::written;
use crate::support::ScratchPath;
use crate::support::browser::Browser;

/// Steps through a run after the scripts of the page have run, and writes what the page shows into its title.
const STEPS: &str = "<script>{
    const press = (key) => document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    const shown = () => document.getElementById('position').textContent;
    const seen = [];
    press('Home'); seen.push(shown());
    press('ArrowRight'); seen.push(shown());
    press('ArrowRight'); press('ArrowRight'); press('ArrowDown'); press('ArrowUp'); seen.push(shown());
    seen.push(document.querySelector('.card').textContent.includes('reading paused by watermark'));
    press('Escape'); seen.push(document.querySelector('.card') === null);
    document.querySelector('.row:not(.head)').click(); seen.push(document.querySelector('.card h3').textContent);
    press('Home'); press('d'); press('d'); seen.push(shown());
    document.title = seen.join(' | ');
}</script>";

/// Opens the page of a scenario and returns the page after `script`, without messages in the console.
#[track_caller]
fn opened(browser: &Browser, html: &str, script: &str) -> String {
    let page = ScratchPath::with_text("html", &html.replace("</body>", &format!("{script}</body>")));
    let (dom, log) = browser.open(&format!("file://{}", page.text()), &["--dump-dom"]);
    assert!(dom.contains("data-turns=\""), "its script did not run to the end:\n{log}");
    assert!(!log.contains("CONSOLE"), "{log}");
    dom
}

#[test]
fn the_page_steps_through_a_run_by_keys() {
    let html = written("--story backpressure", "html");
    let Some(browser) = Browser::find() else { return };
    let dom = opened(&browser, &html, STEPS);
    let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).expect("a title").0;
    let last = "turn 3, at 0 s";
    let expected = format!(
        "before the first turn | turn 1, at 0 s | turn 3, at 0 s | true | true | peer 010.0.0.1:1024 at tcp://127.0.0.1:7007 | {last}"
    );
    assert_eq!(title, expected);
}

#[test]
fn the_page_of_a_random_run_is_drawn_in_light_and_dark_and_on_a_phone() {
    let html = written("--seed 8", "html");
    let Some(browser) = Browser::find() else { return };
    opened(&browser, &html, "");
    let page = ScratchPath::with_text("html", &html);
    let url = format!("file://{}#turn=30", page.text());
    for (scheme, size) in [(0, "1360,1000"), (1, "1360,1000"), (1, "500,1200")] {
        let picture = ScratchPath::new("png");
        let (shot, size) = (format!("--screenshot={}", picture.text()), format!("--window-size={size}"));
        browser.open(&url, &[&shot, &size, &format!("--blink-settings=preferredColorScheme={scheme}")]);
        let bytes = std::fs::read(picture.text()).expect("there is a picture");
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{} bytes of picture", bytes.len());
    }
}
