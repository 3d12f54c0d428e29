//! The charts of a report, as SVG.

use serde_json::json;

use super::samples::{comparison_of, run, trial};
use super::{printed_of, saved};

/// Values of an attribute in a text, in order.
fn attributes<'a>(svg: &'a str, tag: &str, name: &str) -> Vec<&'a str> {
    let (begin, start) = (format!("<{tag}"), format!(" {name}=\""));
    let tags = svg.split(&begin).skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
    tags.filter_map(|tag| tag.split_once(&start)?.1.split('"').next()).collect()
}

#[test]
fn a_figure_is_one_well_formed_drawing() {
    let trials =
        [10, 100].into_iter().flat_map(|load| ["<b>", "threads"].map(|name| trial(name, load, 1, load as f64)));
    let svg = printed_of(&comparison_of(trials), "--svg");
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>") && svg.contains(".style-0"), "{svg}");
    assert_eq!(svg.matches("translate(").count(), 2);
    assert!(!svg.contains("<b>") && svg.contains("&lt;b&gt;"), "{svg}");
    // Every tag is closed by a tag, so an XML parser reads it as well.
    for tag in ["svg", "g", "path", "text", "circle", "title", "rect", "style"] {
        let begins = svg.matches(&format!("<{tag}>")).count() + svg.matches(&format!("<{tag} ")).count();
        assert_eq!(begins, svg.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn a_server_that_did_not_serve_all_has_hollow_points_outside_of_its_line() {
    let all = [10, 100].map(|load| trial("pool", load, 1, 500.0));
    assert!(!printed_of(&comparison_of(all.clone()), "--svg").contains(">hollow"));
    let [served, mut waiting] = all;
    let record = &mut waiting["outcome"]["measured"];
    record["connections"]["silent"] = json!(36);
    record["errors"] = json!([{ "kind": "timed-out", "count": 36, "example": "" }]);
    let svg = printed_of(&comparison_of([served, waiting]), "--svg");
    // Two charts.
    assert_eq!(attributes(&svg, "path", "class").iter().filter(|class| **class == "marker hollow").count(), 2);
    assert!(svg.contains(">hollow: not all served<") && svg.contains(", not all served<"), "{svg}");
}

#[test]
fn every_line_has_a_color_and_a_marker_of_its_own() {
    let trials = (0..6).flat_map(|server| [10, 100].map(|load| trial(&format!("server {server}"), load, 1, 500.0)));
    let svg = printed_of(&comparison_of(trials), "--svg");
    let mut classes = attributes(&svg, "g", "class");
    classes.retain(|class| class.starts_with("style-"));
    classes.sort_unstable();
    classes.dedup();
    assert_eq!(classes, ["style-0", "style-1", "style-2", "style-3", "style-4", "style-5"]);
    let paths = svg.split("class=\"marker\" d=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut shapes: Vec<&str> = paths.filter_map(|path| path.split_once('m')).map(|(_, shape)| shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    assert_eq!(shapes.len(), 6, "{shapes:?}");
}

#[test]
fn dense_markers_are_thinned_but_every_value_can_be_pointed_at() {
    let mut dense = run("reactor", 10, 500.0);
    let piece = dense["series"][0].clone();
    let pieces = (0..1_000_u64).map(|at| {
        let mut piece = piece.clone();
        piece["begin_ns"] = json!(at * 1_000_000);
        piece
    });
    dense["series"] = pieces.collect();
    let html = super::printed(&[&saved(&dense.to_string())], "--html");
    let (_, over_time) = html.split_once("Requests per second over time").expect("there is a chart");
    let chart = over_time.split("</svg>").next().expect("it ends");
    assert_eq!(chart.matches("class=\"point\"").count(), 1_000);
    assert!(chart.matches("class=\"marker\"").count() < 60);
    let numbers = |name| attributes(chart, "circle", name).into_iter().map(|number| number.parse().expect("a number"));
    let [x, y]: [Vec<f64>; 2] = ["cx", "cy"].map(|name| numbers(name).collect());
    assert!(x.iter().all(|x| (0.0..=640.0).contains(x)) && y.iter().all(|y| (0.0..=340.0).contains(y)));
}
