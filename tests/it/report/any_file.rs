//! Any file is printed or refused, in any form.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::samples::comparison;
use super::{report, saved};
use crate::support::Ended;

const FORMS: [&str; 4] = ["", "--md", "--html", "--svg"];

/// Every value in a JSON text that is no list and no object.
fn leaves<'a>(value: &'a mut Value, all: &mut Vec<&'a mut Value>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| leaves(item, all)),
        Value::Object(fields) => fields.iter_mut().for_each(|(_, field)| leaves(field, all)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => all.push(value),
    }
}

/// A comparison with other values at some places.
fn changed(changes: Vec<(Index, Value)>) -> Value {
    let mut file = comparison();
    for (place, value) in changes {
        let mut all = Vec::new();
        leaves(&mut file, &mut all);
        let place = place.index(all.len());
        *all.swap_remove(place) = value;
    }
    file
}

fn any_value() -> impl Strategy<Value = Value> {
    let fixed = json!([
        0,
        -1,
        u64::MAX,
        253_402_300_800_u64,
        1.7e308,
        -1.7e308,
        5e-324,
        "",
        "x".repeat(65_536),
        "\u{fffe}\u{feff}\u{202e}\u{7}",
        null,
        true,
        [[u64::MAX, u64::MAX]],
        {}
    ]);
    let fixed = fixed.as_array().expect("it is a list").clone();
    prop_oneof![
        prop::sample::select(fixed),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

/// Checks that a report was printed and holds only text, or that the file was refused with two lines.
fn check(ended: &Ended) -> Result<(), TestCaseError> {
    let (out, log) = (ended.out.join("\n"), ended.log_text());
    match ended.code {
        Some(0) => {
            let is_unruly = |char: char| char.is_control() && char != '\n' || ['\u{fffe}', '\u{202e}'].contains(&char);
            prop_assert!(log.is_empty() && !out.contains(is_unruly), "{log}\n{out}");
            prop_assert!(out.len() < 1 << 20, "{} bytes", out.len());
        }
        Some(2) => {
            prop_assert!(out.is_empty() && ended.log.len() == 2 && log.starts_with("readyloop: error: "), "{log}");
        }
        other => prop_assert!(false, "exit status {other:?}: {log}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn any_values_in_a_run_are_printed_or_refused(
        changes in prop::collection::vec((any::<Index>(), any_value()), 1..4),
        form in prop::sample::select(&FORMS[..]),
    ) {
        check(&report(&[&saved(&changed(changes).to_string())], form))?;
    }

    #[test]
    fn any_text_in_a_file_is_refused(
        text in any::<String>(),
        rest in any::<Index>(),
        form in prop::sample::select(&FORMS[..]),
    ) {
        let mut file = comparison().to_string();
        file.truncate(rest.index(file.len()));
        let ended = report(&[&saved(&(file + &text))], form);
        check(&ended)?;
        prop_assert_eq!(ended.code, Some(2));
    }
}
