//! One manual page. The sections of the long help become sections of the page.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// The name of a page, without the number of its section.
pub(super) fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

/// The page of a command, in the format of man(7).
pub(super) fn render(command: &Command) -> String {
    // The sections of the help are rendered here, since clap_mangen would fill their lines.
    let bare = command.clone().after_long_help("").after_help("");
    let man = Man::new(bare).title(name(command).to_uppercase());
    let mut bytes = Vec::new();
    let rendered = man
        .render_title(&mut bytes)
        .and_then(|()| man.render_name_section(&mut bytes))
        .and_then(|()| man.render_synopsis_section(&mut bytes))
        .and_then(|()| man.render_description_section(&mut bytes))
        .and_then(|()| man.render_options_section(&mut bytes))
        .and_then(|()| if command.has_subcommands() { man.render_subcommands_section(&mut bytes) } else { Ok(()) })
        .and_then(|()| help_sections(command).to_writer(&mut bytes));
    // A vector takes every byte, and the texts of the help are UTF-8.
    rendered.ok().and_then(|()| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// The sections of the long help: a line in capitals at the margin begins one.
fn help_sections(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let is_heading = |line: &str| line.starts_with(|char: char| char.is_ascii_uppercase());
    let mut is_open = false;
    for line in help.lines() {
        if is_heading(line) {
            if is_open {
                roff.control("fi", []);
            }
            roff.control("SH", [line]).control("nf", []);
            is_open = true;
        } else {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
    }
    if is_open {
        roff.control("fi", []);
    }
    roff
}
