//! The servers to compare: the name and the command of each.

use std::str::FromStr;

use readyloop::Framing;

use super::certificate::Certificate;
use super::request_flags::RequestFlags;
use super::tracer::Tracer;
use super::trial_place::TrialPlace;
use crate::child::{RunningServer, ServerCommand, StartOptions};
use crate::report::comparison::Server;
use crate::units::ParseError;

/// A server to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) name: String,
    command: ServerCommand,
}

impl Contender {
    /// `readyloop serve` with this design and the framing and TLS of the requests.
    pub(super) fn design(design: &str, workers: Option<usize>, requests: &RequestFlags) -> Self {
        let workers = workers.filter(|_| design == "pool").map(|workers| format!(" --workers {workers}"));
        let workers = workers.unwrap_or_default();
        let framing = match requests.framing {
            Framing::Raw(_) => String::new(),
            Framing::Lines(_) | Framing::Length(_) | Framing::Fixed(_) => {
                format!(" --framing {}", requests.framing)
            }
        };
        let (scheme, tls) = if requests.is_tls { ("tls", " --cert {cert} --key {key}") } else { ("tcp", "") };
        let listen = format!("--listen {scheme}://127.0.0.1:0");
        let command = format!("readyloop serve {listen} --quiet{tls} --design {design}{workers}{framing}");
        Self { name: design.to_owned(), command: ServerCommand::of_readyloop(command) }
    }

    /// The server as part of a `Comparison`.
    pub(super) fn to_server(&self) -> Server {
        Server { name: self.name.clone(), command: self.command.text.clone() }
    }

    /// Whether the command uses the certificate of the comparison.
    pub(super) fn has_certificate(&self) -> bool {
        self.command.has_certificate()
    }

    /// Starts the server on the cores of servers, under `tracer` if there is one, and waits until it listens.
    ///
    /// # Errors
    /// The reason as a clause, such as `it cannot be started: …`.
    pub(super) fn start(&self, place: &TrialPlace<'_>, tracer: Option<&Tracer>) -> Result<RunningServer, String> {
        let wrapper = tracer.map_or(&[][..], Tracer::words);
        let certificate = place.certificate.map(Certificate::files);
        let options = StartOptions { cores: &place.cores.server, wrapper, certificate, ..StartOptions::default() };
        self.command.start(options, place.interrupt).map_err(|error| error.to_string())
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
