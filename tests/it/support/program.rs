//! Other programs that talk to the server, by their input and output.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::TIMEOUT;
use super::lines::Lines;

/// A program with pipes for its input and output; killed if it has not ended by its drop.
pub(crate) struct Program {
    child: Child,
    pub(crate) out: Lines,
    pub(crate) errors: Lines,
}

impl Program {
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(name);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it is installed");
        let out = Lines::of(child.stdout.take().expect("a pipe"));
        let errors = Lines::of(child.stderr.take().expect("a pipe"));
        Self { child, out, errors }
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("it is open");
        input.write_all(text.as_bytes()).and_then(|()| input.flush()).expect("it reads");
    }

    #[track_caller]
    pub(crate) fn prints(&self, text: &str) {
        let printed = self.out.wait_for(TIMEOUT, |lines| lines.iter().any(|line| line.contains(text)));
        assert!(printed, "no `{text}` in:\n{}\n{}", self.out.all().join("\n"), self.errors.all().join("\n"));
    }

    /// It, as the system shows it.
    pub(crate) fn running(&self) -> super::Process {
        super::Process { pid: self.child.id() }
    }

    pub(crate) fn signal(&self, name: &str) {
        super::signal(self.child.id(), name);
    }

    /// Ends its input and waits for its end.
    #[track_caller]
    pub(crate) fn ends(mut self) -> Option<i32> {
        self.wait(TIMEOUT)
    }

    /// The same, where it may take longer and is asked for its last words.
    #[track_caller]
    pub(crate) fn wait(&mut self, within: Duration) -> Option<i32> {
        drop(self.child.stdin.take());
        assert!(self.out.wait_for_the_end(within), "it does not end");
        // What it said last is read as well.
        assert!(self.errors.wait_for_the_end(TIMEOUT), "it does not end");
        self.child.wait().expect("the child is ours").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
