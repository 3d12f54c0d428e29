//! A blocking client: with `std` alone, and with the crate's retries and deadlines.
//!
//! Try it: `cargo run --example 12_blocking_client`
//!
//! The server starts late. `std` is refused and fails; the crate retries with growing pauses until
//! the server listens. Afterwards both are blocking sockets, and one function works with either.
//!
//! ```text
//! std:       Connection refused (os error 111)
//! the crate: connected after … retries
//! the crate: "hello" → "HELLO"
//! the crate: "quiet" → no reply within 200ms
//! the crate: after our half-close the server sends: "GOODBYE"
//! std:       "hello" → "HELLO"
//! ```
//!
//! Only connecting is retried, before the first byte. So nothing is ever sent twice.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use readyloop::client::{Connect, Connected};

/// How late the server starts.
const START_DELAY: Duration = Duration::from_millis(300);

fn main() -> anyhow::Result<()> {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
        Ok(_) => anyhow::bail!("another program listens on {address} already"),
        Err(error) => println!("std:       {error}"),
    }

    let server = thread::spawn(move || {
        thread::sleep(START_DELAY);
        serve(address)
    });
    // One deadline for the lookup of a name, all its addresses and all retries.
    let connect = Connect { retries: 20, timeout: Duration::from_secs(10), ..Connect::default() };
    let Connected { mut stream, retries, .. } = connect.to(&address.into())?;
    println!("the crate: connected after {retries} retries");
    println!("the crate: \"hello\" → {:?}", request(&mut stream, "hello")?);

    // Without a timeout, a read can block forever.
    let timeout = Duration::from_millis(200);
    stream.apply_timeout(Some(timeout))?;
    match request(&mut stream, "quiet") {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            println!("the crate: \"quiet\" → no reply within {timeout:?}");
        }
        Err(error) => return Err(error.into()),
        Ok(reply) => anyhow::bail!("the server replied {reply:?}"),
    }

    // The peer reads the end of our input, and can still reply.
    stream.apply_timeout(None)?;
    stream.half_close()?;
    let mut rest = String::new();
    stream.read_to_string(&mut rest)?;
    println!("the crate: after our half-close the server sends: {:?}", rest.trim_end());

    let mut stream = TcpStream::connect(address)?;
    println!("std:       \"hello\" → {:?}", request(&mut stream, "hello")?);
    drop(stream);
    server.join().expect("the server does not panic")?;
    Ok(())
}

/// Sends a line and reads one. One read may return only part of it.
fn request(stream: &mut (impl Read + Write), line: &str) -> io::Result<String> {
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut reply = Vec::new();
    let mut byte = [0];
    while reply.last() != Some(&b'\n') {
        stream.read_exact(&mut byte)?;
        reply.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&reply).trim_end().to_owned())
}

/// Serves two peers, one after the other. Replies to each line in upper case, except to "quiet".
fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    for peer in listener.incoming().take(2) {
        let mut peer = peer?;
        for line in BufReader::new(peer.try_clone()?).lines() {
            match line?.as_str() {
                "quiet" => {}
                line => writeln!(peer, "{}", line.to_uppercase())?,
            }
        }
        writeln!(peer, "GOODBYE")?;
    }
    Ok(())
}
