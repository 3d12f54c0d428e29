//! The prompt: a line editor on a thread of its own, and a printer for replies.
//!
//! A reply that arrives soon is printed before the next prompt is drawn, a later one above the prompt.
//! The line `exit` leaves the prompt, and all other lines are sent.

use std::env;
use std::io::{self, IsTerminal, Write, stderr, stdin, stdout};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};

use crate::cli_error::io_message;

use super::input::{Feed, Input};

/// The text before the input of the user.
const PROMPT: &str = "> ";

/// The line that leaves the prompt.
const EXIT: &str = "exit";

/// The time for the last replies after the prompt is left, short enough for a waiting user.
pub(super) const LAST_REPLIES_TIMEOUT: Duration = Duration::from_millis(500);

/// The most time that the next prompt waits for a reply, which then appears above it.
///
/// Longer than most round trips, and hardly noticeable for a person.
const REPLY_WAIT_MAX: Duration = Duration::from_millis(200);

/// The file for the history, if the environment names one.
fn history_file() -> Option<PathBuf> {
    env::var_os("READYLOOP_HISTORY").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A line editor with its history.
pub(super) struct Prompt {
    editor: DefaultEditor,
    /// Receives a notice after each print; disconnected when the session is over.
    printed: Receiver<()>,
}

impl Prompt {
    /// Opens a prompt and its screen if standard input and output are a capable terminal.
    pub(super) fn open() -> Option<(Self, Screen)> {
        let is_terminal = stdin().is_terminal() && stdout().is_terminal();
        if is_terminal { Self::on_terminal().ok() } else { None }
    }

    fn on_terminal() -> io::Result<(Self, Screen)> {
        // Without bracketed paste, a paste of several lines is sent as several lines.
        let config = Config::builder().bracketed_paste(false).auto_add_history(true).build();
        let mut editor = DefaultEditor::with_config(config).map_err(io_error)?;
        let printer = editor.create_external_printer().map_err(io_error)?;
        let (notify, printed) = sync_channel(1);
        let screen = Screen { printer: Box::new(printer), printed: notify, modes: tcgetattr(stdin())? };
        if let Some(file) = history_file() {
            match editor.load_history(&file) {
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => log::warn!("cannot read {}: {}", file.display(), io_message(&io_error(error))),
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
                    // Discards the notice of an earlier reply.
                    let _ = self.printed.try_recv();
                    if feed.send(Input::Frame(line.into_bytes())).is_err() {
                        return;
                    }
                    if self.printed.recv_timeout(REPLY_WAIT_MAX) == Err(RecvTimeoutError::Disconnected) {
                        // The session is over, and another prompt would change the terminal modes again.
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
            log::warn!("cannot write {}: {}", file.display(), io_message(&io_error(error)));
        }
        let _ = feed.send(last);
    }
}

/// Prints on the terminal while the prompt is open.
pub(super) struct Screen {
    printer: Box<dyn ExternalPrinter>,
    printed: SyncSender<()>,
    /// The modes of the terminal before the first prompt.
    modes: Termios,
}

impl Screen {
    /// Prints whole lines, above the prompt if one is open.
    ///
    /// # Errors
    /// The terminal is closed.
    pub(super) fn print(&mut self, lines: &str) -> io::Result<()> {
        if self.printer.print(lines.to_owned()).is_err() {
            // The prompt has just been left.
            stdout().write_all(lines.as_bytes())?;
        }
        // A notice that is still in the channel is enough.
        let _ = self.printed.try_send(());
        Ok(())
    }

    /// Restores the terminal while the prompt still waits for a line, which cannot be interrupted.
    pub(super) fn leave(self) {
        drop(self.printed);
        // Both fail only if the terminal is closed, and then there is nothing to restore.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.modes);
        let _ = stderr().write_all(b"\r\x1b[K");
    }
}

fn io_error(error: ReadlineError) -> io::Error {
    if let ReadlineError::Io(error) = error { error } else { io::Error::other(error) }
}
