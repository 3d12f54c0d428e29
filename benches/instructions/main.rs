//! Instructions of the event loop for one echoed message in each framing, counted by callgrind: a regression test.
//!
//! The server runs over a network in memory, so the kernel and the clock have no part in the count. Each count is the
//! difference of two runs with different numbers of messages, so start and end of the program have none either. The
//! same program counts the same each time.
//!
//! ```text
//! cargo bench --bench instructions                  compares with benches/instructions/counts.txt; 15 s
//! cargo bench --bench instructions -- --update      writes that file
//! ```
//!
//! The exit status is 1 if a message needs over 3 % more instructions than in the file, and 77 without valgrind. Other
//! versions of the tools count differently. Then both counts are printed, and nothing is decided.

mod memory;

use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use readyloop::codec::ByteCodec;
use readyloop::service::Echo;
use readyloop::{Address, Fixed, Length, Lines, Raw, Server, ServerLimits};

use memory::{MESSAGE_LEN, Memory, PEERS};

/// The names of the framings in the table and on the command line.
const FRAMINGS: [&str; 4] = ["raw", "lines", "length", "fixed"];

/// A count may be this much higher than the one in the file.
const TOLERANCE: f64 = 0.03;

/// Turns of the two runs. Each turn serves one message of each peer.
const TURNS: [u64; 2] = [1_000, 11_000];

/// The exit status for a test that was not run, as automake defines it.
const SKIPPED: u8 = 77;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/counts.txt");

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["--run", framing, turns] => run(framing, turns).map(|()| ExitCode::SUCCESS),
        ["--bench"] => compare(),
        ["--update", "--bench"] | ["--bench", "--update"] => update(),
        // `cargo test --all-targets` only checks that each framing runs.
        [] => FRAMINGS.iter().try_for_each(|framing| run(framing, "10")).map(|()| ExitCode::SUCCESS),
        _ => Err(anyhow::anyhow!("the only argument is --update")),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("instructions: error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Echoes messages in this framing for a number of turns.
fn run(framing: &str, turns: &str) -> Result<()> {
    let turns: u64 = turns.parse()?;
    let text = |len: usize| vec![b'x'; len];
    match framing {
        "raw" => echo(Raw, text(MESSAGE_LEN), turns),
        "lines" => echo(Lines::new(), [text(MESSAGE_LEN - 1), vec![b'\n']].concat(), turns),
        "length" => {
            let head = u32::try_from(MESSAGE_LEN - 4)?.to_be_bytes();
            echo(Length::default(), [head.to_vec(), text(MESSAGE_LEN - 4)].concat(), turns)
        }
        "fixed" => echo(Fixed::new(MESSAGE_LEN), text(MESSAGE_LEN), turns),
        _ => bail!("no framing {framing}"),
    }
}

fn echo(codec: impl ByteCodec + 'static, message: Vec<u8>, turns: u64) -> Result<()> {
    let mut server = Server::new(Memory::new(message), ServerLimits::default());
    let address: Address = "10.0.0.1:7007".parse()?;
    server.listen(address, codec, Echo::new())?;
    // The first turn only accepts.
    for _ in 0..=turns {
        server.turn(None)?;
    }
    let ledger = server.totals().peers.ledger;
    let bytes = turns * (PEERS * MESSAGE_LEN) as u64;
    ensure!((ledger.bytes_read, ledger.bytes_written) == (bytes, bytes), "not all was echoed: {ledger:?}");
    Ok(())
}

/// The instructions for one message in each framing; `None` without valgrind.
fn count_all() -> Result<Option<Vec<u64>>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIP: valgrind is not installed (apt-get install valgrind)");
        return Ok(None);
    }
    let each = |framing: &&str| -> Result<u64> {
        let [short, long] = [count(framing, TURNS[0])?, count(framing, TURNS[1])?];
        Ok((long - short) / ((TURNS[1] - TURNS[0]) * PEERS as u64))
    };
    FRAMINGS.iter().map(each).collect::<Result<_>>().map(Some)
}

/// The instructions of a whole run.
fn count(framing: &str, turns: u64) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(env::current_exe()?).args(["--run", framing, &turns.to_string()]);
    let output = command.output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {}\n{report}", output.status);
    let number = report.lines().find_map(|line| line.split_once("Collected : ")?.1.parse().ok());
    number.with_context(|| format!("valgrind prints no count:\n{report}"))
}

/// The versions of the tools that change the counts.
fn tools() -> Result<String> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = |mut command: Command| -> Result<String> { Ok(String::from_utf8(command.output()?.stdout)?) };
    let mut compiler = Command::new(rustc);
    compiler.arg("-vV");
    let text = version(compiler)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc prints no host")?;
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--version");
    Ok(format!("{}, {host}, {}", text.lines().next().unwrap_or_default(), version(valgrind)?.trim()))
}

fn update() -> Result<ExitCode> {
    let Some(counts) = count_all()? else { return Ok(ExitCode::from(SKIPPED)) };
    let rows = FRAMINGS.iter().zip(counts).map(|(framing, count)| format!("{framing} {count}\n"));
    let text = format!("{}\n{}", tools()?, rows.collect::<String>());
    fs::write(FILE, &text).with_context(|| format!("cannot write {FILE}"))?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn compare() -> Result<ExitCode> {
    let text = fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}; write it with `-- --update`"))?;
    let (tools_before, rows) = text.split_once('\n').context("the file of counts is empty")?;
    let Some(counts) = count_all()? else { return Ok(ExitCode::from(SKIPPED)) };
    let tools = tools()?;
    println!("instructions for one message of {MESSAGE_LEN} bytes");
    println!("{:<10} {:>8} {:>8} {:>8}", "framing", "before", "now", "change");
    let mut is_worse = false;
    for (framing, now) in FRAMINGS.iter().zip(counts) {
        let before = rows.lines().find_map(|row| row.strip_prefix(framing)?.trim().parse::<u64>().ok());
        let before = before.with_context(|| format!("{FILE} has no count of {framing}"))?;
        let change = now as f64 / before as f64 - 1.0;
        is_worse |= TOLERANCE < change;
        println!("{framing:<10} {before:>8} {now:>8} {:>+7.1}%", 100.0 * change);
    }
    if tools != tools_before {
        println!("nothing is decided, because the counts before are those of {tools_before}, and now it is {tools}");
    } else if is_worse {
        println!("FAIL: over {:.0} % more; if that is intended, run with -- --update", 100.0 * TOLERANCE);
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
