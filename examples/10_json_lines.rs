//! JSON lines: a request on each line, an answer on each line, and errors that name the wrong field.
//!
//! Try it: `cargo run --example 10_json_lines`, then `cargo run -- client 127.0.0.1:7007` and type
//! the text on the left of the arrows:
//!
//! ```text
//! {"id": 1, "op": "sum", "numbers": [1, 2, 39]}  →  {"id":1,"result":42}
//! {"id": 2, "op": "sum", "numbers": [1, "two"]}  →  {"at":"numbers[1]","error":"must be a whole number","id":2}
//! {"id": 3, "op": "sing"}                        →  {"at":"op","error":"must be \"sum\" or \"reverse\"","id":3}
//! {"op": "reverse", "text": "stressed"}          →  {"id":null,"result":"desserts"}
//! {"op"                                          →  {"at":"","error":"EOF while parsing an object at line 1 column 5","id":null}
//! ```
//!
//! A request is checked before it is executed: first that it is JSON, then each field that the
//! operation needs. A wrong request does not close its peer. The length of a line bounds the memory
//! that a peer can use.

use readyloop::{Address, Context, Limits, Lines, Listen, Reactor, Server, ServerLimits, Service};
use serde_json::{Value, json};

/// Longer than any useful request.
const LINE_LEN_MAX: usize = 64 * 1024;

/// A request that has been checked.
enum Request<'a> {
    Sum(Vec<i64>),
    Reverse(&'a str),
}

/// An error in a request. `at` names the field, such as `numbers[1]`, and is empty for the whole request.
struct Invalid {
    at: String,
    error: String,
}

impl Invalid {
    fn new(at: impl Into<String>, error: impl Into<String>) -> Self {
        Self { at: at.into(), error: error.into() }
    }
}

impl<'a> Request<'a> {
    fn check(value: &'a Value) -> Result<Self, Invalid> {
        if !value.is_object() {
            return Err(Invalid::new("", "must be an object"));
        }
        match field(value, "op")?.as_str() {
            Some("sum") => {
                let numbers =
                    field(value, "numbers")?.as_array().ok_or_else(|| Invalid::new("numbers", "must be a list"))?;
                let number = |(index, number): (usize, &Value)| {
                    number.as_i64().ok_or_else(|| Invalid::new(format!("numbers[{index}]"), "must be a whole number"))
                };
                numbers.iter().enumerate().map(number).collect::<Result<_, _>>().map(Self::Sum)
            }
            Some("reverse") => {
                field(value, "text")?.as_str().map(Self::Reverse).ok_or_else(|| Invalid::new("text", "must be a text"))
            }
            Some(_) | None => Err(Invalid::new("op", "must be \"sum\" or \"reverse\"")),
        }
    }

    fn execute(self) -> Result<Value, Invalid> {
        match self {
            Self::Sum(numbers) => {
                let sum = numbers.into_iter().try_fold(0_i64, i64::checked_add);
                sum.map(Value::from).ok_or_else(|| Invalid::new("numbers", "must have a sum of at most 64 bits"))
            }
            Self::Reverse(text) => Ok(text.chars().rev().collect::<String>().into()),
        }
    }
}

fn field<'a>(value: &'a Value, name: &str) -> Result<&'a Value, Invalid> {
    value.get(name).ok_or_else(|| Invalid::new(name, "is missing"))
}

/// The answer to a line.
fn answer(line: &[u8]) -> Value {
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return json!({ "id": null, "at": "", "error": error.to_string() }),
    };
    // With several requests at once, the client tells the answers apart by their ids.
    let id = value.get("id").cloned().unwrap_or_default();
    match Request::check(&value).and_then(Request::execute) {
        Ok(result) => json!({ "id": id, "result": result }),
        Err(Invalid { at, error }) => json!({ "id": id, "at": at, "error": error }),
    }
}

struct Calculator;

impl Service for Calculator {
    type Codec = Lines;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _: &mut (), line: &[u8], cx: &mut Context<Self>) {
        // Compact JSON has no line feed, so each answer is one line.
        cx.send(answer(line).to_string().as_bytes());
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let address: Address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned()).parse()?;
    let limits = Limits { frame_len_max: LINE_LEN_MAX, ..Limits::default() };
    let listen = Listen { limits, ..address.into() };
    let endpoint = server.listen(listen, Lines::new().with_exit(), Calculator)?;
    println!("listening on {}", server.local_address(&endpoint));
    println!("{}", server.run()?);
    Ok(())
}
