//! `TlsStream`: TLS as a stream over a stream.
//!
//! It neither waits nor knows a clock; which certificate is shown and what is trusted was decided
//! before it was made. Beside what rustls keeps, at most one record each way, it stores nothing.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use rustls::Connection;

use super::TlsError;
use crate::instant::Instant;
use crate::net::Stream;

/// How much ciphertext may wait for the stream beneath: one full record. A peer that does not
/// read leaves the rest in its own queue, where it is counted.
const KEPT_LEN_MAX: usize = 16 * 1024;

/// How much is read at a time while the handshake goes on: rustls takes no more in one piece, and
/// a flight without long certificates fits.
const FLIGHT_LEN: usize = 4096;

/// TLS over another stream, as either side.
pub struct TlsStream<T> {
    inner: T,
    session: Box<Session>,
}

/// All but the stream beneath; in a box, so that the places in a table of peers stay small.
struct Session {
    tls: Connection,
    progress: Progress,
    /// The last read left nothing, neither beneath nor in here, and no end was seen.
    is_dry: bool,
    failure: Option<TlsError>,
}

/// How far our direction has come.
///
/// ```text
/// Opening ── handshake done ──▶ Open ── close_notify out ──▶ Finished
///    └───────────────────── given up ──────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Opening,
    Open,
    Finished,
}

/// What lies beneath, as rustls wants to see it.
struct Beneath<'a, T>(&'a mut T);

impl<T: Stream> TlsStream<T> {
    pub(super) fn new(inner: T, tls: impl Into<Connection>) -> Self {
        let mut tls = tls.into();
        tls.set_buffer_limit(Some(KEPT_LEN_MAX));
        let session = Session { tls, progress: Progress::Opening, is_dry: false, failure: None };
        Self { inner, session: Box::new(session) }
    }

    /// The protocol that was agreed on by ALPN, if any was.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.session.tls.alpn_protocol()
    }

    /// Why TLS broke, if it did.
    pub(super) fn failure(&self) -> Option<TlsError> {
        self.session.failure.clone()
    }

    /// The stream beneath.
    pub(super) fn beneath_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Goes on with the handshake; `Ok` once it is done, though what we say last in it may be kept.
    ///
    /// Reads and writes do so by themselves, but tell less of it.
    ///
    /// # Errors
    /// `WouldBlock`: a fact will come, in either direction. [`TlsError`] in an `InvalidData`: it
    /// has failed. `UnexpectedEof`: the peer has left.
    pub fn handshake(&mut self) -> io::Result<()> {
        while self.session.progress == Progress::Opening {
            match self.write_kept() {
                // Where both speak at once, both would wait for ever if who cannot write did not read.
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ if self.session.tls.is_handshaking() => self.read_handshake()?,
                _ => self.session.progress = Progress::Open,
            }
        }
        Ok(())
    }

    /// Reads a part of the handshake.
    fn read_handshake(&mut self) -> io::Result<()> {
        let mut flight = [0; FLIGHT_LEN];
        let count = self.read_beneath(&mut flight)?;
        let mut rest = &flight[..count];
        while !rest.is_empty() {
            self.session.take(&mut rest).inspect_err(|_| self.send_alert())?;
        }
        Ok(())
    }

    /// Reads ciphertext. Its end is an error: close_notify would have come before it.
    fn read_beneath(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = &self.session.failure {
            return Err(failure.clone().into());
        }
        let count = self.inner.read(buf)?;
        self.session.is_dry = count < buf.len() && self.inner.short_read_means_empty();
        if count == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
    }

    /// Decrypts the ciphertext that fills the first `len` bytes of `buf` into the front of `buf`:
    /// how much came out.
    ///
    /// What comes out is shorter than what went in, and never overtakes it: only where a record
    /// began in an earlier read may more be there than has room. That is pulled first next time.
    fn decrypt(&mut self, buf: &mut [u8], len: usize) -> io::Result<usize> {
        let (mut taken, mut pulled) = (0, 0);
        let mut outcome = Ok(true);
        while taken < len && matches!(outcome, Ok(true)) {
            let mut rest = &buf[taken..len];
            outcome = self.session.take(&mut rest);
            taken = len - rest.len();
            pulled += self.session.pull(&mut buf[pulled..taken]).unwrap_or(0);
        }
        pulled += self.session.pull(&mut buf[pulled..]).unwrap_or(0);
        match outcome {
            Err(error) => {
                self.send_alert();
                // What came before the failure counts; the failure is told again next time.
                if pulled > 0 { Ok(pulled) } else { Err(error) }
            }
            Ok(_) => Ok(pulled),
        }
    }

    /// Lets the peer know what was wrong, if it still listens.
    fn send_alert(&mut self) {
        if let Err(error) = self.write_kept() {
            log::debug!("the peer is not told what was wrong: {error}");
        }
    }

    /// Encrypts some of `bytes`, a record at most.
    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.session.tls.writer().write(bytes)? {
            // A record waits already, or new keys must leave first.
            0 => self.write_kept()?,
            count => return Ok(count),
        }
        match self.session.tls.writer().write(bytes)? {
            0 => Err(ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }

    /// Writes ciphertext until none waits.
    fn write_kept(&mut self) -> io::Result<()> {
        while self.session.progress != Progress::Finished && self.session.tls.wants_write() {
            match self.session.tls.write_tls(&mut Beneath(&mut self.inner)) {
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
    /// Takes from the front of `ciphertext` what rustls takes in one piece; `Ok(false)` when it
    /// takes no more, for the peer's close_notify has come.
    fn take(&mut self, ciphertext: &mut &[u8]) -> io::Result<bool> {
        let is_open = self.tls.read_tls(ciphertext)? > 0;
        let state = self.tls.process_new_packets().map_err(|failure| {
            self.is_dry = false;
            self.failure.insert(TlsError::from(&failure)).clone()
        })?;
        self.is_dry &= !state.peer_has_closed();
        Ok(is_open)
    }

    /// Moves plaintext that is there to `buf`. `None`: there is none; `Some(0)`: and none will come.
    fn pull(&mut self, buf: &mut [u8]) -> Option<usize> {
        self.tls.reader().read(buf).ok()
    }
}

impl<T: Stream> Stream for TlsStream<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.handshake()?;
        loop {
            if let Some(count) = self.session.pull(buf) {
                // It is of an earlier read: a fact that came since is about bytes nobody has looked for.
                self.session.is_dry = false;
                return Ok(count);
            }
            let len = self.read_beneath(buf)?;
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
        // A stream that keeps ciphertext is full.
        self.write_kept()?;
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
        // All of it is taken, so an error here is for the next call, which meets it again.
        let _ = self.write_kept();
        Ok(count)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.send_close_notify()?;
        self.session.progress = Progress::Finished;
        self.inner.shutdown_write()
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        self.inner.reset_on_drop()
    }

    fn short_read_means_empty(&self) -> bool {
        self.session.is_dry
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_kept()
    }

    /// Sends close_notify (RFC 8446, section 6.1).
    fn send_close_notify(&mut self) -> io::Result<()> {
        self.session.tls.send_close_notify();
        self.write_kept()
    }

    fn woke_at(&self) -> Option<Instant> {
        self.inner.woke_at()
    }
}

impl<T: Stream> Write for Beneath<'_, T> {
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
