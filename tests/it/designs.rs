//! All designs of a server as real processes: the behavior that is equal in all of them, and the peers
//! that a stalled peer delays in each.

mod cost;
mod ending;
mod stalled;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{
    Behavior, Crowd, KIB, MIB, Pattern, Serve, Server, StreamEnd, Summary, TIMEOUT, connect_with_buffers, echoes,
    exchange, read_exactly, read_to_the_end, same_bytes,
};

/// Every design, by its flags. The pool has a thread for each peer of most tests; the other tests choose a size.
const DESIGNS: [&str; 4] = ["--design iterative", "--design threads", "--design pool --workers 60", "--design reactor"];

/// The designs in which a stalled peer does not delay others.
const CONCURRENT: [&str; 3] = ["--design threads", "--design pool --workers 60", "--design reactor"];

fn serve(design: &str, flags: &str) -> Server {
    Serve::new().with(design).with(flags).start()
}

/// Drains the server and checks its counters: each connection was closed for one reason.
#[track_caller]
fn drain_and_reconcile(design: &str, server: Server) -> Summary {
    let summary = server.drain().summary();
    assert_eq!(summary.open, 0, "{design}");
    assert_eq!(summary.closed_in_all(), summary.connections, "{design}: {summary:?}");
    summary
}

/// Whether no byte arrives for this time.
fn receives_nothing(stream: &mut TcpStream, time: Duration) -> bool {
    stream.set_read_timeout(Some(time)).expect("not zero");
    let received = stream.read(&mut [0; 1]);
    stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    received.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn every_design_echoes_every_byte_and_then_closes_cleanly() {
    for design in DESIGNS {
        let server = serve(design, "");
        let mut bytes_sent = 0;
        for (len, piece) in [(0, 1), (1, 1), (300, 1), (64 * KIB, 1000), (10 * MIB, MIB)] {
            let bytes = Pattern::of(len).take(len);
            let (echoed, ending) = exchange(&mut server.connect(), &bytes, piece);
            same_bytes(&echoed, &bytes);
            assert_eq!(ending, StreamEnd::Clean, "{design}, {len} bytes");
            bytes_sent += len as u64;
        }
        let summary = drain_and_reconcile(design, server);
        assert_eq!((summary.bytes_in, summary.bytes_out), (bytes_sent, bytes_sent), "{design}");
        assert_eq!((summary.closed("finished"), summary.closed("probed")), (4, 1), "{design}");
    }
}

#[test]
fn every_design_applies_the_framing_its_limit_the_prefix_and_the_exit_command() {
    for design in DESIGNS {
        let serve = Serve::new().with(design).with("--framing lines --frame-len-max 1KiB --prefix");
        let server = serve.arg("echo: ").start();
        let mut stream = server.connect();
        stream.write_all(b"one\r\ntw").unwrap();
        assert_eq!(read_exactly(&mut stream, 10), b"echo: one\n", "{design}");
        stream.write_all(b"o\nexit\nnever\n").unwrap();
        assert_eq!(read_to_the_end(&mut stream), (b"echo: two\n".to_vec(), StreamEnd::Clean), "{design}");
        drop(stream);

        let (echoed, ending) = exchange(&mut server.connect(), b"no end of line", 3);
        assert_eq!((echoed.as_slice(), ending), (b"".as_slice(), StreamEnd::Clean), "{design}");
        let mut long = server.connect();
        long.write_all(&[b'x'; 4 * KIB]).unwrap();
        assert_eq!(read_to_the_end(&mut long), (Vec::new(), StreamEnd::Clean), "{design}");
        drop(long);
        let summary = drain_and_reconcile(design, server);
        let closed = (summary.closed("partial-frame"), summary.closed("frame-too-long"));
        assert_eq!(closed, (1, 1), "{design}: {summary:?}");
    }
}

#[test]
fn every_design_serves_over_a_unix_socket() {
    for design in DESIGNS {
        let path = crate::support::ScratchPath::new("sock");
        let server = Serve::bare().listen(&format!("unix:{}", path.text())).with(design).start();
        let mut stream = std::os::unix::net::UnixStream::connect(path.text()).unwrap();
        let bytes = Pattern::of(7).take(MIB);
        let (echoed, ending) = exchange(&mut stream, &bytes, 10 * KIB);
        same_bytes(&echoed, &bytes);
        assert_eq!(ending, StreamEnd::Clean, "{design}");
        drain_and_reconcile(design, server);
    }
}

#[test]
fn every_design_has_an_idle_timeout_and_a_frame_timeout() {
    for design in DESIGNS {
        let server = serve(design, "--framing lines --idle-timeout 300ms --frame-timeout 600ms");
        let started = Instant::now();
        let mut idle = server.connect();
        assert_eq!(read_to_the_end(&mut idle), (Vec::new(), StreamEnd::Clean), "{design}");
        assert!(started.elapsed() >= Duration::from_millis(300), "{design}: a deadline is never early");

        let mut slow = server.connect();
        let started = Instant::now();
        // Each byte moves the idle deadline, but not that of the frame.
        while slow.write_all(b"x").is_ok() && receives_nothing(&mut slow, Duration::from_millis(50)) {
            assert!(started.elapsed() < TIMEOUT, "{design}: the bytes have moved the deadline of the frame");
        }
        assert!(started.elapsed() >= Duration::from_millis(600), "{design}: a deadline is never early");
        drop(slow);
        let summary = drain_and_reconcile(design, server);
        assert_eq!((summary.closed("idle-timeout"), summary.closed("frame-timeout")), (1, 1), "{design}");
    }
}

#[test]
fn every_design_closes_a_peer_that_does_not_read() {
    for design in DESIGNS {
        let server = serve(design, "--write-timeout 500ms --recv-buffer 16KiB --send-buffer 16KiB");
        let base = server.process.descriptors();
        let mut stream = connect_with_buffers(server.address(), 4 * KIB);
        let started = Instant::now();
        let sent = loop {
            assert!(started.elapsed() < TIMEOUT, "{design}: the peer is still connected");
            if let Err(error) = stream.write_all(&[b'x'; 64 * KIB]) {
                break error;
            }
        };
        assert_eq!(StreamEnd::of(&sent), StreamEnd::Reset, "{design}");
        assert!(started.elapsed() >= Duration::from_millis(500), "{design}: a deadline is never early");
        server.descriptors_return_to(base);
        assert_eq!(drain_and_reconcile(design, server).closed("write-timeout"), 1, "{design}");
    }
}

#[test]
fn every_design_closes_a_finished_peer_that_does_not_close_its_end() {
    for design in DESIGNS {
        let server = serve(design, "--framing lines --linger-timeout 400ms");
        let base = server.process.descriptors();
        let mut stream = server.connect();
        stream.write_all(b"exit\n").unwrap();
        assert_eq!(read_to_the_end(&mut stream), (Vec::new(), StreamEnd::Clean), "{design}");
        // Our direction stays open and idle.
        server.descriptors_return_to(base);
        drain_and_reconcile(design, server);
    }
}

/// Thirty peers send a request to a server with at most twenty connections, and twenty get a reply.
#[track_caller]
fn thirty_for_twenty(design: &str, flags: &str) -> (Server, Crowd) {
    let server = serve(design, &format!("--max-connections 20 {flags}"));
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 30, Behavior::OnRequest);
    crowd.ask(all, 10);
    are_answered(&mut crowd, 20);
    (server, crowd)
}

#[track_caller]
fn are_answered(crowd: &mut Crowd, count: usize) {
    let is_reached =
        crowd.run_until(TIMEOUT, |members| members.iter().filter(|member| member.is_answered()).count() == count);
    assert!(is_reached, "{} of {count} are answered", crowd.answered(0..crowd.members.len()));
}

#[test]
fn concurrent_designs_refuse_connections_beyond_the_cap() {
    for design in CONCURRENT {
        let (server, mut crowd) = thirty_for_twenty(design, "--when-full refuse");
        assert!(crowd.run_until(TIMEOUT, |members| members.iter().filter(|member| !member.is_open()).count() == 10));
        assert_eq!(crowd.ended(0..30, StreamEnd::Reset), 10, "{design}");
        drop(crowd);
        let summary = drain_and_reconcile(design, server);
        assert_eq!((summary.connections, summary.refused), (20, 10), "{design}");
    }
}

#[test]
fn in_concurrent_designs_connections_beyond_the_cap_wait_for_a_free_place() {
    for design in CONCURRENT {
        let (server, mut crowd) = thirty_for_twenty(design, "");
        crowd.settle(Duration::from_millis(200));
        assert_eq!((crowd.answered(0..30), crowd.open()), (20, 30), "{design}");
        crowd.leave(0..10);
        are_answered(&mut crowd, 30);
        drop(crowd);
        assert_eq!(drain_and_reconcile(design, server).refused, 0, "{design}");
    }
}

/// Requests the totals until they have one closed connection: its thread counts it after the client sees the end.
#[track_caller]
fn totals_with_one_closed(server: &Server) -> Summary {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let lines = server.log.count();
        server.signal("USR1");
        assert!(server.log.wait_for(TIMEOUT, |log| log.len() > lines), "the server logs nothing");
        let summary = Summary::among(&server.log.all());
        if summary.closed_in_all() == 1 || deadline < Instant::now() {
            return summary;
        }
    }
}

#[test]
fn every_design_logs_its_totals_on_request() {
    for design in DESIGNS {
        let server = serve(design, "");
        exchange(&mut server.connect(), b"counted", 7);
        let mut open = server.connect();
        echoes(&mut open, b"here");
        let summary = totals_with_one_closed(&server);
        assert_eq!((summary.connections, summary.open, summary.closed("finished")), (2, 1, 1), "{design}");
        // A blocking thread adds the bytes of a connection when it closes, the reactor at once.
        let bytes = (summary.bytes_in, summary.bytes_out);
        assert!(summary.bytes_in >= 7 && (design != DESIGNS[3] || bytes == (11, 11)), "{design}: {summary:?}");
        echoes(&mut open, b"and still here");
        drop(open);
        assert_eq!(drain_and_reconcile(design, server).bytes_in, 25, "{design}");
    }
}
