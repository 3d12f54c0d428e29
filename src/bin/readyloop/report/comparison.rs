//! `Comparison`: trials of servers under loads as plain data, to be kept, merged and drawn again.
//!
//! # The schema
//!
//! `compare --json` writes one comparison as JSON. Its members are the fields below under their names;
//! `schema` is always `"readyloop.comparison"`, `version` is [`VERSION`]. What is said of fields, units
//! and versions of a [`Record`] holds here as well, and each trial that took place holds one.

use readyloop::load::Record;
use readyloop::load::record::{Machine, RecordError};
use serde::{Deserialize, Serialize};

/// What every comparison calls itself.
pub(crate) const SCHEMA: &str = "readyloop.comparison";

/// The version of the schema that is written, and the latest that is read.
pub(crate) const VERSION: u32 = 1;

/// Servers under loads, in rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// [`SCHEMA`].
    pub(crate) schema: String,
    /// [`VERSION`] of the program that wrote it.
    pub(crate) version: u32,
    /// When it began, in seconds since 1970 (UTC).
    pub(crate) begun_unix_s: u64,
    pub(crate) machine: Machine,
    /// What the machine allows at most: a name and a value each.
    pub(crate) limits: Vec<(String, String)>,
    /// The cores of server and generator; `null` where each ran where the kernel let it.
    pub(crate) cores: Option<Cores>,
    /// In the order they were asked for.
    pub(crate) servers: Vec<Server>,
    /// In the order they took place.
    pub(crate) trials: Vec<Trial>,
    /// System calls, counted in runs of their own: counting them slows a server down.
    pub(crate) calls: Vec<Calls>,
}

/// Which core is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) generator: usize,
}

/// A server that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// How it was started.
    pub(crate) command: String,
}

/// What a server is put under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Load {
    /// The length of a request.
    pub(crate) message_bytes: u64,
    /// Connections that carry requests.
    pub(crate) connections: u64,
    /// Connections beside them that carry nothing.
    pub(crate) idle_connections: u64,
}

/// One server, fresh, under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) server: String,
    pub(crate) load: Load,
    /// The first is 1.
    pub(crate) round: u64,
    pub(crate) outcome: Outcome,
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It was measured.
    Measured(Box<Record>),
    /// It could not be, for this reason.
    Failed(String),
}

/// The system calls of a server for each request under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) server: String,
    pub(crate) load: Load,
    pub(crate) per_request: f64,
}

impl Load {
    /// All connections, idle ones as well.
    pub(crate) fn open(&self) -> u64 {
        self.connections.saturating_add(self.idle_connections)
    }

    /// The load of a run.
    fn of(record: &Record) -> Self {
        let asked = &record.config;
        let (connections, idle_connections) = (asked.connections, asked.idle_connections);
        Self { message_bytes: asked.message_bytes, connections, idle_connections }
    }
}

impl From<Record> for Comparison {
    /// A run by itself is one trial of one server.
    fn from(record: Record) -> Self {
        let server = Server { name: record.name.clone(), command: String::new() };
        Self {
            schema: SCHEMA.to_owned(),
            version: VERSION,
            begun_unix_s: record.begun_unix_s,
            machine: record.machine.clone(),
            limits: Vec::new(),
            cores: None,
            trials: vec![Trial {
                server: server.name.clone(),
                load: Load::of(&record),
                round: 1,
                outcome: Outcome::Measured(Box::new(record)),
            }],
            servers: vec![server],
            calls: Vec::new(),
        }
    }
}

impl Comparison {
    /// As JSON, with its line end.
    pub(crate) fn to_json(&self) -> String {
        let mut json = serde_json::to_string(self).expect("names and numbers can be written");
        json.push('\n');
        json
    }

    /// Reads a comparison, or a record of a single run, in this version of its schema or an earlier one.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn from_json(json: &str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default)]
            schema: String,
            #[serde(default)]
            version: u32,
        }
        let head: Head = serde_json::from_str(json)?;
        match head {
            Head { schema, .. } if schema != SCHEMA => Ok(Record::from_json(json)?.into()),
            Head { version, .. } if version > VERSION => Err(RecordError::TooNew(version)),
            Head { .. } => {
                let comparison: Self = serde_json::from_str(json)?;
                let is_consistent = |record: &Record| record.latency.is_consistent();
                if comparison.records().all(is_consistent) { Ok(comparison) } else { Err(RecordError::Inconsistent) }
            }
        }
    }

    /// All that were measured.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.trials.iter().filter_map(|trial| match &trial.outcome {
            Outcome::Measured(record) => Some(&**record),
            Outcome::Failed(_) => None,
        })
    }
}
