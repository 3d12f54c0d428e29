//! Is a port open, closed, or silent? Each answer comes within a deadline.
//!
//! Try it: `cargo run --example 16_port_check localhost:22 192.0.2.1:80`
//!
//! - open: a server accepts connections.
//! - refused: the machine answers at once that no server listens.
//! - silent: no answer comes at all. A firewall drops the packets, the machine is off, or the
//!   server is too busy to accept.
//!
//! Without arguments the example checks one port of each kind on this machine:
//!
//! ```text
//! tcp://127.0.0.1:…  open: accepted within …
//! tcp://127.0.0.1:…  refused: Connection refused (os error 111)
//! tcp://127.0.0.1:…  silent: no answer within 500ms
//! ```

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use readyloop::Address;
use readyloop::client::{Connect, ConnectError};
use socket2::{Domain, Socket, Type};

/// Longer than a round trip to the other side of the earth.
const TIMEOUT: Duration = Duration::from_millis(500);

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if !args.is_empty() {
        for arg in args {
            println!("{}", check(&arg.parse()?));
        }
        return Ok(());
    }
    let open = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", check(&open.local_addr()?.into()));
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    println!("{}", check(&closed.into()));
    let silent = SilentListener::new()?;
    println!("{}", check(&silent.address.into()));
    Ok(())
}

/// The state of a port, in one line. A name may resolve to several addresses; one that accepts is enough.
fn check(address: &Address) -> String {
    let state = match (Connect { timeout: TIMEOUT, ..Connect::default() }).to(address) {
        Ok(connected) => format!("open: accepted within {:?}", connected.took),
        Err(ConnectError::Failed { failures, .. }) => {
            let errors: Vec<String> = failures.iter().map(|(_, error)| error.to_string()).collect();
            format!("refused: {}", errors.join(", "))
        }
        Err(ConnectError::TimedOut { after, .. }) => format!("silent: no answer within {after:?}"),
        Err(error @ (ConnectError::LookUp { .. } | ConnectError::System(_))) => format!("unknown: {error}"),
    };
    format!("{address}  {state}")
}

/// A listener with a full backlog, so that the kernel drops every further connect.
struct SilentListener {
    address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl SilentListener {
    fn new() -> io::Result<Self> {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        listener.listen(0)?;
        let address = listener.local_addr()?.as_socket().expect("the socket is bound to an IP address");
        let mut waiting = Vec::new();
        // A backlog of 0 still takes one or two connections.
        while let Ok(stream) = TcpStream::connect_timeout(&address, TIMEOUT) {
            waiting.push(stream);
        }
        Ok(Self { address, _listener: listener, _waiting: waiting })
    }
}
