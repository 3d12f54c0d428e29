//! [`TlsStream`]: TLS over another stream.
//!
//! It has no clock and no configuration of its own. Apart from at most one record each way, which
//! rustls buffers, it stores no bytes.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use rustls::{Connection, ProtocolVersion};

use super::TlsError;
use crate::instant::Instant;
use crate::net::Stream;
use crate::peer_address::PeerAddress;
use crate::service::{TlsInfo, TlsVersion};

/// The most bytes that rustls buffers for writing: one full record. Further bytes for a slow peer
/// wait in the queue of its connection, where they are counted.
const BUFFERED_LEN_MAX: usize = 16 * 1024;

/// The length of one read during the handshake. rustls takes no more at a time, and a flight (the
/// messages that one side sends in a row) without long certificates fits.
const FLIGHT_LEN: usize = 4096;

/// TLS over another stream, as client or server.
pub struct TlsStream<T> {
    inner: T,
    session: Box<Session>,
}

/// The TLS state. It is boxed to keep the slots of peers small.
struct Session {
    tls: Connection,
    phase: TlsPhase,
    /// The last read took all input, here and from the inner stream, and saw no end.
    is_empty: bool,
    /// Whether any ciphertext was read.
    has_received: bool,
    failure: Option<TlsError>,
}

/// The phase of our direction.
///
/// ```text
/// Handshaking ── handshake done ──▶ Open ── close_notify written ──▶ Finished
///      ├──────────────────── shut down early ────────────────────────▲
///      └─ TLS failed, in any phase; the alert is written ─▶ Discarding
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsPhase {
    Handshaking,
    Open,
    Finished,
    /// TLS has failed, and our direction has ended. Received bytes are not decrypted.
    Discarding,
}

impl TlsPhase {
    /// Whether our direction has ended.
    const fn is_over(self) -> bool {
        match self {
            Self::Handshaking | Self::Open => false,
            Self::Finished | Self::Discarding => true,
        }
    }
}

/// Gives rustls the inner stream as an [`io::Write`].
struct InnerWriter<'a, T>(&'a mut T);

impl<T: Stream> TlsStream<T> {
    pub(super) fn new(inner: T, tls: impl Into<Connection>) -> Self {
        let mut tls = tls.into();
        tls.set_buffer_limit(Some(BUFFERED_LEN_MAX));
        let session =
            Session { tls, phase: TlsPhase::Handshaking, is_empty: false, has_received: false, failure: None };
        Self { inner, session: Box::new(session) }
    }

    /// The protocol that ALPN selected, if any.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.session.tls.alpn_protocol()
    }

    /// Why TLS failed, if it did.
    pub(super) fn failure(&self) -> Option<TlsError> {
        self.session.failure.clone()
    }

    /// Whether the peer has sent anything.
    pub(super) fn has_received(&self) -> bool {
        self.session.has_received
    }

    /// The inner stream.
    pub(super) fn inner_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Continues the handshake; `Ok` once it is complete. Our last message of it may still be
    /// buffered; [`Stream::flush`] writes it.
    ///
    /// Reads and writes continue the handshake too.
    ///
    /// # Errors
    /// `WouldBlock`: call again after the next event, in either direction. `InvalidData` with a
    /// [`TlsError`] inside: the handshake failed. `UnexpectedEof`: the peer has left.
    pub fn handshake(&mut self) -> io::Result<()> {
        while self.session.phase == TlsPhase::Handshaking {
            match self.write_buffered() {
                // A side that cannot write must still read. Otherwise two sides that both have to
                // write first would wait for each other forever.
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ if self.session.tls.is_handshaking() => self.read_handshake()?,
                _ => self.session.phase = TlsPhase::Open,
            }
        }
        Ok(())
    }

    /// Reads one part of the handshake.
    fn read_handshake(&mut self) -> io::Result<()> {
        let mut flight = [0; FLIGHT_LEN];
        let count = self.read_ciphertext(&mut flight)?;
        let mut rest = &flight[..count];
        while !rest.is_empty() {
            self.session.take(&mut rest).inspect_err(|_| self.send_alert())?;
        }
        Ok(())
    }

    /// Reads ciphertext. Its end is an error, since a close_notify must come first.
    fn read_ciphertext(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = &self.session.failure {
            return Err(failure.clone().into());
        }
        let count = self.inner.read(buf)?;
        self.session.is_empty = count < buf.len() && self.inner.short_read_means_empty();
        self.session.has_received |= count > 0;
        if count == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
    }

    /// Decrypts the ciphertext in the first `len` bytes of `buf` into the front of `buf`. Returns the
    /// length of the plaintext.
    ///
    /// Plaintext is shorter than its ciphertext, so it never overwrites unread ciphertext. A record
    /// that began in an earlier read may not fit; the next read then returns the rest first.
    fn decrypt(&mut self, buf: &mut [u8], len: usize) -> io::Result<usize> {
        let (mut taken, mut pulled) = (0, 0);
        let mut outcome = Ok(true);
        while taken < len && matches!(outcome, Ok(true)) {
            let mut rest = &buf[taken..len];
            outcome = self.session.take(&mut rest);
            taken = len - rest.len();
            pulled += self.session.read_plaintext(&mut buf[pulled..taken]).unwrap_or(0);
        }
        pulled += self.session.read_plaintext(&mut buf[pulled..]).unwrap_or(0);
        match outcome {
            Err(error) => {
                self.send_alert();
                // Plaintext before the failure is valid. The next read reports the failure again.
                if pulled > 0 { Ok(pulled) } else { Err(error) }
            }
            Ok(_) => Ok(pulled),
        }
    }

    /// Sends the alert that rustls has buffered, if the stream takes it.
    fn send_alert(&mut self) {
        if let Err(error) = self.write_buffered() {
            log::debug!("cannot send a TLS alert: {error}");
        }
    }

    /// Encrypts a prefix of `bytes`, at most one record. Returns its length.
    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.session.tls.writer().write(bytes)? {
            // The buffer is full, or a key update must be written first.
            0 => self.write_buffered()?,
            count => return Ok(count),
        }
        match self.session.tls.writer().write(bytes)? {
            0 => Err(ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }

    /// Writes all buffered ciphertext.
    fn write_buffered(&mut self) -> io::Result<()> {
        while !self.session.phase.is_over() && self.session.tls.wants_write() {
            match self.session.tls.write_tls(&mut InnerWriter(&mut self.inner)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Session {
    /// Gives rustls a prefix of `ciphertext` and removes it. `Ok(false)`: rustls accepts no more,
    /// since the peer's close_notify has come.
    fn take(&mut self, ciphertext: &mut &[u8]) -> io::Result<bool> {
        let is_open = self.tls.read_tls(ciphertext)? > 0;
        let state = self.tls.process_new_packets().map_err(|failure| {
            self.is_empty = false;
            self.failure.insert(TlsError::from(&failure)).clone()
        })?;
        self.is_empty &= !state.peer_has_closed();
        Ok(is_open)
    }

    /// Moves available plaintext to `buf`. `None`: none is available. `Some(0)`: the plaintext has ended.
    fn read_plaintext(&mut self, buf: &mut [u8]) -> Option<usize> {
        self.tls.reader().read(buf).ok()
    }
}

impl<T: Stream> Stream for TlsStream<T> {
    /// After a failure and [`Self::shutdown_write`], this reads bytes only for the caller to discard.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.session.phase == TlsPhase::Discarding {
            let count = self.inner.read(buf)?;
            self.session.is_empty = self.inner.short_read_means_empty();
            return Ok(count);
        }
        self.handshake()?;
        loop {
            if let Some(count) = self.session.read_plaintext(buf) {
                // This plaintext is from an earlier read. Newer ciphertext may be waiting below, and
                // its event has been reported already.
                self.session.is_empty = false;
                return Ok(count);
            }
            let len = self.read_ciphertext(buf)?;
            let count = self.decrypt(buf, len)?;
            if count > 0 {
                return Ok(count);
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.handshake()?;
        // A stream with buffered ciphertext counts as full.
        self.write_buffered()?;
        let mut count = 0;
        for slice in slices {
            let mut rest = &slice[..];
            while !rest.is_empty() {
                match self.encrypt(rest) {
                    Ok(taken) => {
                        rest = &rest[taken..];
                        count += taken;
                    }
                    Err(_) if count > 0 => return Ok(count),
                    Err(error) => return Err(error),
                }
            }
        }
        // All bytes are accepted. An error here comes again in the next call, which reports it.
        let _ = self.write_buffered();
        Ok(count)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        // After a fatal alert, rustls sends no close_notify.
        self.send_close_notify()?;
        let has_failed = self.session.failure.is_some();
        self.session.phase = if has_failed { TlsPhase::Discarding } else { TlsPhase::Finished };
        self.inner.shutdown_write()
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.inner.reset_on_drop()
    }

    fn local_address(&self) -> Option<PeerAddress> {
        self.inner.local_address()
    }

    fn peer_address(&self) -> Option<PeerAddress> {
        self.inner.peer_address()
    }

    fn original_address(&self) -> Option<PeerAddress> {
        self.inner.original_address()
    }

    fn tls(&self) -> Option<TlsInfo> {
        let tls = &self.session.tls;
        let is_old = tls.protocol_version()? == ProtocolVersion::TLSv1_2;
        let version = if is_old { TlsVersion::Tls12 } else { TlsVersion::Tls13 };
        let server_name = match tls {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        };
        let certificates = tls.peer_certificates().unwrap_or_default();
        Some(TlsInfo {
            server_name,
            alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
            certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
            ..TlsInfo::new(version)
        })
    }

    fn short_read_means_empty(&self) -> bool {
        self.session.is_empty
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_buffered()
    }

    /// Sends close_notify (RFC 8446, section 6.1).
    fn send_close_notify(&mut self) -> io::Result<()> {
        self.session.tls.send_close_notify();
        self.write_buffered()
    }

    fn woke_at(&self) -> Option<Instant> {
        self.inner.woke_at()
    }
}

impl<T: Stream> Write for InnerWriter<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
