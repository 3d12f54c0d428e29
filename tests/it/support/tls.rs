//! TLS in the tests over real sockets: certificate files, servers that use them, and a client that
//! is driven step by step.

use std::fs;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use readyloop::net::Stream;
use readyloop::net::tls::{Pem, TlsClient, TlsClientOptions, TlsStream, TlsTarget, TlsVersion, Trust};

use super::certs::Authority;
use super::{Conversations, ScratchPath, Serve, Server, connect, print_note, retry_if_interrupted};

pub(crate) const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

/// The name in the servers' certificates. Clients verify it, whatever address they connect to.
pub(crate) const SERVER_NAME: &str = "localhost";

/// Whether a program is installed. If not, prints a warning that it is not tested.
pub(crate) fn has_program(name: &str) -> bool {
    let tried =
        Command::new(name).arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if tried.is_err() {
        print_note(&format!("{name} was NOT tested as a peer: it is not installed (apt-get install {name})"));
    }
    tried.is_ok()
}

/// A certificate, its key and its authority, as files in a temporary directory.
#[derive(Debug)]
pub(crate) struct CertFiles {
    directory: ScratchPath,
}

impl CertFiles {
    /// A certificate for [`SERVER_NAME`], signed by `authority`.
    pub(crate) fn of(authority: &Authority) -> Self {
        let files = Self { directory: ScratchPath::directory("certs") };
        files.install(authority);
        files
    }

    /// Replaces the files by a new certificate, its key and its authority.
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

    /// A server on a free port of 127.0.0.1 that uses them.
    pub(crate) fn serve(&self) -> Serve {
        self.serve_at("127.0.0.1:0")
    }

    pub(crate) fn serve_at(&self, address: &str) -> Serve {
        let serve = Serve::bare().listen(&format!("tls://{address}"));
        serve.arg("--cert").arg(&self.text("cert.pem")).arg("--key").arg(&self.text("key.pem"))
    }
}

/// Replaces a file atomically, so that a reader sees either the old contents or the new.
pub(crate) fn write(path: &Path, pem: &Pem, mode: u32) {
    let Pem::Text(text) = pem else { panic!("{pem} is not PEM from memory") };
    let temporary = path.with_extension("new");
    fs::write(&temporary, text.as_bytes()).expect("the directory is writable");
    fs::set_permissions(&temporary, fs::Permissions::from_mode(mode)).expect("we own the file");
    fs::rename(&temporary, path).expect("we own the directory");
}

/// Runs a test with each version of TLS, each with a new server with these flags.
#[track_caller]
pub(crate) fn for_each_version(flags: &str, test: impl Fn(Secure, TlsVersion)) {
    for version in VERSIONS {
        test(Secure::start(flags), version);
    }
}

/// A server with a certificate, and its authority.
pub(crate) struct Secure {
    pub(crate) server: Server,
    pub(crate) authority: Authority,
    pub(crate) files: CertFiles,
}

impl Secure {
    /// Starts a server with these flags.
    #[track_caller]
    pub(crate) fn start(flags: &str) -> Self {
        Self::start_with(|files, _| files.serve().with(flags))
    }

    /// Starts the server that `serve` describes. It may change the files before.
    #[track_caller]
    pub(crate) fn start_with(serve: impl FnOnce(&CertFiles, &Authority) -> Serve) -> Self {
        let authority = Authority::new();
        let files = CertFiles::of(&authority);
        let server = serve(&files, &authority).start();
        Self { server, authority, files }
    }

    /// Starts a server that requires a certificate of each client.
    #[track_caller]
    pub(crate) fn start_with_client_ca() -> Self {
        Self::start_with(|files, _| files.serve().arg("--client-ca").arg(&files.text("ca.pem")))
    }

    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        let tls = self.server.addresses.iter().find_map(|address| address.strip_prefix("tls://"));
        tls.and_then(|address| address.parse().ok()).expect("the server listens on a TLS address")
    }

    /// The options of a client that trusts this server.
    pub(crate) fn options(&self, version: Option<TlsVersion>) -> TlsClientOptions {
        TlsClientOptions { trust: Trust::Authorities(self.authority.pem()), version, ..TlsClientOptions::default() }
    }

    /// A set of conversations with this server, empty.
    #[track_caller]
    pub(crate) fn talks(&self, version: TlsVersion) -> Conversations {
        Conversations::under(target_of(&self.options(Some(version))).into(), self.address())
    }

    /// A client after its handshake.
    #[track_caller]
    pub(crate) fn client(&self, version: TlsVersion) -> ManualClient {
        ManualClient::open(connect(self.address()), &self.options(Some(version))).expect("the handshake succeeds")
    }
}

#[track_caller]
pub(crate) fn target_of(options: &TlsClientOptions) -> TlsTarget {
    TlsClient::new(options).and_then(|client| client.to(SERVER_NAME)).expect("the options are valid")
}

/// A blocking socket as a [`Stream`].
#[derive(Debug)]
pub(crate) struct BlockingSocket(pub(crate) TcpStream);

impl Stream for BlockingSocket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        retry_if_interrupted(|| self.0.read(buf))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        retry_if_interrupted(|| self.0.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        retry_if_interrupted(|| self.0.write_vectored(slices))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    fn reset_on_drop(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A ClientHello as bytes, which can be sent on any number of connections.
#[track_caller]
pub(crate) fn client_hello(options: &TlsClientOptions) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let client = connect(listener.local_addr().expect("the listener is bound"));
    client.set_nonblocking(true).expect("the connection is open");
    let mut tls = target_of(options).wrap(BlockingSocket(client)).expect("the system has randomness");
    assert!(tls.handshake().is_err(), "no server answers");
    drop(tls);
    let (mut hello, mut server) = (Vec::new(), listener.accept().expect("the client has connected").0);
    server.read_to_end(&mut hello).expect("the client has closed");
    hello
}

/// A TLS client that a test drives step by step. Each step has a deadline.
pub(crate) struct ManualClient {
    tls: TlsStream<BlockingSocket>,
    /// The socket below TLS.
    pub(crate) socket: TcpStream,
}

impl ManualClient {
    /// # Errors
    /// The handshake failed.
    #[track_caller]
    pub(crate) fn open(socket: TcpStream, options: &TlsClientOptions) -> io::Result<Self> {
        let second = socket.try_clone().expect("a descriptor is free");
        let mut tls = target_of(options).wrap(BlockingSocket(socket)).expect("the system has randomness");
        tls.handshake()?;
        Ok(Self { tls, socket: second })
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self.tls.write(rest).expect("the server reads in time");
            rest = &rest[count..];
        }
    }

    /// Writes until no byte is taken within `timeout`. Returns the number of bytes.
    pub(crate) fn send_until_full(&mut self, timeout: Duration) -> usize {
        self.socket.set_write_timeout(Some(timeout)).expect("the timeout is not zero");
        let bytes = [0; 16 * 1024];
        let mut sent = 0;
        while let Ok(count) = self.tls.write(&bytes) {
            sent += count;
        }
        sent
    }

    /// Reads once. Empty means the end.
    ///
    /// # Errors
    /// The connection failed, or no bytes came in time.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut buf = [0; 64 * 1024];
        self.tls.read(&mut buf).map(|count| buf[..count].to_vec())
    }

    /// Checks that the server echoes `bytes`.
    #[track_caller]
    pub(crate) fn echoes(&mut self, bytes: &[u8]) {
        self.send(bytes);
        self.expect(bytes);
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

    /// Waits for the end, which must be clean.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.receive().expect("the end is clean"), b"", "bytes before the end");
    }

    /// Sends close_notify. The socket stays open.
    #[track_caller]
    pub(crate) fn send_close_notify(&mut self) {
        self.tls.send_close_notify().expect("the server reads it");
    }

    /// Ends our direction: close_notify, then the end of the socket.
    #[track_caller]
    pub(crate) fn finish(&mut self) {
        self.tls.shutdown_write().expect("the server reads it");
    }
}
