//! Connecting: refusals, silence, several addresses, and retries.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::program::{Client, FAILURE, accept, listener, reset};
use crate::support::{ScratchPath, Serve, TIMEOUT};

#[test]
fn a_refused_port_and_a_missing_socket_path_are_errors() {
    // Nothing listens there any more.
    let address = listener().1;
    let ran = Client::to(address).with("--retries 0").fed(b"");
    ran.failed(FAILURE, &[&format!("cannot connect to tcp://{address}"), "connection refused (os error 111)"]);
    let ran = Client::to(address).with("--retries 2").fed(b"");
    ran.failed(FAILURE, &["connection refused", "(3 tries)"]);
    let path = ScratchPath::new("sock");
    let ran = Client::to(format_args!("unix:{}", path.text())).with("--retries 0").fed(b"");
    ran.failed(FAILURE, &[path.text(), "no such file or directory"]);
}

#[test]
fn an_unknown_name_is_an_error() {
    let ran = Client::to("no-such-host.invalid:80").fed(b"");
    assert_eq!(ran.code, Some(FAILURE), "{:?}", ran.log);
    let [error, hint] = &ran.log[..] else { panic!("{:?}", ran.log) };
    // Without a resolver, the look-up times out.
    let parts = ["cannot look up no-such-host.invalid:80", "cannot connect to tcp://no-such-host.invalid:80"];
    assert!(parts.iter().any(|part| error.contains(part)) && hint.starts_with("hint: "), "{:?}", ran.log);
}

#[test]
fn silence_ends_at_the_connect_timeout() {
    // A listener with a full backlog: the kernel drops new connections.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    listener.listen(0).expect("it is bound");
    let address = listener.local_addr().expect("it is bound").as_socket().expect("it is TCP");
    let mut waiting = Vec::new();
    let deadline = Instant::now() + TIMEOUT;
    // The kernel queues a few more than requested.
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        assert!(Instant::now() < deadline, "the backlog does not fill up");
        waiting.push(stream);
    }
    let ran = Client::to(address).with("--connect-timeout 500ms --retries 9").fed(b"");
    ran.failed(FAILURE, &[&address.to_string(), "no reply within 500ms"]);
    assert!(ran.took >= Duration::from_millis(500) && ran.took < TIMEOUT / 2, "{:?}", ran.took);
}

#[test]
fn a_name_with_both_families_connects_to_the_one_that_accepts() {
    // On many machines, this name has both loopback addresses, and the server listens on one.
    let server = Serve::new().start();
    let address = format!("localhost:{}", server.address().port());
    let ran = Client::to(address).with("--retries 0").fed(b"hello");
    ran.printed(b"hello");
    assert!(ran.took < TIMEOUT / 4, "{:?}", ran.took);
    server.drain();
}

#[test]
fn retries_continue_until_a_server_listens() {
    // Nothing listens there any more.
    let address = listener().1;
    let mut client = Client::to(address).with("--retries 1000 --connect-timeout 20s -v").start();
    let tries = |lines: &[String]| lines.iter().filter(|line| line.contains("; retry ")).count();
    assert!(client.log.wait_for(TIMEOUT, |lines| tries(lines) >= 3), "{:?}", client.log.all());
    let server = Serve::bare().listen(&address.to_string()).start();
    client.feed(b"at last");
    let ran = client.wait();
    assert_eq!((ran.code, ran.out.escape_ascii().to_string()), (Some(0), "at last".to_owned()), "{:?}", ran.log);
    assert!(ran.log.iter().any(|line| line.contains("retry 3 of 1000")), "{:?}", ran.log);
    server.drain();
}

#[test]
fn a_retry_never_sends_data_twice() {
    // The peer resets the connection after it received the request.
    let (listener, address) = listener();
    let mut client = Client::to(address).with("--retries 5").start();
    client.feed(b"charge my card\n");
    let mut peer = accept(&listener);
    peer.read_exact(&mut [0]).expect("the request comes");
    reset(peer);
    client.wait().failed(FAILURE, &["reset the connection"]);
    listener.set_nonblocking(true).expect("it is open");
    let again = listener.accept();
    assert!(again.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "the client connected again");
}
