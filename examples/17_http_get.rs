//! A page of a web server: HTTP/1.0 by hand, on both sides.
//!
//! Try it: `cargo run --example 17_http_get example.org:80`
//!
//! What you see: the page. In HTTP/1.0 a response may end where the stream does, and a request ends
//! at its empty line; so the client can end its direction right behind that, and read to the end.
//! A server that took the end of the request for the end of the peer would throw the page away.
//! This crate's does not: an end is the end of one direction. Without an address there is such a
//! server in here:
//!
//! ```text
//! HTTP/1.0 200 OK
//! Content-Type: text/plain
//!
//! You asked for / of localhost.
//! 1 connection, 0 open, 0 refused; 35 bytes in, 75 out, …; closed: service 1; …
//! ```

use std::io::{self, Read, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use readyloop::client::{Connect, Connected};
use readyloop::{Address, Context, Handle, Lines, Reactor, Server, ServerLimits, Service, Totals};

/// The longest that the server may be silent in the middle of a page.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(word) = std::env::args().nth(1) {
        let host = word.rsplit_once(':').map_or(word.as_str(), |(host, _)| host);
        print!("{}", get(&word.parse()?, host)?);
        return Ok(());
    }
    let (tell, told) = sync_channel(1);
    let server = thread::spawn(move || serve(&tell));
    let (address, handle) = told.recv()?;
    print!("{}", get(&address, "localhost")?);
    handle.drain();
    println!("{}", server.join().expect("the server does not panic")?);
    Ok(())
}

/// The page at `/`, with the head of the response.
fn get(address: &Address, host: &str) -> Result<String, Box<dyn std::error::Error>> {
    let Connected { mut stream, .. } = Connect { retries: 3, ..Connect::default() }.to(address)?;
    stream.limit_waits(Some(PATIENCE))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    stream.half_close()?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// A server with one page. What it hears are lines.
struct Pages;

/// What a peer has asked for so far.
#[derive(Default)]
struct Request {
    path: String,
    host: String,
}

impl Service for Pages {
    type Peer = Request;
    type Message = ();

    fn on_frame(&mut self, request: &mut Request, line: &[u8], cx: &mut Context<'_, '_>) {
        let line = String::from_utf8_lossy(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["GET", path, _version] => request.path = path.to_owned(),
            ["Host:", host] => request.host = host.to_owned(),
            // The end of the request. Whether the peer has ended its direction by now is all the same.
            [] => {
                cx.send(b"HTTP/1.0 200 OK\r");
                cx.send(b"Content-Type: text/plain\r");
                cx.send(b"\r");
                cx.send(format!("You asked for {} of {}.", request.path, request.host).as_bytes());
                cx.finish();
            }
            _ => {}
        }
    }
}

fn serve(tell: &SyncSender<(Address, Handle)>) -> io::Result<Totals> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let endpoint = server.listen("127.0.0.1:0".parse::<Address>().expect("an address"), Lines::new(), Pages)?;
    tell.send((server.local_address(&endpoint).clone(), server.handle())).expect("somebody waits for it");
    server.run()
}
