//! `DatagramPeer`: a UDP socket that exchanges datagrams with the server.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::connection::is_timeout;
use super::pattern::Pattern;
use super::verdict::{Checked, Stop};
use super::wait::{CHECK_INTERVAL, Wait};
use crate::cli_error::io_message;
use crate::quantity::counted;

/// The longest datagram over IPv4: 65,535 bytes without the headers of IP and UDP (RFC 768, RFC 791).
pub(super) const DATAGRAM_LEN_MAX: usize = 65_507;

/// How often a datagram is sent before it counts as unanswered, because datagrams may be lost.
const TRIES: u32 = 4;

/// Time to wait for the answer to one datagram.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// A UDP socket. It is not connected, so that answers from other addresses are seen.
pub(super) struct DatagramPeer<'a> {
    socket: UdpSocket,
    server: SocketAddr,
    wait: Wait<'a>,
}

impl<'a> DatagramPeer<'a> {
    pub(super) fn new(socket: UdpSocket, server: SocketAddr, wait: Wait<'a>) -> Checked<Self> {
        let interval = Some(CHECK_INTERVAL);
        let set_up = socket.set_read_timeout(interval).and_then(|()| socket.set_write_timeout(interval));
        set_up.map_err(|error| Stop::of_call("cannot set up a UDP socket", &error))?;
        Ok(Self { socket, server, wait })
    }

    pub(super) fn send(&self, datagram: &[u8]) -> Checked {
        loop {
            match self.socket.send_to(datagram, self.server) {
                Ok(_) => return Ok(()),
                // The error of an earlier datagram, which ICMP has reported.
                Err(error) if is_timeout(&error) || error.kind() == ErrorKind::ConnectionRefused => {
                    self.wait.check(|| format!("cannot send a datagram: {}", io_message(&error)))?;
                }
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    let len = counted(datagram.len() as u64, "byte");
                    return Err(Stop::Skipped(format!("this system cannot send a datagram of {len}")));
                }
                Err(error) => return Err(Stop::of_call("cannot send a datagram", &error)),
            }
        }
    }

    /// Receives the next datagram from the server, if one arrives within `time`.
    pub(super) fn receive(&self, time: Duration) -> Checked<Option<Vec<u8>>> {
        let mut buffer = vec![0; DATAGRAM_LEN_MAX + 1];
        let end = Instant::now() + time.min(self.wait.left());
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((len, from)) if from == self.server => {
                    buffer.truncate(len);
                    return Ok(Some(buffer));
                }
                Ok((_, from)) => {
                    return Err(Stop::Failed(format!("the answer came from {from} instead of {}", self.server)));
                }
                Err(error) => self.check_error(&error)?,
            }
            if end <= Instant::now() {
                return Ok(None);
            }
        }
    }

    fn check_error(&self, error: &io::Error) -> Checked {
        if is_timeout(error) || error.kind() == ErrorKind::ConnectionRefused {
            return self.wait.check(|| format!("no answer within {}", self.wait.timeout()));
        }
        Err(Stop::of_call("cannot receive a datagram", error))
    }

    /// Sends a datagram until it is answered, a few times. The answer must be equal.
    pub(super) fn echo(&self, datagram: &[u8]) -> Checked {
        let len = || counted(datagram.len() as u64, "byte");
        for _ in 0..TRIES {
            self.send(datagram)?;
            match self.receive(ANSWER_TIMEOUT)? {
                Some(answer) if answer == datagram => return Ok(()),
                Some(answer) => {
                    let answered = counted(answer.len() as u64, "byte");
                    return Err(Stop::Failed(format!("a datagram of {} came back as {answered}, not the same", len())));
                }
                None => {}
            }
        }
        Err(Stop::Failed(format!("a datagram of {} was not answered in {TRIES} tries", len())))
    }
}

/// A datagram of this length, different for each number.
pub(super) fn datagram(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        bytes.extend_from_slice(Pattern::new(number).slice(bytes.len() as u64, (len - bytes.len()) as u64));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::Interrupt;

    #[test]
    fn no_call_on_the_socket_blocks_past_the_deadline() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let server = socket.local_addr().expect("an address");
        let interrupt = Interrupt::default();
        let peer = DatagramPeer::new(socket, server, Wait::new(Duration::ZERO, &interrupt)).expect("a socket");
        assert!(peer.socket.read_timeout().expect("a timeout").is_some());
        assert!(peer.socket.write_timeout().expect("a timeout").is_some());
    }
}
