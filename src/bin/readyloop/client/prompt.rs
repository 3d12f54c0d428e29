//! The prompt: a line editor on a thread of its own, and a printer for replies.
//!
//! A reply that arrives soon is printed before the next prompt is drawn, a later one above the prompt.
//! The line `exit` leaves the prompt, and all other lines are sent.

use std::env;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read as _, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};

use crate::cli_error::io_message;

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

/// The first line of a history file.
const HISTORY_HEADER: &[u8] = b"#V2\n";

/// The longest history file that is read: a hundred long lines.
const HISTORY_LEN_MAX: u64 = 1024 * 1024;

/// The file for the history, if the environment names one that may be written.
fn history_file() -> Option<PathBuf> {
    let path = env::var_os("READYLOOP_HISTORY").filter(|path| !path.is_empty()).map(PathBuf::from)?;
    check_history(&path).inspect_err(|reason| log::warn!("no history in {}: {reason}", path.display())).ok()?;
    Some(path)
}

/// Checks that a file does not exist, is empty or is a history. Any other file is left alone.
fn check_history(path: &Path) -> Result<(), String> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|error| io_message(&error))?,
    };
    if !found.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let (mut start, header_len) = (Vec::new(), HISTORY_HEADER.len() as u64);
    let read = File::open(path).and_then(|file| file.take(header_len).read_to_end(&mut start));
    read.map_err(|error| io_message(&error))?;
    if !start.is_empty() && start != HISTORY_HEADER || found.len() > HISTORY_LEN_MAX {
        return Err("it holds something else; name a new file".to_owned());
    }
    Ok(())
}

/// A line editor with its history: an iterator over the lines, until the user leaves.
pub(super) struct Prompt {
    editor: DefaultEditor,
    history: Option<PathBuf>,
    /// Receives a notice after each print; disconnected when the session is over.
    printed: Receiver<()>,
    /// A line was read, so its reply comes before the next prompt.
    awaits_reply: bool,
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
        let history = history_file();
        if let Some(file) = history.as_ref().filter(|file| file.exists())
            && let Err(error) = editor.load_history(file)
        {
            log::warn!("cannot read {}: {}", file.display(), io_message(&io_error(error)));
        }
        Ok((Self { editor, history, printed, awaits_reply: false }, screen))
    }

    fn save_history(&mut self) {
        if let Some(file) = &self.history
            && let Err(error) = self.editor.append_history(file)
        {
            log::warn!("cannot write {}: {}", file.display(), io_message(&io_error(error)));
        }
    }
}

impl Iterator for Prompt {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        if self.awaits_reply && self.printed.recv_timeout(REPLY_WAIT_MAX) == Err(RecvTimeoutError::Disconnected) {
            // The session is over, and another prompt would change the terminal modes again.
            return None;
        }
        let last = match self.editor.readline(PROMPT) {
            Ok(line) if line != EXIT => {
                // Discards the notice of an earlier reply.
                let _ = self.printed.try_recv();
                self.awaits_reply = true;
                return Some(Ok(line.into_bytes()));
            }
            Ok(_) | Err(ReadlineError::Eof | ReadlineError::Interrupted) => None,
            Err(error) => Some(Err(io_error(error))),
        };
        self.save_history();
        last
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

    /// Restores the terminal. The prompt may still wait for a line, which cannot be interrupted.
    pub(super) fn leave(self) {
        drop(self.printed);
        // Both fail only if the terminal is closed, and then there is nothing to restore.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.modes);
        let _ = stdout().write_all(b"\r\x1b[K").and_then(|()| stdout().flush());
    }
}

fn io_error(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        ReadlineError::Errno(number) => number.into(),
        ReadlineError::Eof | ReadlineError::Interrupted | ReadlineError::Signal(_) | _ => {
            io::Error::other("the line editor failed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_history_or_an_empty_file_is_written() {
        let path = env::temp_dir().join(format!("readyloop-{}-history", std::process::id()));
        assert_eq!(check_history(&path), Ok(()), "it does not exist");
        let check = |text: &[u8]| {
            fs::write(&path, text).unwrap();
            check_history(&path)
        };
        assert_eq!(check(b""), Ok(()));
        assert_eq!(check(b"#V2\nhello\n"), Ok(()));
        for text in [&b"my notes\n"[..], b"#V2", b"#V2 notes\n"] {
            assert!(check(text).is_err(), "{}", text.escape_ascii());
        }
        fs::remove_file(&path).unwrap();
        for path in ["/dev/full", "/dev/zero", "/tmp"] {
            assert_eq!(check_history(Path::new(path)), Err("it is not a regular file".to_owned()));
        }
    }
}
