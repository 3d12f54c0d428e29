//! The prompt: a line editor on a thread of its own, and the way to print above it.
//!
//! It knows nothing of what the lines mean, except `exit`.

use std::env;
use std::io::{self, Write, stderr, stdin};
use std::path::PathBuf;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};

use super::input::{Feed, Input};

/// What stands where one types.
const PROMPT: &str = "> ";

/// What is typed to leave.
const EXIT: &str = "exit";

/// The file that keeps the history, if one was named.
fn history_file() -> Option<PathBuf> {
    env::var_os("READYLOOP_HISTORY").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A line editor with what it remembers.
pub(super) struct Prompt {
    editor: DefaultEditor,
}

impl Prompt {
    /// A prompt, and what prints above it whatever has been typed so far.
    ///
    /// # Errors
    /// There is no terminal, or it cannot be drawn on.
    pub(super) fn open() -> io::Result<(Self, Screen)> {
        // A paste of several lines is several lines to send, not one.
        let config = Config::builder().bracketed_paste(false).auto_add_history(true).build();
        let mut editor = DefaultEditor::with_config(config).map_err(system)?;
        let printer = editor.create_external_printer().map_err(system)?;
        let screen = Screen { printer: Box::new(printer), modes: tcgetattr(stdin())? };
        if let Some(file) = history_file() {
            match editor.load_history(&file) {
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => log::warn!("cannot read {}: {error}", file.display()),
                Ok(()) => {}
            }
        }
        Ok((Self { editor }, screen))
    }

    /// Reads lines until the user leaves.
    pub(super) fn read_lines(mut self, feed: &Feed) {
        let last = loop {
            match self.editor.readline(PROMPT) {
                Ok(line) if line == EXIT => break Input::End,
                Ok(line) => {
                    if feed.give(Input::Frame(line.into_bytes())).is_err() {
                        return;
                    }
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => break Input::End,
                Err(error) => break Input::Failed(system(error)),
            }
        };
        if let Some(file) = history_file()
            && let Err(error) = self.editor.save_history(&file)
        {
            log::warn!("cannot write {}: {error}", file.display());
        }
        let _ = feed.give(last);
    }
}

/// The terminal above the prompt.
pub(super) struct Screen {
    printer: Box<dyn ExternalPrinter>,
    /// How the terminal was before the first prompt.
    modes: Termios,
}

impl Screen {
    /// Prints whole lines above the prompt.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn print(&mut self, lines: String) -> io::Result<()> {
        self.printer.print(lines).map_err(system)
    }

    /// Leaves a prompt that is still waiting for its line: that cannot be broken off, so the
    /// terminal is brought back to how it was before.
    pub(super) fn leave(&self) {
        // Whatever fails here, the terminal is gone, and with it who could be told.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.modes);
        let _ = stderr().write_all(b"\r\x1b[K");
    }
}

fn system(error: ReadlineError) -> io::Error {
    if let ReadlineError::Io(error) = error { error } else { io::Error::other(error) }
}
