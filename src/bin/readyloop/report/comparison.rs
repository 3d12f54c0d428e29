//! `Comparison`: trials of servers under loads as plain data, which can be saved, merged and drawn.
//!
//! # The schema
//!
//! `compare --json` writes one comparison as JSON with the fields below. `schema` is always
//! `"readyloop.comparison"`, and `version` is [`VERSION`]. The rules of [`Record`] about fields, units and
//! versions apply here too. Each trial that was measured holds a [`Record`]; those of version 1 have records
//! of version 1.

use readyloop::load::Record;
use readyloop::load::record::{Machine, RecordError, RunConfig};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::quantity::{counted, grouped};

/// The name of the schema.
pub(crate) const SCHEMA: &str = "readyloop.comparison";

/// The schema version that this program writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 2;

/// Several servers, measured under several loads in rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// [`SCHEMA`].
    pub(crate) schema: String,
    /// The [`VERSION`] of the program that wrote the file.
    pub(crate) version: u32,
    /// Start time, in seconds since 1970 (UTC).
    pub(crate) begun_unix_s: u64,
    pub(crate) machine: Machine,
    /// Limits of the machine, each with a name and a value.
    pub(crate) limits: Vec<(String, String)>,
    /// The cores of server and generator, or `null` if neither was pinned to a core.
    pub(crate) cores: Option<Cores>,
    /// In the order of the command line.
    pub(crate) servers: Vec<Server>,
    /// In the order of execution.
    pub(crate) trials: Vec<Trial>,
    /// System calls, counted in separate runs, because counting slows a server down.
    pub(crate) calls: Vec<Calls>,
}

/// The cores to which server and generator were pinned. They have cores in common if there were too few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cores {
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) server: Vec<usize>,
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) generator: Vec<usize>,
}

/// Reads the numbers of cores. An older program wrote the number of the only one.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum CoreNumbers {
        One(usize),
        Many(Vec<usize>),
    }

    Ok(match CoreNumbers::deserialize(deserializer)? {
        CoreNumbers::One(core) => vec![core],
        CoreNumbers::Many(cores) => cores,
    })
}

/// A server that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// The command that started it.
    pub(crate) command: String,
}

/// The load on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Load {
    /// Length of a request, in bytes.
    pub(crate) message_bytes: u64,
    /// Connections that carry requests.
    pub(crate) connections: u64,
    /// Additional idle connections.
    pub(crate) idle_connections: u64,
}

/// One run of a fresh server under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) server: String,
    pub(crate) load: Load,
    /// The first is 1.
    pub(crate) round: u64,
    pub(crate) outcome: Outcome,
    /// Whether it replaces a first trial, in which the machine was busy with other work.
    #[serde(default)]
    pub(crate) is_repeated: bool,
}

/// The outcome of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It was measured.
    Measured(Box<Record>),
    /// It could not be measured, for this reason.
    Failed(String),
}

/// System calls per request of a server under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) server: String,
    pub(crate) load: Load,
    pub(crate) per_request: f64,
}

impl Trial {
    /// Whether it was measured while the machine was busy with other work.
    pub(crate) fn was_busy(&self) -> bool {
        match &self.outcome {
            Outcome::Measured(record) => record.other_work.is_notable(),
            Outcome::Failed(_) => false,
        }
    }
}

impl Load {
    /// The number of all connections, with the idle ones.
    pub(crate) fn open(&self) -> u64 {
        self.connections.saturating_add(self.idle_connections)
    }

    /// `100 connections`, or `100 + 900 idle connections`.
    pub(crate) fn phrase(&self) -> String {
        match self.idle_connections {
            0 => counted(self.connections, "connection"),
            idle => format!("{} + {}", grouped(self.connections), counted(idle, "idle connection")),
        }
    }
}

impl From<Record> for Comparison {
    /// A single run is one trial of one server.
    fn from(record: Record) -> Self {
        let server = Server { name: record.name.clone(), command: String::new() };
        let RunConfig { message_bytes, connections, idle_connections, .. } = record.config;
        Self {
            schema: SCHEMA.to_owned(),
            version: VERSION,
            begun_unix_s: record.begun_unix_s,
            machine: record.machine.clone(),
            limits: Vec::new(),
            cores: None,
            trials: vec![Trial {
                server: server.name.clone(),
                load: Load { message_bytes, connections, idle_connections },
                round: 1,
                outcome: Outcome::Measured(Box::new(record)),
                is_repeated: false,
            }],
            servers: vec![server],
            calls: Vec::new(),
        }
    }
}

impl Comparison {
    /// Returns the comparison as one line of JSON.
    pub(crate) fn to_json(&self) -> String {
        let mut json = serde_json::to_string(self).expect("names and numbers can be written");
        json.push('\n');
        json
    }

    /// Reads a comparison or the record of a single run, in this version of the schema or an earlier one.
    ///
    /// # Errors
    /// The text is neither.
    pub(crate) fn from_json(json: &str) -> Result<Self, RecordError> {
        let value: Value = serde_json::from_str(json)?;
        if value["schema"] != SCHEMA {
            return Ok(Record::from_json(json)?.into());
        }
        let version = value["version"].as_u64().unwrap_or(0);
        if version > u64::from(VERSION) {
            return Err(RecordError::TooNew(u32::try_from(version).unwrap_or(u32::MAX)));
        }
        // Again from the text, so that an error has a position.
        let comparison: Self = serde_json::from_str(json)?;
        if comparison.records().all(Record::is_consistent) { Ok(comparison) } else { Err(RecordError::Inconsistent) }
    }

    /// The records of all measured trials.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.trials.iter().filter_map(|trial| match &trial.outcome {
            Outcome::Measured(record) => Some(&**record),
            Outcome::Failed(_) => None,
        })
    }
}
