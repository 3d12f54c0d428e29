//! Any file is printed or refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Form, files};

/// A comparison of two servers with 10 and 100 connections in two rounds.
fn comparison() -> Value {
    serde_json::from_str(include_str!("../../../../tests/it/report/comparison.json")).unwrap()
}

/// Prints the runs in a text in all forms, if it holds runs.
fn print_all(text: &str) -> Option<[String; 4]> {
    let comparisons = files::parse(text).ok()?;
    Some([Form::Text, Form::Markdown, Form::Html, Form::Svg].map(|form| form.print(&comparisons)))
}

/// All values in a JSON text, with their parents.
fn values_in<'a>(value: &'a mut Value, all: &mut Vec<&'a mut Value>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| values_in(item, all)),
        Value::Object(fields) => fields.iter_mut().for_each(|(_, field)| values_in(field, all)),
        other => all.push(other),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(0)),
        Just(json!(-1)),
        Just(json!(u64::MAX)),
        Just(json!(253_402_300_800_u64)),
        Just(json!(1.7e308)),
        Just(json!(5e-324)),
        Just(json!("")),
        Just(json!("x".repeat(65_536))),
        "\\PC{0,20}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("\u{fffe}\u{feff}\u{202e}\u{7}")),
        Just(Value::Null),
        Just(json!(true)),
        Just(json!([[u64::MAX, u64::MAX]])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_values_in_a_run_are_printed_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any_value()), 1..5)) {
        let mut file = comparison();
        for (place, value) in changes {
            let mut all = Vec::new();
            values_in(&mut file, &mut all);
            let place = place.index(all.len());
            *all.swap_remove(place) = value;
        }
        for text in print_all(&file.to_string()).into_iter().flatten() {
            let is_invalid = |char: char| char.is_control() && char != '\n' || matches!(char, '\u{fffe}' | '\u{ffff}' | '\u{202e}');
            prop_assert!(!text.contains(is_invalid));
            prop_assert!(text.len() < 1 << 20, "{} bytes", text.len());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), at in any::<prop::sample::Index>()) {
        let mut file = comparison().to_string();
        prop_assert!(print_all(&file).is_some());
        let _ = files::parse(&text);
        // The text replaces the rest of a file.
        file.truncate(at.index(file.len()));
        prop_assert!(print_all(&(file + &text)).is_none());
    }
}
