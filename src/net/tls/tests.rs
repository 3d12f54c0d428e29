//! Both sides of TLS in one process, over an in-memory stream that injects faults.

mod certs;
mod files;
mod handshake;
mod pipe;

use std::io::{self, ErrorKind};

use super::{Pem, TlsClient, TlsClientOptions, TlsError, TlsServer, TlsServerOptions, TlsStream, TlsVersion, Trust};
use crate::net::Stream;
use crate::sim::{Rng, pattern};

use certs::{TestAuthority, Validity};
use pipe::{MemoryStream, Transfer, pair};

/// An upper bound on the rounds of one exchange.
const ROUNDS_MAX: usize = 1_000_000;

/// One side of TLS over an in-memory stream.
type Tls = TlsStream<MemoryStream>;

/// A server with a certificate, and a client that trusts its authority.
struct Setup {
    server: TlsServerOptions,
    client: TlsClientOptions,
}

impl Setup {
    fn new() -> Self {
        let authority = TestAuthority::new();
        let (cert, key) = authority.issue("server.test", Validity::Now);
        Self {
            server: TlsServerOptions { cert, key, client_ca: None, alpn: Vec::new() },
            client: TlsClientOptions { trust: Trust::Authorities(authority.pem()), ..TlsClientOptions::default() },
        }
    }

    fn with_version(mut self, version: TlsVersion) -> Self {
        self.client.version = Some(version);
        self
    }

    fn server(&self, end: MemoryStream) -> Tls {
        TlsServer::new(self.server.clone()).unwrap().wrap(end).unwrap()
    }

    fn client(&self, end: MemoryStream) -> Tls {
        TlsClient::new(&self.client).unwrap().to("server.test").unwrap().wrap(end).unwrap()
    }

    /// Client and server over a stream without faults, before the handshake.
    fn ends(&self) -> (Tls, Tls) {
        let (one, other) = pair(1 << 20, Transfer::Whole, 0);
        (self.client(one), self.server(other))
    }

    /// Client and server after the handshake.
    fn open_ends(&self) -> (Tls, Tls) {
        let (mut client, mut server) = self.ends();
        open(&mut client, &mut server).unwrap();
        (client, server)
    }
}

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

/// Completes the handshake of both, or returns the first error of either.
fn open(client: &mut Tls, server: &mut Tls) -> io::Result<()> {
    for _ in 0..ROUNDS_MAX {
        if let (true, true) = (advance(client)?, advance(server)?) {
            return Ok(());
        }
    }
    panic!("the handshake does not end");
}

/// Continues the handshake of one side. Returns whether it is complete.
fn advance(end: &mut Tls) -> io::Result<bool> {
    retryable_as_none(end.handshake().and_then(|()| retryable_as_none(end.flush()))).map(|done| done.is_some())
}

fn is_retryable(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn write_all(end: &mut Tls, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = end.write(bytes).unwrap();
        bytes = &bytes[count..];
    }
}

fn read_some(end: &mut Tls) -> io::Result<Vec<u8>> {
    let mut buf = [0; 64 * 1024];
    end.read(&mut buf).map(|count| buf[..count].to_vec())
}

#[track_caller]
fn assert_blocks<R: std::fmt::Debug>(result: io::Result<R>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// One side of an exchange, with its progress.
struct Exchange {
    end: Tls,
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    has_finished: bool,
    has_seen_end: bool,
    rng: Rng,
}

impl Exchange {
    fn new(end: Tls, to_send: Vec<u8>, seed: u64) -> Self {
        let rng = Rng::new(seed);
        Self { end, to_send, sent: 0, received: Vec::new(), has_finished: false, has_seen_end: false, rng }
    }

    fn is_done(&self) -> bool {
        self.has_finished && self.has_seen_end
    }

    /// Writes a little and reads a little. Ends its direction after the last byte.
    fn act(&mut self) -> io::Result<()> {
        if self.sent < self.to_send.len() {
            let chunk = 1 + self.rng.below(self.to_send.len() - self.sent);
            self.sent += retryable_as_none(self.end.write(&self.to_send[self.sent..self.sent + chunk]))?.unwrap_or(0);
        } else if !self.has_finished {
            self.has_finished = retryable_as_none(self.end.shutdown_write())?.is_some();
        }
        retryable_as_none(self.end.flush())?;
        if !self.has_seen_end {
            let mut buf = vec![0; 1 + self.rng.below(30_000)];
            if let Some(count) = retryable_as_none(self.end.read(&mut buf))? {
                self.received.extend_from_slice(&buf[..count]);
                self.has_seen_end = count == 0;
            }
        }
        Ok(())
    }
}

/// Maps an error that only asks for another try to `None`.
fn retryable_as_none<R>(result: io::Result<R>) -> io::Result<Option<R>> {
    match result {
        Err(error) if is_retryable(&error) => Ok(None),
        done => done.map(Some),
    }
}

/// Both sides send, receive and end; every byte arrives and none is added.
#[track_caller]
fn check_exchange(setup: &Setup, transfer: Transfer, capacity: usize, len_max: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    let (one, other) = pair(capacity, transfer, seed);
    let (to_server, to_client) = (pattern(seed, 0, rng.below(len_max)), pattern(seed, 1 << 32, rng.below(len_max)));
    let mut client = Exchange::new(setup.client(one), to_server, seed);
    let mut server = Exchange::new(setup.server(other), to_client, !seed);
    for _ in 0..ROUNDS_MAX {
        client.act().unwrap_or_else(|error| panic!("seed {seed}: client: {error}"));
        server.act().unwrap_or_else(|error| panic!("seed {seed}: server: {error}"));
        if client.is_done() && server.is_done() {
            assert_eq!(server.received, client.to_send, "seed {seed}");
            assert_eq!(client.received, server.to_send, "seed {seed}");
            return;
        }
    }
    panic!("seed {seed}: the exchange does not end");
}

#[test]
fn both_sides_write_at_once_over_a_faulty_stream_and_lose_nothing() {
    for version in VERSIONS {
        let setup = Setup::new().with_version(version);
        for seed in 0..150 {
            check_exchange(&setup, Transfer::Faulty, 1 + (seed as usize * 997) % 40_000, 100_000, seed);
        }
    }
}

#[test]
fn a_stream_that_moves_one_byte_at_a_time_is_enough() {
    for version in VERSIONS {
        let setup = Setup::new().with_version(version);
        check_exchange(&setup, Transfer::ByteByByte, 1, 3_000, 1);
        check_exchange(&setup, Transfer::ByteByByte, 4_000, 50_000, 2);
    }
}

#[test]
fn several_small_records_are_read_at_once() {
    let (mut client, mut server) = Setup::new().open_ends();
    let sent = pattern(1, 0, 5_000);
    for byte in &sent {
        write_all(&mut client, &[*byte]);
    }
    let mut received = Vec::new();
    while received.len() < sent.len() {
        received.extend(read_some(&mut server).unwrap());
    }
    assert_eq!(received, sent);
    assert_blocks(read_some(&mut server));
}

#[test]
fn a_short_read_means_empty_only_when_no_layer_has_input_left() {
    let (mut client, mut server) = Setup::new().open_ends();
    write_all(&mut client, b"abc");
    assert_eq!(read_some(&mut server).unwrap(), b"abc");
    assert!(server.short_read_means_empty());

    write_all(&mut client, b"abc");
    assert_eq!(server.read(&mut [0; 2]).unwrap(), 2);
    assert_eq!(server.read(&mut [0; 2]).unwrap(), 1);
    assert_blocks(read_some(&mut server));

    write_all(&mut client, b"abc");
    client.shutdown_write().unwrap();
    assert_eq!(read_some(&mut server).unwrap(), b"abc");
    assert!(!server.short_read_means_empty(), "the end was read too");
    assert_eq!(read_some(&mut server).unwrap(), b"");
}

#[test]
fn plaintext_of_an_earlier_read_does_not_mean_empty() {
    for version in VERSIONS {
        let (mut client, mut server) = Setup::new().with_version(version).open_ends();
        write_all(&mut client, &[b'a'; 6_000]);
        let mut buf = [0; 4_096];
        assert_eq!(server.read(&mut buf).unwrap(), 4_096);
        write_all(&mut client, b"more");
        assert_eq!(server.read(&mut buf).unwrap(), 6_000 - 4_096);
        assert!(!server.short_read_means_empty(), "no second event reports the new bytes");
        assert_eq!(read_some(&mut server).unwrap(), b"more");
    }
}

#[test]
fn one_direction_stays_open_after_the_other_has_ended() {
    for version in VERSIONS {
        let (mut client, mut server) = Setup::new().with_version(version).open_ends();
        write_all(&mut client, b"question");
        client.shutdown_write().unwrap();
        assert_eq!(read_some(&mut server).unwrap(), b"question");
        assert_eq!(read_some(&mut server).unwrap(), b"");
        assert_eq!(read_some(&mut server).unwrap(), b"", "an end stays an end");
        write_all(&mut server, b"answer");
        server.shutdown_write().unwrap();
        assert_eq!(read_some(&mut client).unwrap(), b"answer");
        assert_eq!(read_some(&mut client).unwrap(), b"");
    }
}

#[test]
fn an_end_without_close_notify_is_an_unexpected_eof() {
    for version in VERSIONS {
        let (mut client, mut server) = Setup::new().with_version(version).open_ends();
        write_all(&mut client, b"half a mess");
        client.inner_mut().shutdown_write().unwrap();
        assert_eq!(read_some(&mut server).unwrap(), b"half a mess");
        assert_eq!(read_some(&mut server).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
fn bytes_after_close_notify_are_discarded() {
    let (mut client, mut server) = Setup::new().open_ends();
    client.send_close_notify().unwrap();
    client.inner_mut().write(b"inserted by an attacker").unwrap();
    assert_eq!(read_some(&mut server).unwrap(), b"");
    client.inner_mut().write(b"more of it").unwrap();
    assert_eq!(read_some(&mut server).unwrap(), b"");
}

#[test]
fn a_corrupt_record_fails_the_stream_after_the_bytes_before_it() {
    let (mut client, mut server) = Setup::new().open_ends();
    write_all(&mut client, b"whole");
    client
        .inner_mut()
        .write(&[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
        .unwrap();
    assert_eq!(read_some(&mut server).unwrap(), b"whole");
    assert!(!server.short_read_means_empty());
    for _ in 0..2 {
        let error = read_some(&mut server).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
    let error = read_some(&mut client).unwrap_err();
    assert_eq!(error.to_string(), "the peer aborted TLS: bad record");
}

#[test]
fn after_a_failure_the_stream_ends_with_the_alert_and_discards_input() {
    for version in VERSIONS {
        let (mut client, mut server) = Setup::new().with_version(version).open_ends();
        while read_some(&mut client).is_ok() {}
        server.inner_mut().resize(0);
        client.inner_mut().write(&[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]).unwrap();
        client.inner_mut().write(&[16, 17, 18, 19, 20]).unwrap();
        assert_eq!(read_some(&mut server).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_blocks(server.shutdown_write());
        server.inner_mut().resize(1_000);
        server.shutdown_write().unwrap();
        client.inner_mut().write(b"more").unwrap();
        assert_eq!(read_some(&mut server).unwrap(), b"more", "for the caller to discard");
        let alert = read_some(&mut client).unwrap_err();
        assert_eq!(alert.to_string(), "the peer aborted TLS: bad record", "and no close_notify follows");
    }
}

#[test]
fn at_most_one_record_is_buffered_for_a_full_stream() {
    let (mut client, mut server) = Setup::new().open_ends();
    while read_some(&mut client).is_ok() {}
    server.inner_mut().resize(1_000);
    let before = server.inner_mut().written();
    let bytes = pattern(1, 0, 100_000);
    let taken = server.write(&bytes).unwrap();
    assert!((16_000..18_000).contains(&taken), "{taken}");
    assert_blocks(server.write(&bytes[taken..]));
    assert_blocks(server.flush());
    assert_eq!(server.inner_mut().written() - before, 1_000);

    server.inner_mut().resize(1 << 20);
    server.flush().unwrap();
    let mut received = Vec::new();
    while let Ok(more) = read_some(&mut client) {
        received.extend(more);
    }
    assert_eq!(received, bytes[..taken]);
}

#[test]
fn close_notify_waits_for_buffered_bytes() {
    let (mut client, mut server) = Setup::new().open_ends();
    while read_some(&mut client).is_ok() {}
    server.inner_mut().resize(0);
    assert_eq!(server.write(b"the last bytes").unwrap(), 14);
    assert_blocks(server.shutdown_write());
    server.inner_mut().resize(1_000);
    server.shutdown_write().unwrap();
    assert_eq!(read_some(&mut client).unwrap(), b"the last bytes");
    assert_eq!(read_some(&mut client).unwrap(), b"");
}
