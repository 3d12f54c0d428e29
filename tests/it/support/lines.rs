//! The lines that a child process prints, read by a thread until the child has closed the pipe.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Default)]
struct Printed {
    lines: Vec<String>,
    ended: bool,
}

/// The lines printed so far.
#[derive(Clone)]
pub(crate) struct Lines {
    state: Arc<(Mutex<Printed>, Condvar)>,
}

impl Lines {
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        let state = Arc::new((Mutex::new(Printed::default()), Condvar::new()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                shared.0.lock().expect("no reader panics").lines.push(line);
                shared.1.notify_all();
            }
            shared.0.lock().expect("no reader panics").ended = true;
            shared.1.notify_all();
        });
        Self { state }
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.state.0.lock().expect("no reader panics").lines.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.state.0.lock().expect("no reader panics").lines.len()
    }

    /// Waits until `enough` holds for the lines, `within` has passed, or the pipe has ended. Returns
    /// whether `enough` holds.
    pub(crate) fn wait_for(&self, within: Duration, enough: impl Fn(&[String]) -> bool) -> bool {
        let guard = self.state.0.lock().expect("no reader panics");
        let waiting = |state: &mut Printed| !state.ended && !enough(&state.lines);
        let (state, _) = self.state.1.wait_timeout_while(guard, within, waiting).expect("no reader panics");
        enough(&state.lines)
    }

    /// Waits until the pipe has ended. Returns whether it ended within `within`.
    pub(crate) fn wait_for_the_end(&self, within: Duration) -> bool {
        let guard = self.state.0.lock().expect("no reader panics");
        let (state, _) =
            self.state.1.wait_timeout_while(guard, within, |state| !state.ended).expect("no reader panics");
        state.ended
    }
}
