//! `readyloop client` on a pseudo-terminal: tests type keys and read the output.

use std::fmt::Display;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, tcgetattr};

use crate::support::{TIMEOUT, wait_until};

/// A client on a pseudo-terminal.
pub(super) struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<(Mutex<Vec<u8>>, Condvar)>,
    /// Keeps the terminal open, so that its modes can be read after the client has exited.
    line: OwnedFd,
    /// The modes before the client started.
    before: Termios,
}

impl Terminal {
    /// A client for this address.
    pub(super) fn of(address: impl Display, flags: &str) -> Self {
        Self::with_history(address, flags, "")
    }

    /// A client with a file for its history.
    pub(super) fn with_history(address: impl Display, flags: &str, history: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the system has terminals");
        grantpt(&master).expect("the terminal is ours");
        unlockpt(&master).expect("the terminal is ours");
        let name = ptsname(&master, Vec::new()).expect("the terminal has a name");
        let line = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("the terminal is unlocked");
        let before = tcgetattr(&line).expect("it is a terminal");
        let stdio = || Stdio::from(line.try_clone().expect("a descriptor is free"));
        let child = Command::new(env!("CARGO_BIN_EXE_readyloop"))
            .arg("client")
            .arg(address.to_string())
            .args(flags.split_whitespace())
            .env("TERM", "xterm")
            .env("READYLOOP_HISTORY", history)
            .env_remove("RUST_LOG")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .expect("the command starts");
        let screen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let mut drawn = File::from(master.try_clone().expect("a descriptor is free"));
        let shared = Arc::clone(&screen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Fails when the last descriptor of the other side is closed.
            while let Ok(len @ 1..) = drawn.read(&mut buffer) {
                shared.0.lock().expect("no thread panics with the lock").extend_from_slice(&buffer[..len]);
                shared.1.notify_all();
            }
        });
        Self { child, keys: File::from(master), screen, line, before }
    }

    /// Types these keys; Enter is `\r`.
    #[track_caller]
    pub(super) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is open");
    }

    /// Waits until `text` is printed, after the text of the last call.
    #[track_caller]
    pub(super) fn shows(&self, text: &str) -> String {
        let find = |screen: &[u8]| {
            let place = screen.windows(text.len()).position(|window| window == text.as_bytes())?;
            Some(place + text.len())
        };
        let guard = self.screen.0.lock().expect("no thread panics with the lock");
        let waiting = |screen: &mut Vec<u8>| find(screen).is_none();
        let (mut screen, _) =
            self.screen.1.wait_timeout_while(guard, TIMEOUT, waiting).expect("no thread panics with the lock");
        match find(&screen) {
            Some(end) => String::from_utf8_lossy(&screen.drain(..end).collect::<Vec<_>>()).into_owned(),
            None => panic!("no `{text}` in: {}", screen.escape_ascii()),
        }
    }

    /// Whether the terminal has the modes from before the client started.
    pub(super) fn has_original_modes(&self) -> bool {
        let now = tcgetattr(&self.line).expect("it is a terminal");
        let same_local = now.local_modes == self.before.local_modes;
        same_local && now.input_modes == self.before.input_modes && now.output_modes == self.before.output_modes
    }

    /// Waits until the client exits and returns its exit status.
    #[track_caller]
    pub(super) fn ends(&mut self) -> Option<i32> {
        let child = &mut self.child;
        let mut code = None;
        wait_until(TIMEOUT, "the client has exited", || {
            child.try_wait().expect("the child is ours to wait for").map(|status| code = status.code()).is_some()
        });
        code
    }

    /// Leaves the prompt by its command, and waits for a successful exit.
    #[track_caller]
    pub(super) fn leaves(&mut self) {
        self.types("exit\r");
        assert_eq!(self.ends(), Some(0));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Fails if the process has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
