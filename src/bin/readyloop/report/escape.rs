//! Escapes foreign text for each output format. Names of servers and machines come from files and
//! command lines.
//!
//! Escaped text opens no tag, ends no table cell, and moves no cursor.

/// Replaces characters that move a cursor or change the direction of text.
pub(crate) fn plain(text: &str) -> String {
    let is_unruly = |char: char| char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|char| if is_unruly(char) { '\u{fffd}' } else { char }).collect()
}

/// Escapes text for HTML and SVG, also for quoted attributes.
pub(crate) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in plain(text).chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Escapes text for Markdown, also for table cells.
pub(crate) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in plain(text).chars() {
        if "\\`*_[]<>|&!~#$".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text() {
        assert_eq!(xml("<script>\"&'"), "&lt;script&gt;&quot;&amp;&#39;");
        assert_eq!(markdown("a|b `<i>` [x](y)"), "a\\|b \\`\\<i\\>\\` \\[x\\](y)");
    }

    #[test]
    fn no_cursor_moves_and_no_text_turns_around() {
        assert_eq!(plain("a\x1b[2J\u{202e}b\n"), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
        assert_eq!(xml("\0"), "\u{fffd}");
        assert_eq!(plain("grüße 漢字"), "grüße 漢字");
    }
}
