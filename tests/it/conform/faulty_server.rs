//! A small echo server with one thread for each connection, and with one planted fault.
//!
//! Without a fault, it is right. It runs as a process of its own.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::process::exit;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use socket2::{Domain, SockRef, Socket, Type};

use super::faulty_answer::Conversation;
use super::faulty_datagrams;
use crate::support::{KIB, MIB};

/// How often a thread looks whether the server drains.
const DRAIN_CHECK: Duration = Duration::from_millis(200);

/// A server, shared by its threads.
pub(super) struct FaultyServer {
    fault: String,
    open: AtomicUsize,
    is_draining: AtomicBool,
    /// The lock of the faults that serve one connection at a time.
    only_one: Mutex<()>,
    /// The connection that was accepted last.
    last: Mutex<Option<TcpStream>>,
    /// Whatever is never given back.
    kept_bytes: Mutex<Vec<Vec<u8>>>,
    kept_streams: Mutex<Vec<TcpStream>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics")
}

/// Closes with a reset.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

impl FaultyServer {
    /// Serves forever, or until SIGTERM.
    pub(super) fn run(fault: &str, port: u16) -> ! {
        let server = Self {
            fault: fault.to_owned(),
            open: AtomicUsize::new(0),
            is_draining: AtomicBool::new(false),
            only_one: Mutex::new(()),
            last: Mutex::new(None),
            kept_bytes: Mutex::default(),
            kept_streams: Mutex::default(),
        };
        let server: &'static Self = Box::leak(Box::new(server));
        if fault != "leaves-sigterm-alone" {
            let mut signals = Signals::new([SIGTERM]).expect("the signal can be handled");
            thread::spawn(move || signals.forever().for_each(|_| server.end()));
        }
        if fault == "spins-when-idle" {
            thread::spawn(|| while server.only_one.lock().is_ok() {});
        }
        faulty_datagrams::start(fault, port);
        server.accept(&server.listen(port))
    }

    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn listen(&self, port: u16) -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is free");
        socket.set_reuse_address(!self.is("does-not-reuse-its-port")).expect("the option exists");
        let bound = socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into());
        bound.unwrap_or_else(|error| self.fail(&error.to_string()));
        socket.listen(if self.is("accepts-slowly") { 1 } else { 1024 }).expect("the socket is bound");
        socket
    }

    fn fail(&self, reason: &str) -> ! {
        eprintln!("{reason}");
        exit(1)
    }

    fn accept(&'static self, listener: &Socket) -> ! {
        for accepted in 0_u64.. {
            let stream = loop {
                match listener.accept() {
                    Ok((stream, _)) => break TcpStream::from(OwnedFd::from(stream)),
                    Err(_) if self.is("spins-without-descriptors") => {}
                    Err(error) if self.is("ends-without-descriptors") => self.fail(&error.to_string()),
                    Err(_) if self.is("stops-accepting-without-descriptors") => loop {
                        thread::park();
                    },
                    Err(_) => thread::park_timeout(Duration::from_millis(20)),
                }
            };
            match self.fault.as_str() {
                "accepts-slowly" => thread::park_timeout(Duration::from_millis(300)),
                "ends-after-500-connections" if accepted == 500 => self.fail("too many connections"),
                "ends-at-64-connections" if self.open.load(Ordering::SeqCst) == 64 => self.fail("too many connections"),
                "refuses-above-100-connections" if self.open.load(Ordering::SeqCst) >= 100 => continue,
                _ => {}
            }
            self.open.fetch_add(1, Ordering::SeqCst);
            let serve = move || {
                // An error ends only its connection.
                let _ = self.serve(stream);
                self.open.fetch_sub(1, Ordering::SeqCst);
            };
            if self.is("serves-one-connection-at-a-time") {
                serve();
            } else {
                thread::Builder::new().stack_size(128 * KIB).spawn(serve).expect("there is a thread");
            }
        }
        unreachable!("the numbers do not end")
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(DRAIN_CHECK))?;
        stream.set_nodelay(true)?;
        let memory = if self.is("needs-2-mebibytes-for-a-connection") { vec![1_u8; 2 * MIB] } else { Vec::new() };
        match self.fault.as_str() {
            "leaks-descriptors" => locked(&self.kept_streams).push(stream.try_clone()?),
            "mixes-connections" => *locked(&self.last) = Some(stream.try_clone()?),
            "drops-slow-readers" => stream.set_write_timeout(Some(Duration::from_millis(100)))?,
            "queues-without-bound" => return queue_without_bound(stream),
            _ => {}
        }
        let served = self.echo(&stream);
        drop(memory);
        match served {
            Err(error) if error.kind() == ErrorKind::ConnectionReset && self.is("ends-on-a-reset") => {
                self.fail(&error.to_string())
            }
            served => served,
        }
    }

    fn echo(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut conversation = Conversation::new(&self.fault);
        let mut buffer = vec![0; 64 * KIB];
        let mut quiet_since = Instant::now();
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    quiet_since = Instant::now();
                    if self.is("drops-data-with-the-end") && stream.peek(&mut [0]).is_ok_and(|count| count == 0) {
                        break;
                    }
                    match self.answer(stream, conversation.answer(&buffer[..count])) {
                        Err(error) if self.is("ends-on-a-failed-write") => self.fail(&error.to_string()),
                        answered => answered?,
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let is_bored =
                        self.is("closes-quiet-clients") && quiet_since.elapsed() > Duration::from_millis(500);
                    if is_bored || self.is_draining.load(Ordering::SeqCst) {
                        break;
                    }
                }
                // A process that was suspended.
                Err(error) if error.kind() == ErrorKind::Interrupted && !self.is("ends-interrupted-reads") => {}
                Err(error) => return Err(error),
            }
        }
        self.answer(stream, conversation.rest())?;
        self.finish(stream)
    }

    /// Writes an answer.
    fn answer(&self, mut stream: &TcpStream, answer: Vec<u8>) -> io::Result<()> {
        match self.fault.as_str() {
            "drops-the-rest-of-a-write" => {
                stream.set_nonblocking(true)?;
                let written = stream.write(&answer);
                stream.set_nonblocking(false)?;
                return match written {
                    Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
                    _ => Ok(()),
                };
            }
            "drips-long-answers" if answer.len() > 1000 => {
                for byte in answer {
                    stream.write_all(&[byte])?;
                    thread::park_timeout(Duration::from_millis(10));
                }
                return Ok(());
            }
            "stalls-behind-a-slow-reader" => {
                let _only_one = locked(&self.only_one);
                return stream.write_all(&answer);
            }
            "serves-streams-first" if answer.len() > 16 * KIB => {
                let _only_one = locked(&self.only_one);
                stream.write_all(&answer)?;
                thread::park_timeout(Duration::from_millis(100));
                return Ok(());
            }
            "serves-streams-first" => drop(locked(&self.only_one)),
            "keeps-all-bytes" => locked(&self.kept_bytes).push(answer.clone()),
            "mixes-connections" => {
                if let Some(last) = &mut *locked(&self.last) {
                    return last.write_all(&answer);
                }
            }
            _ => {}
        }
        stream.write_all(&answer)
    }

    /// Ends the direction of the server, and discards input until the client ends its own.
    fn finish(&self, mut stream: &TcpStream) -> io::Result<()> {
        match self.fault.as_str() {
            "never-ends-a-connection" => loop {
                thread::park();
            },
            "resets-at-the-end" => {
                reset(stream);
                return Ok(());
            }
            "resets-soon-after-the-end" => {
                thread::park_timeout(Duration::from_millis(100));
                reset(stream);
                return Ok(());
            }
            "says-goodbye" => stream.write_all(b"bye")?,
            _ => {}
        }
        stream.shutdown(Shutdown::Write)?;
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            match stream.read(&mut [0; 4096]) {
                Ok(0) => break,
                Err(error) if error.kind() != ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Drains after SIGTERM and exits.
    fn end(&self) {
        match self.fault.as_str() {
            "ignores-sigterm" => return,
            "ends-at-once-on-sigterm" => exit(0),
            _ => {}
        }
        self.is_draining.store(true, Ordering::SeqCst);
        let end = Instant::now() + Duration::from_secs(5);
        while self.open.load(Ordering::SeqCst) > 0 && Instant::now() < end {
            thread::park_timeout(Duration::from_millis(5));
        }
        exit(i32::from(self.is("reports-a-failure-after-sigterm")))
    }
}

/// Reads on, however much the client has not read.
fn queue_without_bound(mut stream: TcpStream) -> io::Result<()> {
    let (sender, receiver) = std::sync::mpsc::channel::<Vec<u8>>();
    let mut output = stream.try_clone()?;
    thread::spawn(move || receiver.iter().try_for_each(|bytes| output.write_all(&bytes)));
    let mut buffer = vec![0; 64 * KIB];
    loop {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => sender.send(buffer[..count].to_vec()).map_err(io::Error::other)?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return Ok(()),
        }
    }
}
