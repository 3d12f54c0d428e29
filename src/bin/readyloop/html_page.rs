//! The frame of a self-contained HTML page, which loads nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The content security policy: the page may use only its own styles.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The rest of the policy of a page with scripts of its own.
const POLICY_OF_SCRIPTS: &str = "; script-src 'unsafe-inline'";

/// A page with this body, which the scripts follow.
pub(crate) fn page(title: &str, styles: &[&str], scripts: &[&str], body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy"
                    content={ (POLICY) @if !scripts.is_empty() { (POLICY_OF_SCRIPTS) } };
                meta name="viewport" content="width=device-width";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="data:,";
                style { @for style in styles { (PreEscaped(style)) } }
            }
            body {
                (body)
                @for script in scripts { script { (PreEscaped(script)) } }
            }
        }
    };
    page.into_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_with_scripts_may_run_them() {
        let page = |scripts: &[&str]| page("a < b", &["i{}"], scripts, &html! { p { "text" } });
        assert!(!page(&[]).contains("script"));
        let with_script = page(&["run()"]);
        assert!(with_script.contains("img-src data:; script-src 'unsafe-inline'\""), "{with_script}");
        assert!(with_script.contains("<title>a &lt; b</title>"), "{with_script}");
        assert!(with_script.ends_with("<p>text</p><script>run()</script></body></html>\n"), "{with_script}");
    }
}
