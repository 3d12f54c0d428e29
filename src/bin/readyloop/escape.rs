//! Makes foreign text safe to print: arguments of the user, and names of servers and machines from files.

/// Text for a report: at most `chars_max` characters, without characters that move a cursor, change the
/// direction of text, or are invalid in XML.
pub(crate) fn plain(text: &str, chars_max: usize) -> String {
    let is_unsafe = |char: char| {
        char.is_control()
            || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(char, '\u{fffe}' | '\u{ffff}' | '\u{feff}')
    };
    cut(text, chars_max).chars().map(|char| if is_unsafe(char) { '\u{fffd}' } else { char }).collect()
}

/// The text, shortened to `chars_max` characters if it is longer.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().nth(chars_max).is_none() {
        return text.to_owned();
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}

/// Escapes text for Markdown, also for table cells.
pub(crate) fn markdown(text: &str) -> String {
    let escape = |char| "\\`*_[]<>|&!~#$".contains(char).then_some('\\');
    text.chars().flat_map(|char| escape(char).into_iter().chain([char])).collect()
}

/// Escapes control characters, so that the text is one line.
pub(crate) fn one_line(text: &str) -> String {
    let escaped = |char: char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_markdown_is_text() {
        assert_eq!(markdown("a|b `<i>` [x](y)"), "a\\|b \\`\\<i\\>\\` \\[x\\](y)");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(one_line("grüße\n\u{1b}[2J"), "grüße\\n\\u{1b}[2J");
    }

    #[test]
    fn no_cursor_moves_and_no_text_turns_around() {
        assert_eq!(plain("a\x1b[2J\u{202e}b\n\u{fffe}", 20), "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}");
        assert_eq!(plain("grüße 漢字", 8), "grüße 漢字");
        assert_eq!(plain("grüße 漢字", 7), "grüße …");
    }
}
