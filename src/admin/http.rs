//! HTTP/1.1 as far as the administration endpoint needs it: request heads in, responses out.
//!
//! A request has no body. Whatever cannot be understood is refused with a status, and the connection ends.

use std::net::{Ipv4Addr, Ipv6Addr};

use httparse::{EMPTY_HEADER, Error, Header};

use crate::codec::{Codec, Decoded, Envelope, FrameError};

/// The longest head of a request, in bytes.
pub(super) const HEAD_LEN_MAX: usize = 8 * 1024;

/// Most header fields of a request.
pub(super) const HEADERS_MAX: usize = 64;

/// Frames are the heads of requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HttpCodec;

impl Codec for HttpCodec {
    type State = ();
    type Frame<'a> = Result<RequestHead<'a>, Status>;

    fn decode(&self, (): &mut (), input: &[u8], _frame_len_max: usize) -> Result<Decoded, FrameError> {
        let len = match httparse::Request::new(&mut [EMPTY_HEADER; HEADERS_MAX]).parse(input) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if input.len() <= HEAD_LEN_MAX => return Ok(Decoded::More),
            // Nothing after it can be understood either, so the frame is refused as a whole.
            Ok(httparse::Status::Partial) | Err(_) => input.len(),
        };
        Ok(Decoded::Frame { frame: 0..len, consumed: len })
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Self::Frame<'a>, FrameError> {
        Ok(RequestHead::parse(bytes))
    }

    fn envelope(&self, (): &(), _parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        Ok(Envelope::NONE)
    }
}

/// The head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestHead<'a> {
    pub(super) path: &'a str,
    /// What follows the question mark.
    pub(super) query: &'a str,
    pub(super) form: Form,
}

/// What the request requires of the form of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// HEAD: the response has no body.
    pub(super) is_head: bool,
    /// HTTP/1.1: a body may come in chunks.
    pub(super) has_chunks: bool,
    pub(super) keeps_alive: bool,
}

impl<'a> RequestHead<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Status> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= HEAD_LEN_MAX => {}
            Ok(_) | Err(Error::TooManyHeaders) => return Err(Status::HEAD_TOO_LARGE),
            Err(_) => return Err(Status::BAD_REQUEST),
        }
        let httparse::Request { method: Some(method), path: Some(target), version: Some(version), headers } = request
        else {
            return Err(Status::BAD_REQUEST);
        };
        let is_1_1 = version == 1;
        check_host(headers, is_1_1)?;
        let is_head = method == "HEAD";
        if !is_head && method != "GET" {
            return Err(Status::METHOD_NOT_ALLOWED);
        }
        if has(headers, "transfer-encoding") || values(headers, "content-length").any(|value| value != b"0") {
            return Err(Status::BAD_REQUEST);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if !path.starts_with('/') {
            return Err(Status::BAD_REQUEST);
        }
        let has_option = |option: &[u8]| {
            let mut options = values(headers, "connection").flat_map(|value| value.split(|byte| *byte == b','));
            options.any(|value| value.trim_ascii().eq_ignore_ascii_case(option))
        };
        let keeps_alive = !has_option(b"close") && (is_1_1 || has_option(b"keep-alive"));
        Ok(Self { path, query, form: Form { is_head, has_chunks: is_1_1, keeps_alive } })
    }
}

fn values<'h>(headers: &'h [Header<'h>], name: &'static str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

fn has(headers: &[Header<'_>], name: &'static str) -> bool {
    values(headers, name).next().is_some()
}

/// Refuses a host name other than `localhost`. A web page could let its own name resolve to this machine, and
/// so read the responses in the browser of an operator (DNS rebinding).
fn check_host(headers: &[Header<'_>], is_required: bool) -> Result<(), Status> {
    let mut hosts = values(headers, "host");
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => str::from_utf8(host).map_err(|_| Status::BAD_REQUEST)?,
        (None, None) if !is_required => return Ok(()),
        (_, _) => return Err(Status::BAD_REQUEST),
    };
    let name = if host.ends_with(']') { host } else { host.rsplit_once(':').map_or(host, |(name, _)| name) };
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_ip = name.parse::<Ipv4Addr>().is_ok() || v6.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok());
    let is_local = name.is_empty() || name.eq_ignore_ascii_case("localhost") || is_ip;
    if is_local { Ok(()) } else { Err(Status::MISDIRECTED) }
}

/// A status code with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(u16, &'static str);

impl Status {
    pub(super) const OK: Self = Self(200, "OK");
    pub(super) const BAD_REQUEST: Self = Self(400, "Bad Request");
    pub(super) const NOT_FOUND: Self = Self(404, "Not Found");
    pub(super) const METHOD_NOT_ALLOWED: Self = Self(405, "Method Not Allowed");
    pub(super) const MISDIRECTED: Self = Self(421, "Misdirected Request");
    pub(super) const HEAD_TOO_LARGE: Self = Self(431, "Request Header Fields Too Large");
    pub(super) const INTERNAL_ERROR: Self = Self(500, "Internal Server Error");
    pub(super) const BAD_GATEWAY: Self = Self(502, "Bad Gateway");
    pub(super) const UNAVAILABLE: Self = Self(503, "Service Unavailable");

    /// The status with this code, if the endpoint of a process sends it.
    pub(super) fn of(code: u16) -> Self {
        let all = [Self::OK, Self::BAD_REQUEST, Self::NOT_FOUND, Self::INTERNAL_ERROR, Self::UNAVAILABLE];
        all.into_iter().find(|status| status.0 == code).unwrap_or(Self::BAD_GATEWAY)
    }

    /// What a client can do about a refused request.
    fn advice(self) -> &'static str {
        match self {
            Self::METHOD_NOT_ALLOWED => "only GET and HEAD are served, since a request changes nothing\n",
            Self::MISDIRECTED => "the host in the URL must be an IP address or localhost\n",
            Self::HEAD_TOO_LARGE => "a request has at most 8 KiB and 64 header fields\n",
            Self::INTERNAL_ERROR => "the request could not be answered; the log of the server has the error\n",
            _ => "not a request of HTTP/1.0 or HTTP/1.1 with one Host and without a body\n",
        }
    }
}

/// A kind of body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentType {
    Text,
    Json,
    Metrics,
    Html,
}

impl ContentType {
    /// The kind with this name. Any other name is text.
    pub(super) fn named(name: &[u8]) -> Self {
        let all = [Self::Text, Self::Json, Self::Metrics, Self::Html];
        all.into_iter().find(|each| each.name().as_bytes() == name).unwrap_or(Self::Text)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/json",
            Self::Metrics => "text/plain; version=0.0.4; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// A whole response. Without a body if the request was HEAD.
pub(super) fn response(status: Status, content_type: ContentType, body: &[u8], form: Form) -> Vec<u8> {
    let mut bytes = head(status, content_type, Some(body.len()), form);
    if !form.is_head {
        bytes.extend_from_slice(body);
    }
    bytes
}

/// The response to a request that cannot be served. The connection ends after it.
pub(super) fn refusal(status: Status) -> Vec<u8> {
    let form = Form { is_head: false, has_chunks: false, keeps_alive: false };
    response(status, ContentType::Text, status.advice().as_bytes(), form)
}

/// The head of a response. Without a length, the body comes in chunks or until the end of the stream.
pub(super) fn head(status: Status, content_type: ContentType, len: Option<usize>, form: Form) -> Vec<u8> {
    let Status(code, reason) = status;
    let length = match len {
        Some(len) => format!("Content-Length: {len}\r\n"),
        None if form.has_chunks => "Transfer-Encoding: chunked\r\n".to_owned(),
        None => String::new(),
    };
    let allow = if status == Status::METHOD_NOT_ALLOWED { "Allow: GET, HEAD\r\n" } else { "" };
    let policy = match content_type {
        ContentType::Html => {
            "Content-Security-Policy: default-src 'none'; connect-src 'self'; \
             script-src 'unsafe-inline'; style-src 'unsafe-inline'\r\n"
        }
        ContentType::Text | ContentType::Json | ContentType::Metrics => "",
    };
    let connection = if form.keeps_alive { "keep-alive" } else { "close" };
    format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: {}\r\n{length}{allow}{policy}Cache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: {connection}\r\n\r\n",
        content_type.name()
    )
    .into_bytes()
}

/// A part of a body without a known length. An empty part has no bytes, since an empty chunk ends the body.
pub(super) fn part(bytes: &[u8], form: Form) -> Vec<u8> {
    if !form.has_chunks || bytes.is_empty() {
        return bytes.to_vec();
    }
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The end of a body without a known length.
pub(super) fn last_part(form: Form) -> &'static [u8] {
    if form.has_chunks { b"0\r\n\r\n" } else { b"" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, expected: Result<(&str, &str, [bool; 3]), Status>) {
        let found = RequestHead::parse(head.as_bytes());
        let found = found.map(|request| {
            let Form { is_head, has_chunks, keeps_alive } = request.form;
            (request.path, request.query, [is_head, has_chunks, keeps_alive])
        });
        assert_eq!(found, expected, "{head:?}");
    }

    #[test]
    fn the_head_decides_the_form_of_the_response() {
        check("GET /a?b=c HTTP/1.1\r\nHost: localhost\r\n\r\n", Ok(("/a", "b=c", [false, true, true])));
        check("HEAD / HTTP/1.1\nhost: [::1]:80\nconnection: x, Close\n\n", Ok(("/", "", [true, true, false])));
        check("GET / HTTP/1.0\r\n\r\n", Ok(("/", "", [false, false, false])));
        check("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", Ok(("/", "", [false, false, true])));
    }

    #[test]
    fn a_request_that_is_not_understood_has_its_status() {
        check("GET / HTTP/1.1\r\n\r\n", Err(Status::BAD_REQUEST));
        check("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Err(Status::BAD_REQUEST));
        check("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", Err(Status::MISDIRECTED));
        check("GET / HTTP/1.1\r\nHost: 10.0.0.1:80\r\nContent-Length: 5\r\n\r\n", Err(Status::BAD_REQUEST));
        check("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Status::BAD_REQUEST));
        check("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n", Err(Status::METHOD_NOT_ALLOWED));
        check("GET http://localhost/ HTTP/1.0\r\n\r\n", Err(Status::BAD_REQUEST));
        check("GET /\r\n\r\n", Err(Status::BAD_REQUEST));
        check("\0", Err(Status::BAD_REQUEST));
        check("GET / HTTP/1.0\r\n", Err(Status::HEAD_TOO_LARGE));
        check(&format!("GET / HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1)), Err(Status::HEAD_TOO_LARGE));
        check(&format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(HEAD_LEN_MAX)), Err(Status::HEAD_TOO_LARGE));
    }

    #[test]
    fn a_head_is_decoded_when_it_is_whole_or_cannot_become_one() {
        let decode = |input: &[u8]| HttpCodec.decode(&mut (), input, 0);
        let frame = |len| Ok(Decoded::Frame { frame: 0..len, consumed: len });
        assert_eq!(decode(b"GET / HTTP/1.0\r\n\r\nGET"), frame(18));
        assert_eq!(decode(b"GET / HTTP/1.0\r\n\r"), Ok(Decoded::More));
        assert_eq!(decode(b"\x16\x03\x01rest"), frame(7));
        let long = [b"GET /".as_slice(), &[b'a'; HEAD_LEN_MAX]].concat();
        assert_eq!((decode(&long[..HEAD_LEN_MAX]), decode(&long)), (Ok(Decoded::More), frame(long.len())));
    }

    #[test]
    fn an_empty_part_does_not_end_a_body_in_chunks() {
        let form = |has_chunks| Form { is_head: false, has_chunks, keeps_alive: true };
        assert_eq!((part(b"", form(true)), part(b"ab", form(false))), (vec![], b"ab".to_vec()));
        assert_eq!(part(&[b'x'; 26], form(true)), [b"1a\r\n", &[b'x'; 26][..], b"\r\n"].concat());
        assert_eq!((last_part(form(true)), last_part(form(false))), (&b"0\r\n\r\n"[..], &b""[..]));
    }
}
