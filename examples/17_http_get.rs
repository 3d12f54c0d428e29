//! A web page over HTTP/1.0: a blocking client and a server, both by hand.
//!
//! Try it: `cargo run --example 17_http_get example.org:80`
//!
//! An HTTP/1.0 response may end with the stream, and a request ends with an empty line. So the client
//! half-closes after its request and reads to the end. A server that treats the half-close as the end
//! of the connection would never send the page. In this crate it ends one direction only. Without an
//! argument the example asks a server of its own:
//!
//! ```text
//! HTTP/1.0 200 OK
//! Content-Type: text/plain
//!
//! This is / of localhost.
//! … 0 open, 0 refused; 35 bytes in, 69 out, …; closed: service 1; …
//! ```

use std::io::{self, Read, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use readyloop::client::{Connect, Connected};
use readyloop::{Address, Context, Handle, Lines, Reactor, Server, ServerLimits, Service, Totals};

/// How long one read may wait.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> anyhow::Result<()> {
    if let Some(arg) = std::env::args().nth(1) {
        let host = arg.rsplit_once(':').map_or(arg.as_str(), |(host, _)| host);
        print!("{}", get(&arg.parse()?, host)?);
        return Ok(());
    }
    let (sender, receiver) = sync_channel(1);
    let server = thread::spawn(move || serve(&sender));
    let (address, handle) = receiver.recv()?;
    print!("{}", get(&address, "localhost")?);
    handle.drain();
    println!("{}", server.join().expect("the server does not panic")?);
    Ok(())
}

/// The page at `/`, with the response header.
fn get(address: &Address, host: &str) -> anyhow::Result<String> {
    let Connected { mut stream, .. } = Connect { retries: 3, ..Connect::default() }.to(address)?;
    stream.apply_timeout(Some(READ_TIMEOUT))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    stream.half_close()?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// A service with one page. Its frames are lines.
struct Pages;

/// The request of a peer, as far as it has arrived.
#[derive(Default)]
struct Request {
    path: String,
    host: String,
}

impl Service for Pages {
    type Codec = Lines;
    type Peer = Request;
    type Message = ();

    fn on_frame(&mut self, request: &mut Request, line: &[u8], cx: &mut Context<'_, Self>) {
        let line = String::from_utf8_lossy(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["GET", path, _version] => request.path = path.to_owned(),
            ["Host:", host] => request.host = host.to_owned(),
            // An empty line ends the request. The peer may have ended its direction already.
            [] => {
                cx.send(b"HTTP/1.0 200 OK\r");
                cx.send(b"Content-Type: text/plain\r");
                cx.send(b"\r");
                cx.send(format!("This is {} of {}.", request.path, request.host).as_bytes());
                cx.finish();
            }
            _ => {}
        }
    }
}

fn serve(sender: &SyncSender<(Address, Handle)>) -> io::Result<Totals> {
    let mut server = Server::new(Reactor::new()?, ServerLimits::default());
    let endpoint =
        server.listen("127.0.0.1:0".parse::<Address>().expect("the address is valid"), Lines::new(), Pages)?;
    sender.send((server.local_address(&endpoint).clone(), server.handle())).expect("main waits for it");
    server.run()
}
