//! Opens pages in Chromium, without a window.

use std::process::{Command, Stdio};

use super::{ScratchPath, print_note};

/// The names of Chromium on various systems.
const NAMES: [&str; 6] =
    ["chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "google-chrome-stable", "chrome"];

/// An environment variable that names another browser.
const VARIABLE: &str = "CHROMIUM";

/// Flags against background network access, so that the log holds only messages about the page.
const OFFLINE: &str = "--no-first-run --no-default-browser-check --disable-background-networking \
    --disable-component-update --disable-default-apps --disable-sync";

/// A browser that is installed.
pub(crate) struct Browser(String);

impl Browser {
    /// Finds one, or prints that nothing was tested.
    pub(crate) fn find() -> Option<Self> {
        let named = std::env::var(VARIABLE).ok().filter(|name| !name.is_empty());
        let known = NAMES.iter().map(|name| (*name).to_owned());
        let found = named.into_iter().chain(known).find(|name| {
            let quiet = || Stdio::null();
            let asked = Command::new(name).arg("--version").stdin(quiet()).stdout(quiet()).stderr(quiet()).status();
            asked.is_ok_and(|status| status.success())
        });
        if found.is_none() {
            print_note(&format!("pages were NOT tested in a browser: there is no Chromium, and {VARIABLE} names none"));
        }
        found.map(Self)
    }

    /// Opens a page. Returns the output and the log of the browser.
    #[track_caller]
    pub(crate) fn open(&self, url: &str, args: &[&str]) -> (String, String) {
        let profile = ScratchPath::directory("profile");
        let mut command = Command::new(&self.0);
        command.args(["--headless", "--disable-gpu", "--enable-logging=stderr", "--window-size=1360,2000"]);
        command.args(OFFLINE.split(' '));
        // In a container tests run as root, and the sandbox of Chromium does not work there. The page is ours.
        command.arg("--no-sandbox").arg(format!("--user-data-dir={}", profile.text()));
        let output = command.args(args).arg(url).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    }
}
