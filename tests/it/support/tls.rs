//! TLS in the tests over real sockets: certificates as files, servers that show them, and a client
//! that does as it is told, byte by byte.

use std::fs;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant as SystemInstant};

use readyloop::net::tls::{Pem, TlsClient, TlsClientOptions, TlsStream, TlsTarget, TlsVersion, Trust};
use readyloop::net::{Layer, Stream};

use super::certs::Authority;
use super::{Conversations, ScratchPath, Serve, Server, connect, print_note};

pub(crate) const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

/// What servers are called here; clients connect to an address and still ask for this name.
pub(crate) const SERVER_NAME: &str = "localhost";

/// Whether a program is there; if not, says loudly what is not tested.
pub(crate) fn has_program(name: &str) -> bool {
    let tried =
        Command::new(name).arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if tried.is_err() {
        print_note(&format!("{name} was NOT tried as a peer: it is missing (apt-get install {name})"));
    }
    tried.is_ok()
}

/// A certificate, its key and its authority, as files in a directory of their own.
#[derive(Debug)]
pub(crate) struct CertFiles {
    directory: ScratchPath,
}

impl CertFiles {
    /// Signed by `authority`, for [`SERVER_NAME`].
    pub(crate) fn of(authority: &Authority) -> Self {
        let files = Self { directory: ScratchPath::directory("certs") };
        files.install(authority);
        files
    }

    /// Writes a new certificate, its key and the authority over those that are there.
    pub(crate) fn install(&self, authority: &Authority) {
        let (cert, key) = authority.issue(SERVER_NAME);
        write(&self.path("key.pem"), &key, 0o600);
        write(&self.path("cert.pem"), &cert, 0o644);
        write(&self.path("ca.pem"), &authority.pem(), 0o644);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::new(self.directory.text()).join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A server at a `tls://` address that shows them.
    pub(crate) fn serve(&self) -> Serve {
        let serve = Serve::bare().listen("tls://127.0.0.1:0");
        serve.arg("--cert").arg(&self.text("cert.pem")).arg("--key").arg(&self.text("key.pem"))
    }
}

/// Writes a PEM that is given as text; so that a reader sees the old one or the new.
pub(crate) fn write(path: &Path, pem: &Pem, mode: u32) {
    let Pem::Text(text) = pem else { panic!("{pem} is no text") };
    let beside = path.with_extension("new");
    fs::write(&beside, text.as_bytes()).expect("the temporary directory takes a file");
    fs::set_permissions(&beside, fs::Permissions::from_mode(mode)).expect("the file is ours");
    fs::rename(&beside, path).expect("the directory is ours");
}

/// A server with a certificate, and who trusts it.
pub(crate) struct Secure {
    pub(crate) server: Server,
    pub(crate) authority: Authority,
    pub(crate) files: CertFiles,
}

impl Secure {
    /// A server with these flags.
    #[track_caller]
    pub(crate) fn start(flags: &str) -> Self {
        let authority = Authority::new();
        let files = CertFiles::of(&authority);
        let server = files.serve().with(flags).start();
        Self { server, authority, files }
    }

    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        let tls = self.server.addresses.iter().find_map(|address| address.strip_prefix("tls://"));
        tls.and_then(|address| address.parse().ok()).expect("it listens on a TLS address")
    }

    /// Whom a client trusts that trusts this server.
    pub(crate) fn options(&self, version: Option<TlsVersion>) -> TlsClientOptions {
        TlsClientOptions { trust: Trust::Authorities(self.authority.pem()), version, ..TlsClientOptions::default() }
    }

    /// Conversations with this server, none yet.
    #[track_caller]
    pub(crate) fn talks(&self, version: TlsVersion) -> Conversations<TlsTarget> {
        Conversations::under(target_of(&self.options(Some(version))), self.address())
    }

    /// One client that is open.
    #[track_caller]
    pub(crate) fn hand(&self, version: TlsVersion) -> Hand {
        Hand::open(connect(self.address()), &self.options(Some(version))).expect("the handshake succeeds")
    }
}

#[track_caller]
pub(crate) fn target_of(options: &TlsClientOptions) -> TlsTarget {
    TlsClient::new(options).and_then(|client| client.to(SERVER_NAME)).expect("usable options")
}

/// A socket that blocks, as the border's stream.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) TcpStream);

/// A call that has a timeout ends early where the process was stopped meanwhile (signal(7)).
fn again_if_interrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl Stream for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        again_if_interrupted(|| self.0.read(buf))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        again_if_interrupted(|| self.0.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        again_if_interrupted(|| self.0.write_vectored(slices))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps what is written and has nothing to read.
#[derive(Debug, Default)]
struct Recorder(Vec<u8>);

impl Stream for Recorder {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().map(|slice| self.write(slice)).sum()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first bytes of a client: a server cannot tell whether it has seen them before.
#[track_caller]
pub(crate) fn greeting_of(options: &TlsClientOptions) -> Vec<u8> {
    let target = target_of(options);
    let mut tls = target.wrap(Recorder::default()).expect("randomness");
    assert!(tls.handshake().is_err(), "there is no server");
    std::mem::take(&mut Layer::<Recorder>::inner(&target, &mut tls).0)
}

/// A client by hand: one connection, one step at a time, each with a deadline.
pub(crate) struct Hand {
    tls: TlsStream<Socket>,
    /// The connection beneath.
    pub(crate) socket: TcpStream,
}

impl Hand {
    /// # Errors
    /// The handshake failed.
    #[track_caller]
    pub(crate) fn open(socket: TcpStream, options: &TlsClientOptions) -> io::Result<Self> {
        let second = socket.try_clone().expect("a descriptor is free");
        let mut tls = target_of(options).wrap(Socket(socket)).expect("randomness");
        tls.handshake()?;
        Ok(Self { tls, socket: second })
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self.tls.write(rest).expect("the server takes it in time");
            rest = &rest[count..];
        }
    }

    /// Writes until nothing is taken any more for a while: how much was.
    pub(crate) fn send_until_full(&mut self, patience: Duration) -> usize {
        self.socket.set_write_timeout(Some(patience)).expect("not zero");
        let bytes = [0; 16 * 1024];
        let mut sent = 0;
        while let Ok(count) = self.tls.write(&bytes) {
            sent += count;
        }
        sent
    }

    /// What came, or the end.
    ///
    /// # Errors
    /// The connection broke, or nothing came in time.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut buf = [0; 64 * 1024];
        self.tls.read(&mut buf).map(|count| buf[..count].to_vec())
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, bytes: &[u8]) {
        let mut received = Vec::new();
        while received.len() < bytes.len() {
            match self.receive() {
                Ok(more) if more.is_empty() => panic!("the end after {} of {} bytes", received.len(), bytes.len()),
                Ok(more) => received.extend(more),
                Err(error) => panic!("{error} after {} of {} bytes", received.len(), bytes.len()),
            }
        }
        super::same_bytes(&received, bytes);
    }

    /// Waits for the end, which must be a clean one.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.receive().expect("a clean end"), b"", "nothing but the end");
    }

    /// Says close_notify and nothing more; the connection beneath stays open.
    #[track_caller]
    pub(crate) fn send_close_notify(&mut self) {
        self.tls.send_close_notify().expect("the server takes it");
    }

    /// Ends our direction as it should be.
    #[track_caller]
    pub(crate) fn finish(&mut self) {
        self.tls.shutdown_write().expect("the server takes it");
    }
}

/// Whether nothing comes for that long.
pub(crate) fn is_silent(socket: &mut TcpStream, span: Duration) -> bool {
    socket.set_read_timeout(Some(span)).expect("not zero");
    let begun = SystemInstant::now();
    let silent = matches!(socket.read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    silent && begun.elapsed() >= span
}
