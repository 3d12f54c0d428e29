//! The prompt: a line editor on a thread of its own, and the way to print beside it.
//!
//! A reply that comes soon is printed before the next prompt is drawn, any other above it. Nothing
//! here knows what the lines mean, except `exit`.

use std::env;
use std::io::{self, Write, stderr, stdin, stdout};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};

use super::input::{Feed, Input};

/// What stands where one types.
const PROMPT: &str = "> ";

/// What is typed to leave.
const EXIT: &str = "exit";

/// How long the next prompt waits for a reply to be printed before it: longer than most networks
/// take, and no time for a person.
const REPLY_WAIT_MAX: Duration = Duration::from_millis(200);

/// The file that keeps the history, if one was named.
fn history_file() -> Option<PathBuf> {
    env::var_os("READYLOOP_HISTORY").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A line editor with what it remembers.
pub(super) struct Prompt {
    editor: DefaultEditor,
    /// Told when something was printed; closed when nothing will be any more.
    printed: Receiver<()>,
}

impl Prompt {
    /// A prompt, and what prints beside it whatever has been typed so far.
    ///
    /// # Errors
    /// There is no terminal, or it cannot be drawn on.
    pub(super) fn open() -> io::Result<(Self, Screen)> {
        // A paste of several lines is several lines to send, not one.
        let config = Config::builder().bracketed_paste(false).auto_add_history(true).build();
        let mut editor = DefaultEditor::with_config(config).map_err(io_error)?;
        let printer = editor.create_external_printer().map_err(io_error)?;
        let (notify, printed) = sync_channel(1);
        let screen = Screen { printer: Box::new(printer), printed: notify, modes: tcgetattr(stdin())? };
        if let Some(file) = history_file() {
            match editor.load_history(&file) {
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => log::warn!("cannot read {}: {error}", file.display()),
                Ok(()) => {}
            }
        }
        Ok((Self { editor, printed }, screen))
    }

    /// Reads lines until the user leaves.
    pub(super) fn read_lines(mut self, feed: &Feed) {
        let last = loop {
            match self.editor.readline(PROMPT) {
                Ok(line) if line == EXIT => break Input::End,
                Ok(line) => {
                    // What was printed before has nothing to do with this line.
                    let _ = self.printed.try_recv();
                    if feed.send(Input::Frame(line.into_bytes())).is_err() {
                        return;
                    }
                    if self.printed.recv_timeout(REPLY_WAIT_MAX) == Err(RecvTimeoutError::Disconnected) {
                        // The conversation is over: one more prompt would take the terminal again.
                        return;
                    }
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => break Input::End,
                Err(error) => break Input::Failed(io_error(error)),
            }
        };
        if let Some(file) = history_file()
            && let Err(error) = self.editor.save_history(&file)
        {
            log::warn!("cannot write {}: {error}", file.display());
        }
        let _ = feed.send(last);
    }
}

/// The terminal beside the prompt.
pub(super) struct Screen {
    printer: Box<dyn ExternalPrinter>,
    printed: SyncSender<()>,
    /// How the terminal was before the first prompt.
    modes: Termios,
}

impl Screen {
    /// Prints whole lines, above the prompt if there is one.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn print(&mut self, lines: &str) -> io::Result<()> {
        if self.printer.print(lines.to_owned()).is_err() {
            // The last prompt has just been left.
            stdout().write_all(lines.as_bytes())?;
        }
        // That something was printed before and not heard of yet is as good.
        let _ = self.printed.try_send(());
        Ok(())
    }

    /// Leaves a prompt that is still waiting for its line: that cannot be broken off, so the
    /// terminal is brought back to how it was before.
    pub(super) fn leave(self) {
        drop(self.printed);
        // Whatever fails here, the terminal is gone, and with it who could be told.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.modes);
        let _ = stderr().write_all(b"\r\x1b[K");
    }
}

fn io_error(error: ReadlineError) -> io::Error {
    if let ReadlineError::Io(error) = error { error } else { io::Error::other(error) }
}
