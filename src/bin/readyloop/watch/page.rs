//! The page that plays a run: one self-contained HTML file with the log of the run and a script.
//!
//! The page loads nothing. Its content comes from peers, so it is escaped here and shown as text by the script.

use maud::{Markup, PreEscaped, html};
use readyloop::run_log::{RunLog, TurnStep};
use readyloop::trace::Lesson;

use super::data;
use crate::html_page::page;

const STYLE: &str = include_str!("page.css");
/// The script: the log and its states, then the drawing, then the controls.
const SCRIPTS: [&str; 3] = [include_str!("run.js"), include_str!("draw.js"), include_str!("controls.js")];

/// The buttons: what each does, its sign, its name and its key.
const BUTTONS: [(&str, &str, &str, &str); 7] = [
    ("first", "|◀", "first turn", "Home"),
    ("fault-back", "◀ fault", "fault before", "Shift+F"),
    ("back", "◀ turn", "turn before", "←"),
    ("play", "▶", "play or pause", "Space"),
    ("next", "▶ turn", "next turn", "→"),
    ("line", "▼ line", "next line of the turn", "↓"),
    ("fault", "fault ▶", "next fault", "F"),
];

/// What each key does, beside those of the buttons.
const KEYS: [(&str, &str); 5] = [
    ("↑ ↓", "line by line"),
    ("D", "next decision"),
    ("J K", "follow another connection"),
    ("O", "only its lines"),
    ("Esc", "follow none"),
];

/// The page of a run.
pub(super) fn print(log: &RunLog) -> String {
    let title = &log.title;
    let body = html! {
        header {
            h1 { (title) }
            ul class="endpoints" { @for endpoint in &log.endpoints { li { b { (endpoint.name) } " " (endpoint.service) } } }
            @if log.turns_left_out > 0 { p { "The log was full: " (log.turns_left_out) " turns are left out at the end." } }
        }
        @if log.turns.is_empty() {
            p { "The run has no turns." }
        } @else {
            (player())
            script type="application/json" id="run" { (PreEscaped(data::print(log))) }
        }
    };
    let scripts: &[&str] = if log.turns.is_empty() { &[] } else { &SCRIPTS };
    page(&format!("{title}, a run of readyloop"), &[STYLE], scripts, &body)
}

/// The controls and the views, which the script fills.
fn player() -> Markup {
    html! {
        (controls())
        main {
            div class="left" { (loop_state()) div id="followed" {} section class="connections" { h2 { "Connections" } div id="list" {} } }
            section class="story" {
                h2 { "Story" label { input type="checkbox" id="only"; " only the followed connection" } }
                div id="story" {}
            }
        }
        footer {
            p { "“(lesson 7)” names the lesson of the course in " code { (Lesson::FOLDER) } " that explains a line." }
            p class="keys" {
                @for (_, _, name, key) in BUTTONS { span { kbd { (key) } " " (name) } }
                @for (key, name) in KEYS { span { kbd { (key) } " " (name) } }
            }
        }
    }
}

fn controls() -> Markup {
    html! {
        nav aria-label="Playback" {
            div class="timeline" {
                canvas id="timeline" {}
                i id="playhead" {}
                input type="range" id="scrub" min="0" value="0" aria-label="Turn";
            }
            div class="buttons" {
                @for (id, sign, name, key) in BUTTONS {
                    button type="button" id=(id) title={ (name) " (" (key) ")" } aria-label=(name) { (sign) }
                }
                select id="speed" aria-label="Speed" {
                    option value="line" { "line by line" }
                    option value="1" { "1 turn/s" }
                    option value="4" selected { "4 turns/s" }
                    option value="20" { "20 turns/s" }
                    option value="60" { "60 turns/s" }
                }
                output id="position" {}
            }
        }
    }
}

fn loop_state() -> Markup {
    html! {
        section class="loop" {
            h2 { "Turn" }
            ol id="steps" { @for step in TurnStep::ALL { li title=(about(step)) { span { (step.name()) } b {} } } }
            div id="tiles" {}
        }
    }
}

/// The work of a step, for the pointer above its name.
const fn about(step: TurnStep) -> &'static str {
    match step {
        TurnStep::Sleep => "The poll sleeps until an event or a deadline. Meanwhile the peers act.",
        TurnStep::Dispatch => "Each event sets readiness bits and marks its peer.",
        TurnStep::Deliver => "Messages of other threads are delivered, and requests such as a drain are carried out.",
        TurnStep::Accept => "Connections are accepted from the backlog, within the limits.",
        TurnStep::Connect => "Outbound connections are begun.",
        TurnStep::Serve => "Marked peers are served: read, pass frames to the service, write. Each has a budget.",
        TurnStep::Expire => "Deadlines and timers that have passed take effect.",
        TurnStep::Reap => "Closed peers are reported with one reason each, and removed.",
    }
}
