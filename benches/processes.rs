//! Throughput of two processes of `serve --processes` on two cores, as a ratio to one process on one core.
//!
//! Each core has one process of the server and one load generator, both pinned to it. So the load for a core is
//! the same in both cases, and a server without shared state has a ratio of 2. The kernel decides which process
//! gets a connection, so each generator has connections to both processes, in equal numbers on average.
//!
//! ```text
//! cargo bench --bench processes                  7 rounds of 3 s, each with one and with two processes
//! cargo bench --bench processes -- 3             3 rounds
//! ```
//!
//! It needs Linux, taskset(1), and two cores without other work.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::{env, fs, io};

use serde_json::Value;

const READYLOOP: &str = env!("CARGO_BIN_EXE_readyloop");

const ROUNDS: usize = 7;

/// Connections of each generator: so many that the kernel spreads them evenly.
const CONNECTIONS: &str = "400";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A server that is ended on drop.
struct Server {
    child: Child,
    address: String,
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a server with this number of processes, each pinned to a core of its own.
    fn start(processes: usize) -> Result<Self> {
        let mut command = Command::new(READYLOOP);
        command.args(["serve", "-q", "-l", "127.0.0.1:0", "--processes", &processes.to_string()]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on tcp://").ok_or("the server does not listen")?.to_owned();
        let server = Self { child, address, _output: output };
        let pid = server.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let own = pid.to_string();
        let pids = if processes == 1 { vec![own.as_str()] } else { children.split_whitespace().collect() };
        for (core, pid) in pids.into_iter().enumerate() {
            let pinned = Command::new("taskset").args(["-a", "-c", "-p", &core.to_string(), pid]).output()?;
            if !pinned.status.success() {
                return Err("taskset cannot pin the server".into());
            }
        }
        Ok(server)
    }

    /// Loads it from one generator on each of the first `cores` cores. Returns the answers per second of all.
    fn rate(&self, cores: usize) -> Result<f64> {
        let start = |core: usize| {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string(), READYLOOP, "bench", &self.address, "-c", CONNECTIONS]);
            command.args(["-d", "3s", "-w", "1s", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
        };
        let generators = (0..cores).map(start).collect::<io::Result<Vec<Child>>>()?;
        let outputs = generators.into_iter().map(Child::wait_with_output).collect::<io::Result<Vec<Output>>>()?;
        outputs.iter().map(rate_of).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn rate_of(output: &Output) -> Result<f64> {
    let record: Value = serde_json::from_slice(&output.stdout)?;
    let rate = record["rate_per_s"].as_f64().filter(|_| output.status.success());
    rate.ok_or_else(|| "a load generator has failed".into())
}

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let argument = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let rounds = argument.map_or(Ok(ROUNDS), |text| text.parse())?.max(1);
    let mut out = io::stdout();
    writeln!(out, "{:>5} {:>14} {:>14} {:>7}", "round", "1 process", "2 processes", "ratio")?;
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let one = Server::start(1)?.rate(1)?;
        let two = Server::start(2)?.rate(2)?;
        writeln!(out, "{round:>5} {one:>12.0}/s {two:>12.0}/s {:>7.2}", two / one)?;
        ratios.push(two / one);
    }
    ratios.sort_by(f64::total_cmp);
    let (median, least, most) = (ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1]);
    writeln!(out, "two processes: {median:.2} times one (from {least:.2} to {most:.2})")?;
    Ok(())
}
