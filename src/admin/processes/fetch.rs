//! Asks one process over the Unix socket of its administration endpoint. It blocks, within a deadline.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use httparse::EMPTY_HEADER;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::admin::http::{ContentType, HEADERS_MAX};

/// The longest response that is passed on, in bytes. A list of 20,000 connections is shorter, and more bytes than
/// [`crate::service::Orders`] takes from one callback could not be sent.
const LEN_MAX: u64 = 12 << 20;

/// A response of a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: ContentType,
    pub(super) body: Vec<u8>,
}

/// Sends a GET for `target` and returns the whole response. Blocks for at most `timeout`.
///
/// # Errors
/// The process does not listen, does not answer in time, or its response is too long or not HTTP.
pub(super) fn get(path: &Path, target: &str, timeout: Duration) -> io::Result<Response> {
    let deadline = Instant::now() + timeout;
    let mut socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A blocking connect waits while the backlog is full, without a timeout.
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    socket.set_write_timeout(Some(timeout))?;
    socket.write_all(format!("GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    let mut buf = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut buf) {
            Ok(0) => break,
            Ok(len) if (bytes.len() + len) as u64 > LEN_MAX => return Err(io::ErrorKind::FileTooLarge.into()),
            Ok(len) => bytes.extend_from_slice(&buf[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    parse(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(len) = head.parse(bytes).ok()? else { return None };
    let status = head.code?;
    let content_type = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-type"));
    let content_type = content_type.map_or(ContentType::Text, |header| ContentType::named(header.value));
    Some(Response { status, content_type, body: bytes[len..].to_vec() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Asks a process that sends these bytes and then ends or stays silent.
    #[track_caller]
    fn check(answer: &'static [u8], ends: bool, expected: Result<(u16, &[u8]), io::ErrorKind>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin");
        let listener = UnixListener::bind(&path).unwrap();
        let process = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 1024];
            let len = stream.read(&mut request).unwrap();
            assert!(request[..len].starts_with(b"GET /loop HTTP/1.0\r\n"));
            // The client may have given up.
            let _ = stream.write_all(answer);
            if !ends {
                let _ = stream.read(&mut request);
            }
        });
        let timeout = if ends { Duration::from_secs(10) } else { Duration::from_millis(100) };
        let response = get(&path, "/loop", timeout);
        let found = response.as_ref().map(|response| (response.status, &response.body[..]));
        assert_eq!(found.map_err(io::Error::kind), expected);
        process.join().unwrap();
    }

    #[test]
    fn a_whole_response_is_returned_and_others_are_errors() {
        check(b"HTTP/1.1 503 Service Unavailable\r\n\r\ndraining\n", true, Ok((503, b"draining\n")));
        check(b"HTTP/1.1 200 OK\r\nContent-", true, Err(io::ErrorKind::InvalidData));
        check(b"", true, Err(io::ErrorKind::InvalidData));
        check(b"HTTP/1.1 200 OK\r\n\r\n", false, Err(io::ErrorKind::WouldBlock));
        static LONG: [u8; LEN_MAX as usize + 1] = [b' '; LEN_MAX as usize + 1];
        check(&LONG, true, Err(io::ErrorKind::FileTooLarge));
    }

    #[test]
    fn a_process_that_does_not_listen_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin");
        assert!(get(&path, "/", Duration::from_secs(600)).is_err());
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        full.listen(0).unwrap();
        let _waiting: Vec<_> = (0..4).map(|_| get(&path, "/", Duration::from_millis(1))).collect();
        assert!(get(&path, "/", Duration::from_millis(1)).is_err());
    }
}
