//! Your own protocol: a small dictionary with one command per line.
//!
//! Try it: `cargo run --example 06_your_protocol`, then `nc 127.0.0.1 7007` and type:
//!
//! ```text
//! you type                you see
//!
//! put cat Felis catus  →  ok
//! ask cat              →  Felis catus
//! ask dog              →  error: nothing is stored under `dog`
//! drop cat             →  ok
//! sing                 →  error: no command is called `sing`: type put, ask, drop, count or quit
//! quit                 →  goodbye, 5 commands
//! ```
//!
//! The framing splits the input into lines, so the service gets whole commands. It answers a wrong
//! command with an error, and finishes a peer that sends three of them in a row. The number of words
//! and the length of a line are limited, because any client may send them.

use std::collections::HashMap;

use readyloop::{Address, Context, Limits, Lines, Listen, Reactor, Server, ServerLimits, Service};
use thiserror::Error;

/// With lines of at most [`LINE_LEN_MAX`] bytes, all words and meanings take at most 10 MB.
const WORDS_MAX: usize = 10_000;
/// Longer than any line that a person types.
const LINE_LEN_MAX: usize = 1000;
/// More mistakes than a person makes in a row, so the peer is a program with another protocol.
const MISTAKES_IN_A_ROW_MAX: u32 = 3;

/// The command in a line.
enum Command<'a> {
    Put { word: &'a [u8], meaning: &'a [u8] },
    Ask { word: &'a [u8] },
    Drop { word: &'a [u8] },
    Count,
    Quit,
}

/// Why a command failed. The text is sent to the peer.
#[derive(Debug, Error)]
enum Mistake {
    #[error("no command is called `{0}`: type put, ask, drop, count or quit")]
    UnknownCommand(String),
    #[error("`{0}` needs {1} after it")]
    Incomplete(&'static str, &'static str),
    #[error("nothing is stored under `{0}`")]
    UnknownWord(String),
    #[error("the store is full with {WORDS_MAX} words: drop one first")]
    StoreFull,
}

impl<'a> Command<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Mistake> {
        let (name, rest) = split(line);
        let word = |command| if rest.is_empty() { Err(Mistake::Incomplete(command, "a word")) } else { Ok(rest) };
        match name {
            b"put" => match split(rest) {
                (_, []) => Err(Mistake::Incomplete("put", "a word and its meaning")),
                (word, meaning) => Ok(Self::Put { word, meaning }),
            },
            b"ask" => Ok(Self::Ask { word: word("ask")? }),
            b"drop" => Ok(Self::Drop { word: word("drop")? }),
            b"count" => Ok(Self::Count),
            b"quit" => Ok(Self::Quit),
            other => Err(Mistake::UnknownCommand(printable(other))),
        }
    }
}

/// The first word of some text, and what follows it.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

/// Bytes of a peer, escaped so that they are safe to show on a terminal.
fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// State of one peer.
#[derive(Default)]
struct PeerState {
    commands: u64,
    mistakes_in_a_row: u32,
}

/// The dictionary, which all peers share. It needs no lock, because one thread serves all peers.
#[derive(Default)]
struct Store {
    meanings: HashMap<Vec<u8>, Vec<u8>>,
}

impl Store {
    fn execute(&mut self, command: Command<'_>, peer: &PeerState, cx: &mut Context<'_, Self>) -> Result<(), Mistake> {
        let unknown = |word| Mistake::UnknownWord(printable(word));
        match command {
            Command::Put { word, meaning } => {
                if self.meanings.len() >= WORDS_MAX && !self.meanings.contains_key(word) {
                    return Err(Mistake::StoreFull);
                }
                self.meanings.insert(word.to_vec(), meaning.to_vec());
                cx.send(b"ok");
            }
            Command::Ask { word } => cx.send(self.meanings.get(word).ok_or_else(|| unknown(word))?),
            Command::Drop { word } => {
                self.meanings.remove(word).ok_or_else(|| unknown(word))?;
                cx.send(b"ok");
            }
            Command::Count => cx.send(self.meanings.len().to_string().as_bytes()),
            Command::Quit => {
                cx.send(format!("goodbye, {} commands", peer.commands).as_bytes());
                // The queued reply is sent first.
                cx.finish();
            }
        }
        Ok(())
    }
}

impl Service for Store {
    type Codec = Lines;
    type Peer = PeerState;
    type Message = ();

    fn on_frame(&mut self, peer: &mut PeerState, line: &[u8], cx: &mut Context<'_, Self>) {
        let done = Command::parse(line).and_then(|command| self.execute(command, peer, cx));
        peer.commands += 1;
        match done {
            Ok(()) => peer.mistakes_in_a_row = 0,
            Err(mistake) => {
                peer.mistakes_in_a_row += 1;
                cx.send(format!("error: {mistake}").as_bytes());
                if peer.mistakes_in_a_row == MISTAKES_IN_A_ROW_MAX {
                    cx.finish();
                }
            }
        }
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let listen = Listen {
        limits: Limits { frame_len_max: LINE_LEN_MAX, ..Limits::default() },
        ..Listen::from(address.parse::<Address>()?)
    };
    let endpoint = server.listen(listen, Lines::new(), Store::default())?;
    println!("listening on {}", server.local_address(&endpoint));
    println!("{}", server.run()?);
    Ok(())
}
