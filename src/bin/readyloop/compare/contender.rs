//! The servers to compare: the name and the command of each.

use std::str::FromStr;

use readyloop::Framing;

use super::tracer::Tracer;
use crate::child::{Interrupt, RunningServer, ServerCommand, StartOptions};
use crate::report::comparison::Server;
use crate::units::ParseError;

/// A server to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) name: String,
    command: ServerCommand,
}

impl Contender {
    /// `readyloop serve` with this design and this framing.
    pub(super) fn design(design: &str, workers: Option<usize>, framing: Framing) -> Self {
        let workers = workers.filter(|_| design == "pool").map(|workers| format!(" --workers {workers}"));
        let workers = workers.unwrap_or_default();
        let framing = match framing {
            Framing::Raw(_) => String::new(),
            Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_) => format!(" --framing {framing}"),
        };
        let command = format!("readyloop serve --listen 127.0.0.1:0 --quiet --design {design}{workers}{framing}");
        Self { name: design.to_owned(), command: ServerCommand::of_readyloop(command) }
    }

    /// The server as part of a `Comparison`.
    pub(super) fn to_server(&self) -> Server {
        Server { name: self.name.clone(), command: self.command.text.clone() }
    }

    /// Starts the server on `core`, under `tracer` if there is one, and waits until it listens.
    ///
    /// # Errors
    /// The reason as a clause, such as `it cannot be started: …`.
    pub(super) fn start(
        &self,
        core: Option<usize>,
        tracer: Option<&Tracer>,
        interrupt: &Interrupt,
    ) -> Result<RunningServer, String> {
        let wrapper = tracer.map_or(&[][..], Tracer::words);
        let options = StartOptions { core, wrapper, ..StartOptions::default() };
        self.command.start(options, interrupt).map_err(|error| error.to_string())
    }
}

/// Parses `NAME=COMMAND`.
impl FromStr for Contender {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once('=') {
            Some((name, command)) if !name.trim().is_empty() && !command.trim().is_empty() => {
                Ok(Self { name: name.trim().to_owned(), command: ServerCommand::of_shell(command.trim()) })
            }
            Some(_) | None => Err(ParseError::new(
                "not of the form NAME=COMMAND",
                "use a name, `=` and a command, such as 'other=./other-server --port {port}'",
            )),
        }
    }
}
