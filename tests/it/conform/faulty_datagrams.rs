//! The datagrams of the faulty server.

use std::net::{SocketAddr, UdpSocket};
use std::process::exit;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

/// Answers datagrams at this port, on a thread of its own.
pub(super) fn start(fault: &str, port: u16) {
    let Ok(socket) = UdpSocket::bind(("127.0.0.1", port)) else { return };
    let fault = fault.to_owned();
    thread::spawn(move || serve(&fault, port, &socket));
}

fn serve(fault: &str, port: u16, socket: &UdpSocket) {
    if fault == "ends-on-an-icmp-error" {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true).expect("the option exists");
    }
    let mut buffer = vec![0; 65_536];
    let mut last = None;
    loop {
        let (len, from) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(_) if fault == "ends-on-an-icmp-error" => exit(1),
            Err(_) => continue,
        };
        // Another echo server would answer the answer.
        if from.port() == port && fault != "answers-other-echo-servers" {
            continue;
        }
        let (answer, to) = answer(fault, socket, &mut buffer, len, from, &mut last);
        // A client that is gone is no error.
        let _ = match fault {
            "ignores-empty-datagrams" if answer.is_empty() => Ok(0),
            "answers-from-another-port" => UdpSocket::bind("127.0.0.1:0").and_then(|other| other.send_to(&answer, to)),
            "answers-twice" => socket.send_to(&answer, to).and_then(|_| socket.send_to(&answer, to)),
            _ => socket.send_to(&answer, to),
        };
    }
}

/// The answer to a datagram, and its destination.
fn answer(
    fault: &str,
    socket: &UdpSocket,
    buffer: &mut [u8],
    len: usize,
    from: SocketAddr,
    last: &mut Option<SocketAddr>,
) -> (Vec<u8>, SocketAddr) {
    let mut answer = buffer[..len].to_vec();
    match fault {
        "cuts-datagrams" => answer.truncate(2048),
        "merges-datagrams" => {
            socket.set_read_timeout(Some(Duration::from_millis(20))).expect("the socket is open");
            if let Ok((more, _)) = socket.recv_from(buffer) {
                answer.extend_from_slice(&buffer[..more]);
            }
            socket.set_read_timeout(None).expect("the socket is open");
        }
        "answers-the-last-client" => return (answer, last.replace(from).unwrap_or(from)),
        _ => {}
    }
    (answer, from)
}
