//! Is a port open? Open, refused and silent are told apart, each within a deadline.
//!
//! Try it: `cargo run --example 16_port_check localhost:22 192.0.2.1:80`
//!
//! What you see, for each address: that somebody accepts there; or that the machine says no, which
//! is an answer and comes at once; or that nothing comes back at all, as from a firewall that drops
//! what it does not like, a machine that is off, or a server too busy to accept. Of silence one can
//! only say how long it lasted. Without addresses it makes one of each kind on this machine:
//!
//! ```text
//! tcp://127.0.0.1:…  open: accepted within …
//! tcp://127.0.0.1:…  refused: Connection refused (os error 111)
//! tcp://127.0.0.1:…  silent: nothing came back within 500ms
//! ```

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use readyloop::Address;
use readyloop::client::{Connect, ConnectError};
use socket2::{Domain, Socket, Type};

/// Longer than a round trip to the other side of the earth.
const DEADLINE: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.is_empty() {
        for word in words {
            println!("{}", verdict(&word.parse()?));
        }
        return Ok(());
    }
    let open = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", verdict(&open.local_addr()?.into()));
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    println!("{}", verdict(&closed.into()));
    let hole = BlackHole::dig()?;
    println!("{}", verdict(&hole.address.into()));
    Ok(())
}

/// What can be said of an address, in one line.
fn verdict(address: &Address) -> String {
    // A name may stand for several addresses: one that accepts is enough.
    let said = match (Connect { timeout: DEADLINE, ..Connect::default() }).to(address) {
        Ok(connected) => format!("open: accepted within {:?}", connected.took),
        Err(ConnectError::Failed { failures, .. }) => {
            let errors: Vec<String> = failures.iter().map(|(_, error)| error.to_string()).collect();
            format!("refused: {}", errors.join(", "))
        }
        Err(ConnectError::TimedOut { after, .. }) => format!("silent: nothing came back within {after:?}"),
        Err(error @ (ConnectError::LookUp { .. } | ConnectError::System(_))) => format!("unknown: {error}"),
    };
    format!("{address}  {said}")
}

/// A listener whose backlog is full: the kernel drops whatever knocks now.
struct BlackHole {
    address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    fn dig() -> io::Result<Self> {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        listener.listen(0)?;
        let address = listener.local_addr()?.as_socket().expect("it was bound to one");
        let mut waiting = Vec::new();
        // There is room for one or two, whatever it was asked for.
        while let Ok(stream) = TcpStream::connect_timeout(&address, DEADLINE) {
            waiting.push(stream);
        }
        Ok(Self { address, _listener: listener, _waiting: waiting })
    }
}
