//! A client that waits: `std` alone, and with the crate for what `std` leaves to you.
//!
//! Try it: `cargo run --example 12_blocking_client`
//!
//! What you see: the server is late. `std` is refused and that is that; the crate knocks again,
//! with longer and longer pauses, until somebody opens. From there on both are sockets that block,
//! and one function talks over either.
//!
//! ```text
//! std:       Connection refused (os error 111)
//! the crate: connected after … more tries
//! the crate: "hello" → "HELLO"
//! the crate: "quiet" → nothing within 200ms
//! the crate: our direction is over, the last words come: "GOODBYE"
//! std:       "hello" → "HELLO"
//! ```
//!
//! Nothing is ever sent twice: what is tried again is to connect, before the first byte.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use readyloop::client::{Connect, Connected};

/// How late the server is.
const LATE: Duration = Duration::from_millis(300);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
        Ok(_) => return Err("somebody else listens there by now".into()),
        Err(error) => println!("std:       {error}"),
    }

    let server = thread::spawn(move || {
        thread::sleep(LATE);
        serve(address)
    });
    // One deadline for all of it: the look-up of a name, each of its addresses, every try.
    let connect = Connect { retries: 20, timeout: Duration::from_secs(10), ..Connect::default() };
    let Connected { mut stream, retries, .. } = connect.to(&address.into())?;
    println!("the crate: connected after {retries} more tries");
    println!("the crate: \"hello\" → {:?}", ask(&mut stream, "hello")?);

    // A read that may wait for ever will, some day.
    let patience = Duration::from_millis(200);
    stream.limit_waits(Some(patience))?;
    match ask(&mut stream, "quiet") {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            println!("the crate: \"quiet\" → nothing within {patience:?}");
        }
        other => return Err(format!("not silence: {other:?}").into()),
    }

    // The peer reads the end of what we have to say, and may still answer.
    stream.limit_waits(None)?;
    stream.half_close()?;
    let mut rest = String::new();
    stream.read_to_string(&mut rest)?;
    println!("the crate: our direction is over, the last words come: {:?}", rest.trim_end());

    let mut stream = TcpStream::connect(address)?;
    println!("std:       \"hello\" → {:?}", ask(&mut stream, "hello")?);
    drop(stream);
    server.join().expect("the server does not panic")?;
    Ok(())
}

/// Says a line and waits for one. A read brings what there is, so it is read to the line's end.
fn ask(stream: &mut (impl Read + Write), line: &str) -> io::Result<String> {
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut reply = Vec::new();
    let mut byte = [0];
    while reply.last() != Some(&b'\n') {
        stream.read_exact(&mut byte)?;
        reply.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&reply).trim_end().to_owned())
}

/// Two peers, one after the other: says each line louder, but for one that it keeps to itself.
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
