//! Other programs as child processes, driven through their input and output.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::process::wait_for_exit;
use super::{Lines, TIMEOUT};

/// A program with pipes as input and output. It is killed on drop.
pub(crate) struct Program {
    child: Child,
    pub(crate) out: Lines,
    pub(crate) errors: Lines,
}

impl Program {
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(name);
        command.args(args);
        Self::run(command)
    }

    /// Starts a command that is already built.
    pub(crate) fn run(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program is installed");
        let out = Lines::of(child.stdout.take().expect("the output is a pipe"));
        let errors = Lines::of(child.stderr.take().expect("the output is a pipe"));
        Self { child, out, errors }
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("the input is open");
        input.write_all(text.as_bytes()).and_then(|()| input.flush()).expect("the program reads");
    }

    /// Waits until a line of its output contains `text`.
    #[track_caller]
    pub(crate) fn prints(&self, text: &str) {
        let printed = self.out.wait_for(TIMEOUT, |lines| lines.iter().any(|line| line.contains(text)));
        assert!(printed, "no `{text}` in:\n{}\n{}", self.out.all().join("\n"), self.errors.all().join("\n"));
    }

    pub(crate) fn running(&self) -> super::Process {
        super::Process { pid: self.child.id() }
    }

    pub(crate) fn signal(&self, name: &str) {
        super::signal(self.child.id(), name);
    }

    /// Ends its input and waits until it exits. Returns the exit status, or `None` after a signal.
    #[track_caller]
    pub(crate) fn ends(mut self) -> Option<i32> {
        self.wait(TIMEOUT)
    }

    /// Like [`ends`](Self::ends), with another deadline. Its output can be read afterwards.
    #[track_caller]
    pub(crate) fn wait(&mut self, within: Duration) -> Option<i32> {
        drop(self.child.stdin.take());
        assert!(self.out.wait_for_the_end(within), "the program does not exit within {within:?}");
        assert!(self.errors.wait_for_the_end(TIMEOUT), "the program does not close its standard error");
        wait_for_exit(&mut self.child, TIMEOUT).code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Has no effect if the program has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
