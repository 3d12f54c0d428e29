//! Both ends of TLS in one process, over a stream in memory that does its worst.

mod certs;
mod handshake;
mod pipe;

use std::io::{self, ErrorKind};

use super::{Pem, TlsClient, TlsClientOptions, TlsError, TlsServer, TlsServerOptions, TlsStream, TlsVersion, Trust};
use crate::net::{Layer, Stream};
use crate::sim::{Rng, pattern};

use certs::{Authority, Span};
use pipe::{End, Weather, pair};

/// More rounds than any exchange here needs.
const ROUNDS_MAX: usize = 1_000_000;

/// One end of TLS over one end of a stream in memory.
type Tls = TlsStream<End>;

/// An authority, a server with a certificate of it, and who trusts it.
struct Setup {
    server: TlsServerOptions,
    client: TlsClientOptions,
}

impl Setup {
    fn new() -> Self {
        let authority = Authority::new();
        let (cert, key) = authority.issue("server.test", Span::Now);
        Self {
            server: TlsServerOptions { cert, key, client_ca: None, alpn: Vec::new() },
            client: TlsClientOptions { trust: Trust::Authorities(authority.pem()), ..TlsClientOptions::default() },
        }
    }

    fn with_version(mut self, version: TlsVersion) -> Self {
        self.client.version = Some(version);
        self
    }

    fn server(&self, end: End) -> Tls {
        TlsServer::new(self.server.clone()).unwrap().wrap(end).unwrap()
    }

    fn client(&self, end: End) -> Tls {
        TlsClient::new(&self.client).unwrap().to("server.test").unwrap().wrap(end).unwrap()
    }

    /// Both over a fair stream, not open yet: the client first.
    fn ends(&self) -> (Tls, Tls) {
        let (one, other) = pair(1 << 20, Weather::Fair, 0);
        (self.client(one), self.server(other))
    }

    /// Both open.
    fn open_ends(&self) -> (Tls, Tls) {
        let (mut client, mut server) = self.ends();
        open(&mut client, &mut server).unwrap();
        (client, server)
    }
}

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

/// Opens both; the first error of either.
fn open(client: &mut Tls, server: &mut Tls) -> io::Result<()> {
    for _ in 0..ROUNDS_MAX {
        if let (true, true) = (go_on(client)?, go_on(server)?) {
            return Ok(());
        }
    }
    panic!("the handshake does not end");
}

/// Whether it is open now.
fn go_on(end: &mut Tls) -> io::Result<bool> {
    passing(end.handshake().and_then(|()| passing(end.flush()))).map(|done| done.is_some())
}

fn is_passing(error: &io::Error) -> bool {
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

/// What one end of an exchange has done so far.
struct Talker {
    end: Tls,
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    has_finished: bool,
    has_seen_end: bool,
    rng: Rng,
}

impl Talker {
    fn new(end: Tls, to_send: Vec<u8>, seed: u64) -> Self {
        let rng = Rng::new(seed);
        Self { end, to_send, sent: 0, received: Vec::new(), has_finished: false, has_seen_end: false, rng }
    }

    fn is_done(&self) -> bool {
        self.has_finished && self.has_seen_end
    }

    /// Writes a little, reads a little, and ends when all is sent.
    fn act(&mut self) -> io::Result<()> {
        if self.sent < self.to_send.len() {
            let chunk = 1 + self.rng.below(self.to_send.len() - self.sent);
            self.sent += passing(self.end.write(&self.to_send[self.sent..self.sent + chunk]))?.unwrap_or(0);
        } else if !self.has_finished {
            self.has_finished = passing(self.end.shutdown_write())?.is_some();
        }
        passing(self.end.flush())?;
        if !self.has_seen_end {
            let mut buf = vec![0; 1 + self.rng.below(30_000)];
            if let Some(count) = passing(self.end.read(&mut buf))? {
                self.received.extend_from_slice(&buf[..count]);
                self.has_seen_end = count == 0;
            }
        }
        Ok(())
    }
}

/// `None` for what is only to be tried again.
fn passing<R>(result: io::Result<R>) -> io::Result<Option<R>> {
    match result {
        Err(error) if is_passing(&error) => Ok(None),
        done => done.map(Some),
    }
}

/// Both send, both receive, both end: nothing lost, nothing added.
#[track_caller]
fn check_exchange(setup: &Setup, weather: Weather, capacity: usize, len_max: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    let (one, other) = pair(capacity, weather, seed);
    let (to_server, to_client) = (pattern(seed, 0, rng.below(len_max)), pattern(seed, 1 << 32, rng.below(len_max)));
    let mut client = Talker::new(setup.client(one), to_server, seed);
    let mut server = Talker::new(setup.server(other), to_client, !seed);
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
fn both_write_at_once_and_nothing_is_lost_whatever_the_stream_beneath_does() {
    for version in VERSIONS {
        let setup = Setup::new().with_version(version);
        for seed in 0..150 {
            check_exchange(&setup, Weather::Foul, 1 + (seed as usize * 997) % 40_000, 100_000, seed);
        }
    }
}

#[test]
fn a_byte_at_a_time_is_enough() {
    for version in VERSIONS {
        let setup = Setup::new().with_version(version);
        check_exchange(&setup, Weather::Drip, 1, 3_000, 1);
        check_exchange(&setup, Weather::Drip, 4_000, 50_000, 2);
    }
}

#[test]
fn records_of_one_byte_are_read_many_at_a_time() {
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
fn a_short_read_is_dry_only_when_nothing_is_left_anywhere() {
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
    assert!(!server.short_read_means_empty(), "the end was read with it");
    assert_eq!(read_some(&mut server).unwrap(), b"");
}

#[test]
fn what_was_left_of_an_earlier_read_says_nothing_of_what_has_come_since() {
    for version in VERSIONS {
        let (mut client, mut server) = Setup::new().with_version(version).open_ends();
        write_all(&mut client, &[b'a'; 6_000]);
        let mut buf = [0; 4_096];
        assert_eq!(server.read(&mut buf).unwrap(), 4_096);
        write_all(&mut client, b"more");
        assert_eq!(server.read(&mut buf).unwrap(), 6_000 - 4_096);
        assert!(!server.short_read_means_empty(), "no second fact will tell of it");
        assert_eq!(read_some(&mut server).unwrap(), b"more");
    }
}

#[test]
fn after_the_end_of_one_direction_the_other_goes_on() {
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
fn an_end_without_close_notify_is_told_from_a_clean_one() {
    for version in VERSIONS {
        let (mut client, mut server) = Setup::new().with_version(version).open_ends();
        write_all(&mut client, b"half a mess");
        client.beneath_mut().shutdown_write().unwrap();
        assert_eq!(read_some(&mut server).unwrap(), b"half a mess");
        assert_eq!(read_some(&mut server).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
fn what_comes_after_close_notify_is_not_for_us() {
    let (mut client, mut server) = Setup::new().open_ends();
    client.send_close_notify().unwrap();
    client.beneath_mut().write(b"anybody could have put this here").unwrap();
    assert_eq!(read_some(&mut server).unwrap(), b"");
    client.beneath_mut().write(b"and this").unwrap();
    assert_eq!(read_some(&mut server).unwrap(), b"");
}

#[test]
fn a_record_that_was_changed_on_the_way_ends_it_and_what_came_before_counts() {
    let (mut client, mut server) = Setup::new().open_ends();
    write_all(&mut client, b"whole");
    client
        .beneath_mut()
        .write(&[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
        .unwrap();
    assert_eq!(read_some(&mut server).unwrap(), b"whole");
    assert!(!server.short_read_means_empty());
    for _ in 0..2 {
        let error = read_some(&mut server).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
    let error = read_some(&mut client).unwrap_err();
    assert_eq!(TlsError::of(&error), Some(&TlsError::Other("the peer broke off (BadRecordMac)".to_owned())));
}

#[test]
fn a_stream_that_does_not_take_what_was_written_keeps_a_record_and_no_more() {
    let (mut client, mut server) = Setup::new().open_ends();
    while read_some(&mut client).is_ok() {}
    server.beneath_mut().resize(1_000);
    let before = server.beneath_mut().written();
    let bytes = pattern(1, 0, 100_000);
    let taken = server.write(&bytes).unwrap();
    assert!((16_000..18_000).contains(&taken), "{taken}");
    assert_blocks(server.write(&bytes[taken..]));
    assert_blocks(server.flush());
    assert_eq!(server.beneath_mut().written() - before, 1_000);

    server.beneath_mut().resize(1 << 20);
    server.flush().unwrap();
    let mut received = Vec::new();
    while let Ok(more) = read_some(&mut client) {
        received.extend(more);
    }
    assert_eq!(received, bytes[..taken]);
}

#[test]
fn a_farewell_waits_until_what_was_written_has_left() {
    let (mut client, mut server) = Setup::new().open_ends();
    while read_some(&mut client).is_ok() {}
    server.beneath_mut().resize(0);
    assert_eq!(server.write(b"last words").unwrap(), 10);
    assert_blocks(server.shutdown_write());
    server.beneath_mut().resize(1_000);
    server.shutdown_write().unwrap();
    assert_eq!(read_some(&mut client).unwrap(), b"last words");
    assert_eq!(read_some(&mut client).unwrap(), b"");
}
